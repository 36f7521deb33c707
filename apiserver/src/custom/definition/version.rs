//! The versions of a definition.
//!
//! What all versions say alike, Kubernetes reports at the definition itself: `spec.validation`, `spec.subresources`.

use std::collections::HashSet;

use mainstay_api::field::{Error, ErrorList, Path, is_printable};
use mainstay_api::{cel, names, schema};
use serde_json::{Value, json};

use super::{columns, root};
use crate::strategy::validate::{At, Errors};

/// Whether the schema of a version sets any default.
pub(super) fn sets_defaults(version: &Value) -> bool {
    let of = version.pointer("/schema/openAPIV3Schema");
    of.is_some_and(|of| schema::check(of, &Path::nil()).defaults)
}

/// The value of a field that all versions have alike, if there is one.
fn alike<'v>(versions: &At<'v>, field: &str) -> Option<&'v Value> {
    let mut all = versions.items().map(|version| version.get(field).value);
    let first = all.next().filter(|value| !value.is_null())?;
    all.all(|value| value == first).then_some(first)
}

/// Every version has a schema.
pub(super) fn need_schemas(spec: &At<'_>, errors: &mut Errors) {
    let schemas = spec.get("versions").items().map(|version| version.get("schema").get("openAPIV3Schema"));
    schemas.filter(At::is_null).for_each(|of| errors.required(&of, ""));
}

/// What is wrong with each version, and with all of them together.
pub(super) fn all(spec: &At<'_>, errors: &mut Errors) {
    const EXTRAS: [&str; 3] = ["subresources", "additionalPrinterColumns", "selectableFields"];
    let versions = spec.get("versions");
    let own_schemas = alike(&versions, "schema").is_none();
    let own_extras: Vec<&str> = EXTRAS.into_iter().filter(|field| alike(&versions, field).is_none()).collect();
    for version in versions.items() {
        let name = version.get("name");
        let found = names::is_dns1035_label(name.str());
        if !found.is_empty() {
            errors.invalid(&name, found.join(","));
        }
        deprecation(&version, errors);
        let of = version.get("schema").get("openAPIV3Schema");
        if !of.is_null() && own_schemas {
            schema_errors(&of, has_status(&version), errors);
        }
        // A schema that all versions share stands at the definition, also where what has to be in it does not.
        let own = Some(&of).filter(|of| own_schemas && !of.is_null());
        for field in &own_extras {
            let why = "selectableFields may only be set when version.schema.openAPIV3Schema is not included";
            extras(field, &version.get(field), own.ok_or(why), errors);
        }
    }
    together(&versions, errors);
}

/// What is wrong with what all versions share.
pub(super) fn shared(spec: &At<'_>, errors: &mut Errors) {
    let versions = spec.get("versions");
    let nothing = json!({});
    let of = alike(&versions, "schema").and_then(|schema| schema.get("openAPIV3Schema")).filter(|of| !of.is_null());
    let at = At::new(of.unwrap_or(&nothing), spec.path.child("validation").child("openAPIV3Schema"));
    if of.is_some() {
        schema_errors(&at, versions.items().any(|version| has_status(&version)), errors);
    }
    for field in ["subresources", "additionalPrinterColumns", "selectableFields"] {
        if let Some(value) = alike(&versions, field) {
            let schema = of.is_some().then_some(&at).ok_or("may only be set when validations.schema is included");
            extras(field, &At::new(value, spec.path.child(field)), schema, errors);
        }
    }
}

/// `of` is the schema that stands beside a field, or what is said if none does and one is needed.
fn extras(field: &str, at: &At<'_>, of: Result<&At<'_>, &str>, errors: &mut Errors) {
    match (field, of) {
        ("subresources", _) => columns::scale(at, errors),
        ("additionalPrinterColumns", _) => columns::columns(at, errors),
        (_, Ok(of)) => columns::selectable(at, of.value, errors),
        (_, Err(_)) if at.is_empty() => {}
        (_, Err(why)) => errors.0.push(Error::invalid(&at.path, "", why)),
    }
}

fn has_status(version: &At<'_>) -> bool {
    version.get("subresources").opt("status").is_some()
}

fn schema_errors(at: &At<'_>, with_status: bool, errors: &mut Errors) {
    root::check(at, with_status, errors);
    let found = schema::check(at.value, &at.path);
    let defaults = if found.sound { cel::default_errors(at.value, &at.path) } else { ErrorList::new() };
    let sound = found.sound && defaults.is_empty();
    let rules = if sound { cel::rule_errors(at.value, &at.path, &found.errors) } else { ErrorList::new() };
    [defaults, found.errors, rules].into_iter().for_each(|found| errors.extend(found));
}

fn together(versions: &At<'_>, errors: &mut Errors) {
    let named: Vec<&str> = versions.items().map(|version| version.get("name").str()).collect();
    let mut seen = HashSet::new();
    if named.iter().any(|name| !seen.insert(name)) {
        errors.0.push(Error::invalid_text(&versions.path, shown(versions), "must contain unique version names"));
    }
    if versions.items().filter(|version| version.get("storage").bool()).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.0.push(Error::invalid_text(&versions.path, shown(versions), why));
    }
    // Kubernetes keeps the first name in a field of its own, too.
    let first = named.first().copied().unwrap_or_default();
    let found = names::is_dns1035_label(first);
    if !first.is_empty() && !found.is_empty() {
        errors.0.push(Error::invalid(&Path::new("spec").child("version"), first, found.join(",")));
    }
}

/// The versions as Kubernetes prints them: in its internal form, without what is alike in all.
fn shown(versions: &At<'_>) -> String {
    const MAYBE_ALIKE: [&str; 4] = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"];
    let shared: Vec<&str> = MAYBE_ALIKE.into_iter().filter(|field| alike(versions, field).is_some()).collect();
    let one = |version: At<'_>| {
        let own = |field: &str| if shared.contains(&field) { Value::Null } else { version.get(field).value.clone() };
        let parts = [
            ("Name", version.get("name").value.clone()),
            ("Served", version.get("served").bool().into()),
            ("Storage", version.get("storage").bool().into()),
            ("Deprecated", version.get("deprecated").bool().into()),
            ("DeprecationWarning", version.get("deprecationWarning").value.clone()),
            ("Schema", own("schema")),
            ("Subresources", own("subresources")),
            ("AdditionalPrinterColumns", own("additionalPrinterColumns")),
            ("SelectableFields", own("selectableFields")),
        ];
        let parts: Vec<String> = parts.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", parts.join(","))
    };
    format!("[{}]", versions.items().map(one).collect::<Vec<_>>().join(","))
}

fn deprecation(version: &At<'_>, errors: &mut Errors) {
    let at = version.get("deprecationWarning");
    let Some(text) = at.value.as_str() else { return };
    if !version.get("deprecated").bool() {
        errors.invalid(&at, "can only be set for deprecated versions");
        return;
    }
    if text.len() > 256 {
        errors.invalid(&at, "must be <= 256 characters long");
    }
    if text.is_empty() {
        errors.invalid(&at, "must not be an empty string");
    }
    if let Some((index, _)) = text.char_indices().find(|(_, c)| !is_printable(*c)) {
        let why =
            format!("must only contain printable UTF-8 characters; non-printable character found at index {index}");
        errors.invalid(&at, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of two versions with these fields in their schemas, and these that can be selected.
    fn texts(versions: [(&str, Option<&str>); 2]) -> Vec<String> {
        let version = |name: &str, (field, selectable): (&str, Option<&str>)| {
            let spec = json!({"type": "object", "properties": {"a": {"type": "string"}, field: {"type": "string"}}});
            let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
            let fields = selectable.map(|path| json!([{"jsonPath": path}]));
            json!({"name": name, "served": true, "storage": name == "v1", "schema": schema, "selectableFields": fields})
        };
        let spec = json!({"versions": [version("v1", versions[0]), version("v2", versions[1])]});
        let (at, mut errors) = (At::new(&spec, Path::new("spec")), Errors::default());
        all(&at, &mut errors);
        shared(&at, &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_are_selected_beside_their_schema() {
        assert!(texts([("b", Some(".spec.a")), ("b", Some(".spec.a"))]).is_empty());
        assert!(texts([("b", Some(".spec.a")), ("c", Some(".spec.c"))]).is_empty());
        assert!(texts([("b", Some(".spec.a")), ("c", None)]).is_empty());
        assert_eq!(
            texts([("b", Some(".spec.a")), ("c", Some(".spec.a"))]),
            ["spec.selectableFields: Invalid value: \"\": may only be set when validations.schema is included"]
        );
        assert_eq!(
            texts([("b", Some(".spec.a")), ("b", None)]),
            [
                "spec.versions[0].selectableFields: Invalid value: \"\": selectableFields may only be set when version.schema.openAPIV3Schema is not included"
            ]
        );
    }
}
