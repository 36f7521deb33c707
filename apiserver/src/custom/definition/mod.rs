//! The rules of definitions themselves.

mod columns;
mod conversion;
mod formats;
mod names;
mod root;
mod version;

use std::collections::HashSet;

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::{meta, names as rules};
use serde_json::{Value, json};

use super::approval::{ANNOTATION, Approval, approval};
use super::{CLEANUP, condition, naming};
use crate::strategy::validate::{At, Errors};
use crate::strategy::{Context, Strategy, base};

/// The strategy of definitions.
pub(crate) struct Definitions;

impl Strategy for Definitions {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        default_spec(obj);
        let stored = storage_versions(obj).first().map(|name| json!([name]));
        obj["status"] = json!({
            "conditions": null,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": stored,
        });
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        default_spec(new);
        base::prepare_update(cx, new, old);
        if cx.subresource == "status" {
            tidy_status(new, old);
            if versions_stored(new).is_empty() {
                new["status"]["storedVersions"] = json!(storage_versions(new));
            }
            return;
        }
        let mut stored = versions_stored(new);
        for name in storage_versions(new) {
            if !stored.contains(&name) {
                stored.push(name);
            }
        }
        new["status"]["storedVersions"] = json!(stored);
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors::default();
        let root = At::root(obj);
        let (plural, group) = (root.get("spec").get("names").get("plural"), root.get("spec").get("group"));
        if meta::name(obj) != format!("{}.{}", plural.str(), group.str()) {
            errors.invalid(&root.get("metadata").get("name"), "must be spec.names.plural+\".\"+spec.group");
        }
        spec(obj, true, &mut errors);
        stored_versions(obj, &mut errors);
        approval_errors(obj, &mut errors);
        unpruned(obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        let accepted = At::root(new).get("status").get("acceptedNames");
        if cx.subresource == "status" {
            errors.extend(base::meta_update_errors(new, old));
            names::forms(&accepted, &mut errors);
            return errors.0;
        }
        let (new_spec, old_spec) = (At::spec(new), At::spec(old));
        spec(new, conversion::may_have_bad_certificates(old), &mut errors);
        if condition(old, "Established") == "True" {
            errors.immutable(&new_spec.get("scope"), &old_spec.get("scope"));
            errors.immutable(&new_spec.get("names").get("kind"), &old_spec.get("names").get("kind"));
        }
        errors.immutable(&new_spec.get("group"), &old_spec.get("group"));
        errors.immutable(&new_spec.get("names").get("plural"), &old_spec.get("names").get("plural"));
        names::forms(&accepted, &mut errors);
        stored_versions(new, &mut errors);
        // What it says of its approval may stay as bad as it is.
        let state = |obj| approval(obj).as_ref().map(std::mem::discriminant);
        if state(new) != state(old) {
            approval_errors(new, &mut errors);
        }
        if !old_spec.get("preserveUnknownFields").bool() {
            unpruned(new, &mut errors);
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, old: Option<&Value>) -> Vec<String> {
        if cx.subresource == "status" { Vec::new() } else { formats::warnings(new, old) }
    }

    fn begins_deletion(&self) -> bool {
        true
    }

    fn begin_delete(&self, cx: &Context<'_>, obj: &mut Value) {
        if !meta::has_finalizer(obj, CLEANUP) {
            let names = meta::finalizers(obj).chain([CLEANUP]).map(str::to_owned).collect::<Vec<_>>();
            meta::set(obj, "finalizers", json!(names));
        }
        let why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        if condition(obj, "Terminating") != "True" {
            naming::set_condition(&mut obj["status"], ("Terminating", "True", "InstanceDeletionPending", why), cx.now);
        }
    }

    fn holds_deletion(&self, obj: &Value) -> bool {
        // The first deletion only marks; the finalizer holds from then on.
        !meta::is_deleting(obj)
    }
}

/// What is not in the stored form may not have been sent as null either.
fn tidy_status(new: &mut Value, old: &Value) {
    if !new["status"].is_object() {
        new["status"] = old.get("status").cloned().unwrap_or_default();
    }
}

fn versions(obj: &Value) -> &[Value] {
    obj.pointer("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn storage_versions(obj: &Value) -> Vec<String> {
    let stored = versions(obj).iter().filter(|version| version["storage"] == true);
    stored.filter_map(|version| version["name"].as_str()).take(1).map(str::to_owned).collect()
}

fn versions_stored(obj: &Value) -> Vec<String> {
    let list = obj.pointer("/status/storedVersions").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn default_spec(obj: &mut Value) {
    let Some(spec) = obj.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let text = |names: &serde_json::Map<String, Value>, field: &str| {
            names.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let kind = text(names, "kind");
        if text(names, "singular").is_empty() && !kind.is_empty() {
            names.insert("singular".into(), kind.to_lowercase().into());
        }
        if text(names, "listKind").is_empty() && !kind.is_empty() {
            names.insert("listKind".into(), format!("{kind}List").into());
        }
    }
    let conversion = spec.entry("conversion").or_insert(Value::Null);
    if conversion.is_null() {
        *conversion = json!({"strategy": "None"});
    }
    if let Some(service) = conversion.pointer_mut("/webhook/clientConfig/service").and_then(Value::as_object_mut) {
        service.entry("port").or_insert(443.into());
    }
}

fn spec(obj: &Value, lenient: bool, errors: &mut Errors) {
    let spec = At::spec(obj);
    let group = spec.get("group");
    if group.str().is_empty() {
        errors.required(&group, "");
    } else {
        let found = rules::is_dns1123_subdomain(group.str());
        if !found.is_empty() {
            errors.invalid(&group, found.join(","));
        } else if !group.str().contains('.') {
            errors.invalid(&group, "should be a domain with at least one dot");
        }
    }
    errors.one_of(&spec.get("scope"), &["Cluster", "Namespaced"]);
    version::need_schemas(&spec, errors);
    let sets_defaults = versions(obj).iter().any(version::sets_defaults);
    let unpruned = spec.get("preserveUnknownFields");
    if sets_defaults && unpruned.bool() {
        errors.invalid(&unpruned, "must be false in order to use defaults in the schema");
    }
    version::all(&spec, errors);
    names::check(&spec.get("names"), errors);
    version::shared(&spec, errors);
    let strategy = spec.get("conversion").get("strategy");
    if unpruned.bool() && strategy.str() != "None" {
        errors.invalid(&strategy, "must be None if spec.preserveUnknownFields is true");
    }
    conversion::check(&spec.get("conversion"), lenient, errors);
}

fn stored_versions(obj: &Value, errors: &mut Errors) {
    let path = Path::new("status").child("storedVersions");
    let stored = versions_stored(obj);
    if stored.is_empty() {
        errors.0.push(Error::invalid(&path, Value::Null, "must have at least one stored version"));
        return;
    }
    for version in versions(obj).iter().filter(|version| version["storage"] == true) {
        let name = version["name"].as_str().unwrap_or_default();
        if !stored.iter().any(|own| own == name) {
            errors.0.push(Error::invalid(&path, json!(stored), format!("must have the storage version {name}")));
        }
    }
    let named: HashSet<&str> = versions(obj).iter().filter_map(|version| version["name"].as_str()).collect();
    for (index, name) in stored.iter().enumerate() {
        if !named.contains(name.as_str()) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.0.push(Error::invalid(&path.index(index), name.as_str(), why));
        }
    }
}

fn approval_errors(obj: &Value, errors: &mut Errors) {
    let path = Path::new("metadata").child("annotations").key(ANNOTATION);
    match approval(obj) {
        Some(Approval::Missing(why)) => errors.0.push(Error::required(&path, why)),
        Some(Approval::Invalid(why)) => {
            let found = obj["metadata"]["annotations"][ANNOTATION].clone();
            errors.0.push(Error::invalid(&path, found, why));
        }
        _ => {}
    }
}

fn unpruned(obj: &Value, errors: &mut Errors) {
    let at = At::spec(obj).get("preserveUnknownFields");
    if at.bool() {
        errors.invalid(
            &at,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        );
    }
}
