//! Schemas of types.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::operation::Edition;
use super::{META, schema_name};
use crate::resource::Resource;
use crate::types::{self, Element, Field, ListType, Shape, Type};

/// Types that every document speaks of.
const GENERAL: [&str; 6] = ["Status", "DeleteOptions", "WatchEvent", "ObjectMeta", "ListMeta", "Time"];

/// The schemas of all types that the paths of these rows speak of, by name.
pub(super) fn closure(rows: &[&Resource], edition: Edition) -> Map<String, Value> {
    let mut out = Map::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&'static Type> = Vec::new();
    for row in rows {
        open.extend(row.object_type());
        open.extend(types::type_of(&row.group, &row.version, &row.list_kind));
        open.extend(row.subresources.iter().filter_map(|s| types::type_of(&s.group, &s.version, &s.kind)));
        if row.type_name.is_empty() {
            custom(row, edition, &mut out);
        }
    }
    open.extend(GENERAL.iter().filter_map(|name| types::by_name(&format!("{META}.{name}"))));
    while let Some(of) = open.pop() {
        if seen.insert(of.id()) && !is_inline(of) {
            open.extend(of.members().filter_map(|f| f.object()));
            out.insert(of.name.to_owned(), structure(of, edition));
        }
    }
    out.insert(format!("{META}.Patch"), json!({"type": "object"}));
    out
}

/// Kinds of custom resources are open objects here; their own schemas come with their definitions.
fn custom(row: &Resource, edition: Edition, out: &mut Map<String, Value>) {
    let name = schema_name(row);
    let gvk = json!([{"group": row.group, "version": row.version, "kind": row.kind}]);
    let meta = |kind: &str| json!({"$ref": edition.reference(&format!("{META}.{kind}"))});
    let text = json!({"type": "string"});
    out.insert(
        format!("{name}List"),
        json!({
            "type": "object", "required": ["items"],
            "properties": {"apiVersion": text, "kind": text, "metadata": meta("ListMeta"),
                           "items": {"type": "array", "items": {"$ref": edition.reference(&name)}}},
            "x-kubernetes-group-version-kind": [{"group": row.group, "version": row.version, "kind": row.list_kind}],
        }),
    );
    out.insert(
        name,
        json!({
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"apiVersion": text, "kind": text, "metadata": meta("ObjectMeta")},
            "x-kubernetes-group-version-kind": gvk,
        }),
    );
}

/// Types that OpenAPI does not name.
fn is_inline(of: &Type) -> bool {
    of.hidden
}

fn structure(of: &Type, edition: Edition) -> Value {
    if let Some(given) = &of.openapi {
        return match (edition, given.get("oneOf")) {
            (Edition::V2, Some(_)) => json!({"type": "string"}),
            _ => given.clone(),
        };
    }
    let mut out = Map::new();
    out.insert("type".into(), "object".into());
    let properties: Map<String, Value> = of.members().map(|f| (f.json.to_owned(), property(f, edition))).collect();
    if !properties.is_empty() {
        out.insert("properties".into(), properties.into());
    }
    let required: Vec<&str> = of.members().filter(|f| f.required).map(|f| f.json).collect();
    if !required.is_empty() {
        out.insert("required".into(), required.into());
    }
    if let Some([group, version, kind]) = of.gvk {
        out.insert(
            "x-kubernetes-group-version-kind".into(),
            json!([{"group": group, "version": version, "kind": kind}]),
        );
    }
    if of.atomic {
        out.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    if let Some(unions) = &of.unions {
        out.insert("x-kubernetes-unions".into(), unions.clone());
    }
    Value::Object(out)
}

fn property(field: &Field, edition: Edition) -> Value {
    let mut out = match field.shape {
        Shape::Single => element(field, edition),
        Shape::List => Map::from_iter([("type".into(), "array".into()), ("items".into(), items(field, edition))]),
        Shape::Map => {
            Map::from_iter([("type".into(), "object".into()), ("additionalProperties".into(), items(field, edition))])
        }
    };
    let extensible = edition == Edition::V3 || !out.contains_key("$ref");
    if let Some(default) = field.default.as_ref().filter(|_| edition == Edition::V3) {
        out.insert("default".into(), default.clone());
    }
    if field.shape == Shape::Single && !field.values.is_empty() {
        out.insert("enum".into(), field.values.clone().into());
    }
    if extensible {
        out.extend(extensions(field));
    }
    Value::Object(out)
}

fn extensions(field: &Field) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: Value| out.push((format!("x-kubernetes-{name}"), value));
    if let Some(kind) = field.list_type {
        let word = match kind {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        };
        add("list-type", word.into());
    }
    if !field.list_keys.is_empty() {
        add("list-map-keys", field.list_keys.clone().into());
    }
    if field.atomic_map {
        add("map-type", "atomic".into());
    }
    if !field.patch_strategy.is_empty() {
        add("patch-strategy", field.patch_strategy.into());
    }
    if !field.patch_merge_key.is_empty() {
        add("patch-merge-key", field.patch_merge_key.into());
    }
    out
}

/// Elements that are no pointers default to their zero value.
fn items(field: &Field, edition: Edition) -> Value {
    let mut out = element(field, edition);
    if edition == Edition::V3 {
        let zero = match field.element {
            Element::Object(id) if id.get().special.is_none() => Some(json!({})),
            Element::String => Some(json!("")),
            Element::Int32 | Element::Int64 => Some(json!(0)),
            _ => None,
        };
        let default = field.element_default.clone().or(zero);
        out.extend(default.map(|d| ("default".to_owned(), d)));
    }
    if !field.values.is_empty() {
        out.insert("enum".into(), field.values.clone().into());
    }
    Value::Object(out)
}

fn element(field: &Field, edition: Edition) -> Map<String, Value> {
    let scalar = |kind: &str, format: Option<&str>| {
        let mut out = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        out.extend(format.map(|f| ("format".to_owned(), f.into())));
        out
    };
    match field.element {
        Element::String => scalar("string", None),
        Element::Int32 => scalar("integer", Some("int32")),
        Element::Int64 => scalar("integer", Some("int64")),
        Element::Bool => scalar("boolean", None),
        Element::Double => scalar("number", Some("double")),
        Element::Bytes => scalar("string", Some("byte")),
        Element::Any => Map::new(),
        Element::Object(id) if is_inline(id.get()) => string_list(),
        Element::Object(id) => edition.link(id.get().name),
    }
}

/// The unnamed types are lists of strings.
fn string_list() -> Map<String, Value> {
    let items = json!({"type": "string", "default": ""});
    Map::from_iter([("type".to_owned(), "array".into()), ("items".to_owned(), items)])
}
