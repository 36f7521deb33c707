//! Objects as rows of a table, as `kubectl get` shows them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::meta;
use crate::resource::Resource;

mod age;
mod cell;
mod core;
mod custom;
mod network;
mod other;
mod pod;
mod workload;

pub use age::{age, duration};
pub use custom::render as render_custom;

/// A table: definitions of its columns, and its rows without their objects.
pub struct Rendered {
    /// `columnDefinitions`.
    pub columns: Value,
    /// Rows with `cells`, and `conditions` where a row has some.
    pub rows: Vec<Value>,
}

static COLUMNS: LazyLock<BTreeMap<String, Vec<Value>>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../tables/columns.json")).expect("the committed table is JSON of this shape")
});

/// Prints objects of a built-in resource. `kind` is given where the objects are of another kind than the resource's
/// (`Scale`). Resources without columns of their own get name and creation time.
#[must_use]
pub fn render(resource: &Resource, kind: Option<&str>, objects: &[Value], now: Timestamp) -> Rendered {
    let kind = kind.filter(|kind| *kind != resource.kind);
    if kind == Some("Scale") {
        let rows = objects.iter().map(|object| json!({"cells": workload::scale(object, now)})).collect();
        let columns = [("Name", "string"), ("Desired", "integer"), ("Available", "integer"), ("Age", "string")];
        return Rendered { columns: simple(&columns), rows };
    }
    let columns = match kind {
        Some(_) => None,
        None => COLUMNS.get(&format!("{}/{}/{}", resource.group, resource.version, resource.resource)),
    };
    let Some(columns) = columns else { return fallback(objects) };
    let row = |object: &Value| {
        let mut row = Map::new();
        let cells = cells(&resource.group, &resource.resource, object, now);
        row.insert("cells".to_owned(), Value::Array(cells));
        if resource.group.is_empty() && resource.resource == "pods" {
            row.extend(pod::conditions(object).map(|conditions| ("conditions".to_owned(), conditions)));
        }
        Value::Object(row)
    };
    Rendered { columns: columns.iter().map(definition).collect(), rows: objects.iter().map(row).collect() }
}

/// A column definition with all fields that clients expect.
fn definition(column: &Value) -> Value {
    let text = |field: &str| column.get(field).and_then(Value::as_str).unwrap_or_default();
    let described = match (text("description"), text("name"), text("format")) {
        ("", "Name", "name") => NAME_WORDS,
        ("", "Created At", _) => CREATED_WORDS,
        (own, ..) => own,
    };
    json!({
        "name": text("name"),
        "type": text("type"),
        "format": text("format"),
        "description": described,
        "priority": column.get("priority").and_then(Value::as_i64).unwrap_or_default(),
    })
}

/// What the columns of kinds without own ones say.
const NAME_WORDS: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED_WORDS: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

fn simple(columns: &[(&str, &str)]) -> Value {
    columns.iter().map(|(name, kind)| definition(&json!({"name": name, "type": kind}))).collect()
}

fn fallback(objects: &[Value]) -> Rendered {
    let columns = [
        json!({"name": "Name", "type": "string", "format": "name", "description": NAME_WORDS}),
        json!({"name": "Created At", "type": "date", "description": CREATED_WORDS}),
    ];
    Rendered {
        columns: columns.iter().map(definition).collect(),
        rows: objects.iter().map(|object| json!({"cells": created_at(object)})).collect(),
    }
}

fn created_at(object: &Value) -> Vec<Value> {
    vec![meta::name(object).into(), meta::creation_timestamp(object).unwrap_or_default().into()]
}

fn cells(group: &str, resource: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let found = core::cells(group, resource, object, now)
        .or_else(|| workload::cells(group, resource, object, now))
        .or_else(|| network::cells(group, resource, object, now))
        .or_else(|| other::cells(group, resource, object, now));
    found.unwrap_or_else(|| created_at(object))
}

#[cfg(test)]
mod tests;
