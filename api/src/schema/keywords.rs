//! The keywords of a definition's schema: which there may be, and with which values.

use serde_json::Value;

use super::{additional, flag, is_embedded, is_type_field, items, list_types, properties, rules, text};
use crate::field::{Error, ErrorList, Path};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What is wrong with the keywords of the root of a schema and of all below it.
pub(super) fn errors(schema: &Value, path: &Path, errors: &mut ErrorList) {
    node(schema, path, &Place { root: true, ..Place::default() }, errors);
}

/// Where a node of a schema is.
#[derive(Clone, Default)]
struct Place {
    root: bool,
    /// In what says what an object is.
    in_meta: bool,
    /// Why there may be no default.
    no_default: Option<String>,
}

impl Place {
    fn below(&self) -> Self {
        Self { root: false, ..self.clone() }
    }

    fn of_values(&self) -> Self {
        let why = self.in_meta.then(|| "inside additionalProperties applying to object metadata".to_owned());
        Self { no_default: why.or_else(|| self.no_default.clone()), ..self.below() }
    }

    fn of_property(&self, name: &str, schema: &Value) -> Self {
        let mut place = self.below();
        if is_type_field(name) && (self.root || is_embedded(schema)) {
            place.in_meta = true;
            if self.root {
                place.no_default = Some(format!("in top-level {name}"));
            }
        }
        place
    }
}

fn node(schema: &Value, path: &Path, place: &Place, errors: &mut ErrorList) {
    forbidden(schema, path, place, errors);
    if flag(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(Error::forbidden(&path.child("uniqueItems"), why));
    }
    let both = properties(schema).is_some_and(|all| !all.is_empty())
        && schema.get("additionalProperties").is_some_and(|values| values != &Value::Bool(true) && !values.is_null());
    if both {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(Error::forbidden(&path.child("additionalProperties"), why));
    }
    below(schema, path, place, errors);
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&at, false, "must be true or undefined"));
    }
    list_types::errors(schema, path, errors);
    rules::word_errors(schema, path, errors);
}

fn below(schema: &Value, path: &Path, place: &Place, errors: &mut ErrorList) {
    if let Some(of) = additional(schema) {
        node(of, &path.child("additionalProperties"), &place.of_values(), errors);
    }
    for (name, of) in properties(schema).into_iter().flatten() {
        node(of, &path.child("properties").key(name), &place.of_property(name, schema), errors);
    }
    for (of, path) in junctors(schema, path) {
        node(of, &path, &place.below(), errors);
    }
    if let Some(of) = items(schema) {
        node(of, &path.child("items"), &place.below(), errors);
    }
}

/// The schemas in the logical junctors of a schema with their paths, in Kubernetes' order.
pub(super) fn junctors<'v>(schema: &'v Value, path: &Path) -> Vec<(&'v Value, Path)> {
    let mut out = Vec::new();
    out.extend(schema.get("not").filter(|of| of.is_object()).map(|of| (of, path.child("not"))));
    for key in ["allOf", "oneOf", "anyOf"] {
        let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        out.extend(list.enumerate().map(|(index, of)| (of, path.child(key).index(index))));
    }
    out
}

fn is_set(schema: &Value, key: &str) -> bool {
    schema.get(key).is_some_and(|value| !value.is_null())
}

fn forbidden(schema: &Value, path: &Path, place: &Place, errors: &mut ErrorList) {
    let kind = text(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(Error::not_supported(&path.child("type"), kind, &TYPES));
    }
    if let Some(why) = place.no_default.as_deref().filter(|_| is_set(schema, "default")) {
        errors.push(Error::forbidden(&path.child("default"), format!("must not be set {why}")));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if is_set(schema, key) {
            errors.push(Error::forbidden(&path.child(key), format!("{key} is not supported")));
        }
    }
    if kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(Error::forbidden(&path.child("type"), why));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(Error::forbidden(&path.child("items"), why));
    }
    if place.in_meta && is_embedded(schema) {
        let at = path.child("x-kubernetes-embedded-resource");
        errors.push(Error::forbidden(&at, "must not be used inside of resource meta"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(schema: &Value) -> Vec<String> {
        let mut found = ErrorList::new();
        errors(schema, &Path::new("s"), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_set_for_the_metadata_of_the_object() {
        let name = json!({"type": "string", "default": "x"});
        assert_eq!(
            texts(&json!({"properties": {"metadata": {"properties": {"name": name}}, "kind": name}})),
            [
                "s.properties[kind].default: Forbidden: must not be set in top-level kind",
                "s.properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata",
            ]
        );
        let inner = json!({"x-kubernetes-embedded-resource": true, "properties": {"metadata": {"properties": {
            "labels": {"additionalProperties": name}, "name": name}}}});
        assert_eq!(
            texts(&json!({"properties": {"inner": inner}})),
            [
                "s.properties[inner].properties[metadata].properties[labels].additionalProperties.default: Forbidden: must not be set inside additionalProperties applying to object metadata"
            ]
        );
    }

    #[test]
    fn null_is_no_type() {
        assert_eq!(
            texts(&json!({"type": "null"})),
            [
                "s.type: Unsupported value: \"null\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
                "s.type: Forbidden: type cannot be set to null, use nullable as an alternative",
            ]
        );
    }

    #[test]
    fn rules_say_what_they_say_in_one_line() {
        let rules = json!([
            {"rule": " ", "message": " "},
            {"rule": "true", "message": " ", "messageExpression": " "},
            {"rule": "true", "message": "a\nb", "reason": "Because"},
            {"rule": "true", "fieldPath": "\n"},
            {"rule": "true", "fieldPath": ".a"}]);
        let fields: Vec<String> = {
            let mut found = ErrorList::new();
            errors(&json!({"properties": {"a": {}}, "x-kubernetes-validations": rules}), &Path::nil(), &mut found);
            found.iter().map(|error| error.field.trim_start_matches("x-kubernetes-validations").to_owned()).collect()
        };
        assert_eq!(
            fields,
            [
                "[0].rule",
                "[1].message",
                "[1].messageExpression",
                "[2].message",
                "[2].reason",
                "[3].fieldPath",
                "[3].fieldPath",
                "[3].fieldPath"
            ]
        );
    }
}
