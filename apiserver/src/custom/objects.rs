use std::collections::HashSet;
use std::sync::Arc;

use mainstay_api::cel::RuleSet;
use mainstay_api::field::{Error, ErrorList, Kind, Path, go_quote};
use mainstay_api::meta;
use mainstay_api::schema::{Validator, embedded_errors, list_errors};
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::{Served, scale_paths};
use crate::strategy::{Context, SideWrite, Strategy};

const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// The strategy of all custom kinds: what their definition says.
pub(crate) struct Objects(pub Arc<Served>);

impl Objects {
    fn errors(&self, cx: &Context<'_>, new: &Value, old: Option<&Value>) -> ErrorList {
        let schema = &self.0.schema;
        let mut errors = type_errors(&self.0, new);
        if !errors.is_empty() {
            return errors;
        }
        if cx.subresource == "status" {
            errors.extend(self.status_errors(new, old));
            errors.extend(self.scale_errors(new, true));
        } else {
            errors.extend(Validator::new(schema).errors(new, schema.root(), old));
            errors.extend(self.scale_errors(new, false));
            errors.extend(embedded_errors(new, schema.root(), &Path::nil()));
        }
        let listed = |object: &Value| list_errors(object, schema.root(), &Path::nil());
        // A list that holds something twice already may go on so.
        if old.is_none_or(|old| listed(old).is_empty()) {
            errors.extend(listed(new));
        }
        let Some(rules) = &self.0.rules else { return errors };
        if block_rules(&errors) {
            errors.push(Error::invalid(&Path::nil(), Value::Null, UNCHECKED));
        } else {
            errors.extend(rules.errors(new, old, schema.root()));
        }
        errors
    }

    /// Through the status subresource only the status counts.
    fn status_errors(&self, new: &Value, old: Option<&Value>) -> ErrorList {
        let schema = &self.0.schema;
        let (Some(of), Some(status)) = (schema.property("status"), new.get("status")) else { return ErrorList::new() };
        Validator::new(schema).at("status").errors(status, of, old.and_then(|old| old.get("status")))
    }

    /// The counts are numbers that a scale can have.
    fn scale_errors(&self, object: &Value, status_only: bool) -> ErrorList {
        let Some(scale) = &self.0.scale else { return ErrorList::new() };
        let mut errors = ErrorList::new();
        if !status_only {
            errors.extend(scale_paths::count_error(object, &scale.spec));
        }
        errors.extend(scale_paths::count_error(object, &scale.status));
        errors.extend(scale_paths::selector_error(object, &scale.selector));
        errors
    }
}

/// Warnings of finalizers that others might use, too.
fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
    let known: HashSet<&str> = old.into_iter().flat_map(meta::finalizers).collect();
    let mut fresh: Vec<&str> = meta::finalizers(new).filter(|name| !known.contains(name)).collect();
    fresh.sort_unstable();
    fresh.dedup();
    fresh.retain(|name| !name.contains('/') && !STANDARD.contains(name));
    let warning = |name: &str| {
        let name = go_quote(name);
        format!(
            "metadata.finalizers: {name}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
        )
    };
    fresh.into_iter().map(warning).collect()
}

fn type_errors(served: &Served, object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for (field, found, wanted) in [
        ("kind", meta::kind(object), served.kind.as_str()),
        ("apiVersion", meta::api_version(object), served.api_version.as_str()),
    ] {
        if found != wanted {
            errors.push(Error::invalid(&Path::new(field), found, format!("must be {wanted}")));
        }
    }
    errors
}

/// Whether errors are such that rules cannot be evaluated on the object.
fn block_rules(errors: &ErrorList) -> bool {
    let blocks = [Kind::NotSupported, Kind::Required, Kind::TooLong, Kind::TooMany, Kind::TypeInvalid];
    errors.iter().any(|error| blocks.contains(&error.kind))
}

impl Strategy for Objects {
    fn prepare_create(&self, _cx: &Context<'_>, obj: &mut Value) {
        if self.0.status
            && let Some(map) = obj.as_object_mut()
        {
            map.remove("status");
        }
        meta::set(obj, "generation", 1);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        match cx.subresource {
            "status" => keep_all_but_status(new, old),
            _ if self.0.status => keep_status(new, old),
            _ => {}
        }
        let moved = content(new, self.0.status) != content(old, self.0.status);
        meta::set(new, "generation", meta::generation(old) + i64::from(moved && cx.subresource != "status"));
    }

    fn allocate(&self, cx: &Context<'_>, _obj: &mut Value, old: Option<&Value>) -> ApiResult<Vec<SideWrite>> {
        if self.0.terminating && old.is_none() {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(&cx.resource.group, &cx.resource.resource, cx.name, why));
        }
        Ok(Vec::new())
    }

    fn validate_create(&self, cx: &Context<'_>, obj: &Value) -> ErrorList {
        self.errors(cx, obj, None)
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        // Kubernetes validates the metadata of such an update twice, and tells of it twice.
        let mut errors = meta::validate_object_meta_update(new, old, &Path::new("metadata"));
        errors.extend(self.errors(cx, new, Some(old)));
        errors
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, old: Option<&Value>) -> Vec<String> {
        let kept = |(rules, old): (&RuleSet, &Value)| rules.kept_errors(new, old, self.0.schema.root());
        let kept = self.0.rules.as_ref().zip(old).map(kept).unwrap_or_default();
        let mut warnings: Vec<String> = kept.iter().map(ToString::to_string).collect();
        if cx.subresource != "status" {
            warnings.extend(finalizer_warnings(new, old));
        }
        warnings
    }
}

fn keep_status(new: &mut Value, old: &Value) {
    match (old.get("status"), new.as_object_mut()) {
        (Some(status), Some(map)) => drop(map.insert("status".to_owned(), status.clone())),
        (None, Some(map)) => drop(map.remove("status")),
        _ => {}
    }
}

fn keep_all_but_status(new: &mut Value, old: &Value) {
    let mut kept = old.clone();
    for field in ["managedFields", "resourceVersion"] {
        match meta::metadata(new).and_then(|metadata| metadata.get(field)) {
            Some(value) => meta::set(&mut kept, field, value.clone()),
            None => drop(meta::remove_field(&mut kept, field)),
        }
    }
    keep_status(&mut kept, new);
    *new = kept;
}

/// Everything of an object that moves its generation.
fn content(object: &Value, without_status: bool) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| *name != "metadata" && !(without_status && *name == "status")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn new_finalizers_without_a_domain_are_warned_of_once() {
        let of = |names: &[&str]| json!({"metadata": {"finalizers": names}});
        let new = of(&["b", "a", "b", "orphan", "example.com/y"]);
        let warnings = finalizer_warnings(&new, Some(&of(&["a"])));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("metadata.finalizers: \"b\": prefer a domain-qualified finalizer name"));
        assert_eq!(finalizer_warnings(&new, None).len(), 2);
    }
}
