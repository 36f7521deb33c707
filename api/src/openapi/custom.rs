//! The schemas of custom kinds and of their lists, as clients are told of them.

use serde_json::{Map, Value, json};

use super::operation::Edition;
use super::{META, custom_name, words};
use crate::resource::Resource;
use crate::schema::{is_embedded, is_int_or_string, preserves};

/// Adds the schemas of a custom kind and of its lists, as its definition has them.
pub(super) fn schemas(row: &Resource, edition: Edition, out: &mut Map<String, Value>) {
    out.insert(custom_name(row, &row.list_kind), of_lists(row, edition));
    out.insert(custom_name(row, &row.kind), of_objects(row, edition));
}

fn of_lists(row: &Resource, edition: Edition) -> Value {
    let items = json!({"$ref": edition.reference(&custom_name(row, &row.kind))});
    json!({
        "type": "object", "required": ["items"],
        "properties": {
            "apiVersion": text(words::API_VERSION), "kind": text(words::KIND),
            "metadata": meta("ListMeta", words::LIST_META, edition),
            "items": {"type": "array", "items": items, "description": words::of_items(row)},
        },
        "description": words::of_list(row),
        "x-kubernetes-group-version-kind": [{"group": row.group, "version": row.version, "kind": row.list_kind}],
    })
}

fn of_objects(row: &Resource, edition: Edition) -> Value {
    let known = row.schema.as_deref().filter(|schema| schema.is_object());
    // Where anything may be, old clients must not be told of some fields: they would take all others for wrong.
    let known = known.filter(|schema| !(edition == Edition::V2 && preserves(schema)));
    let mut own = known.map_or_else(|| json!({"type": "object"}), |schema| described(schema, edition));
    own["x-kubernetes-group-version-kind"] = json!([{"group": row.group, "version": row.version, "kind": row.kind}]);
    let selectable = row.field_selectors.iter().filter(|field| !field.starts_with("metadata."));
    let selectable: Vec<Value> = selectable.map(|field| json!({"fieldPath": field})).collect();
    if !selectable.is_empty() {
        own["x-kubernetes-selectable-fields"] = selectable.into();
    }
    own
}

/// A schema with what all objects have.
fn described(schema: &Value, edition: Edition) -> Value {
    let mut own = schema.clone();
    walk(&mut own, &mut |schema: &mut Value| plain(schema, edition));
    typed(&mut own, [words::API_VERSION, words::KIND], edition);
    walk(&mut own, &mut |schema: &mut Value| embedded(schema, edition));
    own
}

fn text(words: &str) -> Value {
    json!({"type": "string", "description": words})
}

fn meta(kind: &str, words: &str, edition: Edition) -> Value {
    let mut link = edition.link(&format!("{META}.{kind}"));
    link.insert("description".into(), words.into());
    edition.enclose(&mut link);
    Value::Object(link)
}

/// Says of an object what says what it is, in these words.
fn typed(schema: &mut Value, [api_version, kind]: [&str; 2], edition: Edition) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = text(api_version);
    schema["properties"]["kind"] = text(kind);
    schema["properties"]["metadata"] = meta("ObjectMeta", words::OBJECT_META, edition);
}

/// Looks at a schema, and then at those of the values in it.
fn walk(schema: &mut Value, each: &mut impl FnMut(&mut Value)) {
    if !schema.is_object() {
        return;
    }
    each(schema);
    for key in ["items", "additionalProperties"] {
        if let Some(below) = schema.get_mut(key) {
            walk(below, each);
        }
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for below in properties.into_iter().flat_map(|all| all.values_mut()) {
        walk(below, each);
    }
}

/// Leaves out what is not published, and spells out the rest.
fn plain(schema: &mut Value, edition: Edition) {
    spell_union(schema);
    let Some(map) = schema.as_object_mut() else { return };
    for key in ["example", "externalDocs"] {
        map.remove(key);
    }
    if edition == Edition::V2 {
        simplify(map);
    }
}

/// An int or string is spelled out for clients that do not know the extension.
fn spell_union(schema: &mut Value) {
    let union = json!([{"type": "integer"}, {"type": "string"}]);
    let spelled = schema["anyOf"] == union || schema["allOf"][0]["anyOf"] == union;
    if !is_int_or_string(schema) || spelled {
        return;
    }
    if schema["anyOf"].is_array() {
        let mut all = vec![json!({ "anyOf": union })];
        all.extend(schema["allOf"].as_array().cloned().unwrap_or_default());
        schema["allOf"] = all.into();
    } else {
        schema["anyOf"] = union;
    }
}

/// Leaves out what OpenAPI v2 cannot say, and what its clients do not understand together with the rest.
fn simplify(map: &mut Map<String, Value>) {
    for key in ["allOf", "anyOf", "oneOf", "not", "default"] {
        map.remove(key);
    }
    let open = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let nullable = map.remove("nullable") == Some(Value::Bool(true));
    if nullable {
        map.remove("type");
    }
    if nullable || open {
        map.remove("items");
        map.remove("properties");
    }
    let is = |kind: &str| map.get("type").is_some_and(|own| own == kind);
    if is("array") && !map.contains_key("items") || is("object") && open {
        map.remove("type");
    }
    require_less(map);
}

/// What may be null cannot be said to be required.
fn require_less(map: &mut Map<String, Value>) {
    let is_nullable = |schema: Option<&Value>| schema.is_some_and(|schema| schema["nullable"] == true);
    let Some(required) = map.get("required").and_then(Value::as_array) else { return };
    let mut required = required.clone();
    required.retain(|name| {
        let name = name.as_str().unwrap_or_default();
        !is_nullable(map.get("properties").and_then(|all| all.get(name)))
    });
    if is_nullable(map.get("additionalProperties")) || required.is_empty() {
        map.remove("required");
    } else {
        map.insert("required".into(), required.into());
    }
}

/// What is embedded says what it is, too.
fn embedded(schema: &mut Value, edition: Edition) {
    if !is_embedded(schema) || edition == Edition::V2 && preserves(schema) {
        return;
    }
    typed(schema, [words::EMBEDDED_API_VERSION, words::EMBEDDED_KIND], edition);
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    for field in ["kind", "apiVersion"] {
        if !required.iter().any(|name| name == field) {
            required.push(field.into());
        }
    }
    schema["required"] = required.into();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn row(schema: Value) -> Resource {
        Resource {
            group: "g.io".into(),
            version: "v1".into(),
            resource: "as".into(),
            kind: "A".into(),
            list_kind: "Many".into(),
            schema: Some(Arc::new(schema)),
            ..Resource::default()
        }
    }

    fn published(schema: Value, edition: Edition) -> Value {
        let mut out = Map::new();
        schemas(&row(schema), edition, &mut out);
        assert!(out.contains_key("io.g.v1.Many"), "lists are called by their own kind");
        out["io.g.v1.A"].clone()
    }

    /// What is published of a field of such an object.
    fn field(schema: Value, edition: Edition) -> Value {
        let object = json!({"type": "object", "required": ["f"], "properties": {"f": schema}});
        published(object, edition)["properties"]["f"].clone()
    }

    #[test]
    fn what_is_embedded_says_what_it_is() {
        let open = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
        let told = field(open.clone(), Edition::V3);
        assert_eq!(told["required"], json!(["kind", "apiVersion"]));
        assert_eq!(
            told["properties"]["metadata"]["allOf"][0]["$ref"],
            format!("#/components/schemas/{META}.ObjectMeta")
        );
        assert_eq!(
            field(open, Edition::V2),
            json!({"x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true})
        );
    }

    #[test]
    fn old_clients_are_told_of_less() {
        let nullable = json!({"type": "array", "nullable": true, "items": {"type": "string"}, "description": "d"});
        let object =
            json!({"type": "object", "required": ["f", "g"], "properties": {"f": nullable, "g": {"type": "string"}}});
        let told = published(object.clone(), Edition::V2);
        assert_eq!((&told["required"], &told["properties"]["f"]), (&json!(["g"]), &json!({"description": "d"})));
        assert_eq!(published(object, Edition::V3)["properties"]["f"]["nullable"], true);
        let rules = json!([{"rule": "true"}]);
        let strict = json!({"type": "string", "not": {"pattern": "a"}, "x-kubernetes-validations": rules});
        assert_eq!(field(strict, Edition::V2), json!({"type": "string", "x-kubernetes-validations": rules}));
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"f": {}}});
        let kind = json!([{"group": "g.io", "version": "v1", "kind": "A"}]);
        assert_eq!(
            published(anything, Edition::V2),
            json!({"type": "object", "x-kubernetes-group-version-kind": kind})
        );
    }

    #[test]
    fn fields_that_can_be_selected_are_told_of() {
        let fields = ["metadata.name", "metadata.namespace", "spec.a"].map(str::to_owned).to_vec();
        let row = Resource { field_selectors: fields, ..row(json!({"type": "object"})) };
        let told = of_objects(&row, Edition::V3);
        assert_eq!(told["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.a"}]));
        let none = published(json!({"type": "object"}), Edition::V3);
        assert!(none.get("x-kubernetes-selectable-fields").is_none());
        assert_eq!(field(json!({"type": "string", "default": "a"}), Edition::V2), json!({"type": "string"}));
    }

    #[test]
    fn fields_may_be_called_as_keywords_are() {
        let words = json!({"type": "object", "properties": {"not": {"type": "string"}, "example": {"type": "string"}}});
        assert_eq!(field(words.clone(), Edition::V2), words);
    }

    #[test]
    fn an_integer_or_a_string_is_spelled_out_beside_what_else_there_is() {
        let union = json!([{"type": "integer"}, {"type": "string"}]);
        let any = json!([{"pattern": "a"}]);
        let told = field(json!({"x-kubernetes-int-or-string": true, "anyOf": any, "example": 1}), Edition::V3);
        assert_eq!(told, json!({"x-kubernetes-int-or-string": true, "anyOf": any, "allOf": [{"anyOf": union}]}));
        let told = field(json!({"x-kubernetes-int-or-string": true}), Edition::V3);
        assert_eq!(told["anyOf"], union);
    }
}
