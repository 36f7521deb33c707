//! Schemas of types.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::operation::Edition;
use super::prose::Prose;
use super::{META, custom};
use crate::resource::Resource;
use crate::types::go_order::in_order;
use crate::types::{self, Element, Field, ListType, Shape, Type};

/// Types that every document speaks of.
const GENERAL: [&str; 6] = ["Status", "DeleteOptions", "WatchEvent", "ObjectMeta", "ListMeta", "Time"];

/// The schemas of all types that the paths of these rows speak of, and of some more, by name.
pub(super) fn closure(rows: &[&Resource], more: &[&str], edition: Edition) -> Map<String, Value> {
    let prose = Prose::read();
    let mut out = Map::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&'static Type> = Vec::new();
    for row in rows {
        open.extend(row.object_type());
        open.extend(types::type_of(&row.group, &row.version, &row.list_kind));
        open.extend(row.subresources.iter().filter_map(|s| types::type_of(&s.group, &s.version, &s.kind)));
        if row.is_custom() {
            custom::schemas(row, edition, &mut out);
        }
    }
    if !rows.is_empty() {
        open.extend(GENERAL.iter().filter_map(|name| types::by_name(&format!("{META}.{name}"))));
    }
    open.extend(more.iter().filter_map(|name| types::by_name(name)));
    while let Some(of) = open.pop() {
        if seen.insert(of.id()) && !is_inline(of) {
            open.extend(of.members().filter_map(|f| f.object()));
            out.insert(of.name.to_owned(), structure(of, edition, &prose));
        }
    }
    if !rows.is_empty() {
        out.insert(format!("{META}.Patch"), json!({"type": "object"}));
    }
    of_every_group(rows, &mut out);
    out
}

/// These are sent to, or come from, every group that a document is about.
fn of_every_group(rows: &[&Resource], out: &mut Map<String, Value>) {
    let groups: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.group.as_str(), row.version.as_str())).collect();
    for kind in ["DeleteOptions", "WatchEvent"] {
        let of = |(group, version): &(&str, &str)| json!({"group": group, "version": version, "kind": kind});
        if let Some(schema) = out.get_mut(&format!("{META}.{kind}")) {
            schema["x-kubernetes-group-version-kind"] = groups.iter().map(of).collect();
        }
    }
}

/// Types that OpenAPI does not name.
fn is_inline(of: &Type) -> bool {
    of.hidden
}

fn structure(of: &'static Type, edition: Edition, prose: &Prose) -> Value {
    let mut out = match &of.openapi {
        Some(given) => given_form(given, edition),
        None => Value::Object(members(of, edition, prose)),
    };
    if let Some(words) = prose.of_type(of) {
        out["description"] = words.into();
    }
    out
}

fn given_form(given: &Value, edition: Edition) -> Value {
    match (edition, given.get("oneOf")) {
        (Edition::V2, Some(_)) => json!({"type": "string"}),
        _ => given.clone(),
    }
}

fn members(of: &'static Type, edition: Edition, prose: &Prose) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("type".into(), "object".into());
    let described = |field: &Field| {
        let mut schema = property(field, edition);
        let words = prose.of_field(of, field);
        schema.extend(words.map(|words| ("description".to_owned(), words.into())));
        edition.enclose(&mut schema);
        (field.json.to_owned(), Value::Object(schema))
    };
    let properties: Map<String, Value> = of.members().map(described).collect();
    if !properties.is_empty() {
        out.insert("properties".into(), properties.into());
    }
    let required: Vec<&str> = in_order(of).into_iter().filter(|f| f.required).map(|f| f.json).collect();
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
    out
}

fn property(field: &Field, edition: Edition) -> Map<String, Value> {
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
    out
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

fn items(field: &Field, edition: Edition) -> Value {
    let mut out = element(field, edition);
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
    let items = json!({"type": "string"});
    Map::from_iter([("type".to_owned(), "array".into()), ("items".to_owned(), items)])
}
