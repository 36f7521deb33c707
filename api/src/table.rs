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
mod path;
mod pod;
mod texts;
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
        return Rendered { columns: simple("Scale", &columns), rows };
    }
    let key = format!("{}/{}/{}", resource.group, resource.version, resource.resource);
    let Some(columns) = COLUMNS.get(&key).filter(|_| kind.is_none()) else { return fallback(objects) };
    let row = |object: &Value| {
        let mut row = Map::new();
        let cells = cells(&resource.group, &resource.resource, object, now);
        row.insert("cells".to_owned(), Value::Array(cells));
        if resource.group.is_empty() && resource.resource == "pods" {
            row.extend(pod::conditions(object).map(|conditions| ("conditions".to_owned(), conditions)));
        }
        Value::Object(row)
    };
    let columns = columns.iter().map(|column| described(&key, column)).collect();
    Rendered { columns, rows: objects.iter().map(row).collect() }
}

/// A definition with the description of the column of that table.
fn described(table: &str, column: &Value) -> Value {
    let mut definition = definition(column);
    definition["description"] = texts::describe(table, cell::text(column, "/name")).into();
    definition
}

/// A column definition with all fields that clients expect.
fn definition(column: &Value) -> Value {
    let text = |field: &str| column.get(field).and_then(Value::as_str).unwrap_or_default();
    let described = match (text("description"), text("name"), text("format")) {
        ("", "Name", "name") => texts::describe("", "Name"),
        ("", "Created At", _) => texts::describe("", "Created At"),
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

fn simple(table: &str, columns: &[(&str, &str)]) -> Value {
    columns.iter().map(|(name, kind)| described(table, &json!({"name": name, "type": kind}))).collect()
}

fn fallback(objects: &[Value]) -> Rendered {
    let columns =
        [json!({"name": "Name", "type": "string", "format": "name"}), json!({"name": "Created At", "type": "date"})];
    Rendered {
        columns: columns.iter().map(|column| described("", column)).collect(),
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
