//! Tables of custom resources, from the printer columns of their definition.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cell::text;
use super::{Rendered, definition, described, duration};
use crate::meta;

/// Prints custom resources. `printer` is `additionalPrinterColumns` of the version served; without any, there is a
/// column for the age.
#[must_use]
pub fn render(printer: &[Value], objects: &[Value], now: Timestamp) -> Rendered {
    let age = [json!({
        "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": super::texts::describe("", "Age"),
    })];
    let printer = if printer.is_empty() { &age } else { printer };
    let mut columns = vec![described("", &json!({"name": "Name", "type": "string", "format": "name"}))];
    columns.extend(printer.iter().map(column));
    let row = |object: &Value| {
        let mut cells = vec![Value::from(meta::name(object))];
        cells.extend(printer.iter().map(|column| cell(column, object, now)));
        json!({"cells": cells})
    };
    Rendered { columns: Value::Array(columns), rows: objects.iter().map(row).collect() }
}

/// A column is described by its path if its definition says nothing; the age is described as everywhere.
fn column(printer: &Value) -> Value {
    let path = text(printer, "/jsonPath");
    let mut column = definition(printer);
    if text(printer, "/description").is_empty() {
        column["description"] = format!("Custom resource definition column (in JSONPath format): {path}").into();
    }
    column
}

fn cell(column: &Value, object: &Value, now: Timestamp) -> Value {
    let Some(value) = find(object, text(column, "/jsonPath")) else { return Value::Null };
    match text(column, "/type") {
        "string" => match value {
            Value::Object(_) | Value::Array(_) => crate::field::go_json(value).into(),
            other => crate::field::go_value(other).into(),
        },
        #[expect(clippy::cast_possible_truncation, reason = "fractions are cut off, as Kubernetes does")]
        "integer" => {
            value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)).map_or(Value::Null, Value::from)
        }
        "number" if value.is_number() => value.clone(),
        "boolean" if value.is_boolean() => value.clone(),
        "date" => match value.as_str().map(crate::time::read) {
            Some(Some(time)) => duration(now.as_second() - time.as_second()).into(),
            Some(None) => "<invalid>".into(),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

/// The first value at a JSON path of names, indexes, `[*]` and equality filters.
fn find<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    let mut found = vec![object];
    for step in steps(path) {
        found = found.into_iter().flat_map(|value| take(value, &step)).collect();
    }
    found.into_iter().find(|value| !value.is_null())
}

/// The steps of a path, brackets taken off: `.a['b.c'][0]` is `a`, `b.c`, `0`.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut step = String::new();
    let mut quote = None;
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            step.extend(chars.next());
            continue;
        }
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('.' | '[', None) if !step.starts_with('?') => steps.push(std::mem::take(&mut step)),
            (']', None) => steps.push(std::mem::take(&mut step)),
            (c, _) => step.push(c),
        }
    }
    steps.push(step);
    steps.retain(|step| !step.is_empty());
    steps
}

fn take<'v>(value: &'v Value, step: &str) -> Vec<&'v Value> {
    match value {
        Value::Array(list) => {
            if step == "*" {
                return list.iter().collect();
            }
            if let Some((field, wanted)) = filter(step) {
                return list.iter().filter(|item| matches(item, field, wanted)).collect();
            }
            let index = step.parse::<i64>().ok().map(|index| if index < 0 { index + list.len() as i64 } else { index });
            index.and_then(|index| list.get(usize::try_from(index).ok()?)).into_iter().collect()
        }
        Value::Object(map) if step == "*" => map.values().collect(),
        Value::Object(map) => map.get(step).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `?(@.type=="Ready")`, quotes already taken off.
fn filter(step: &str) -> Option<(&str, &str)> {
    let inner = step.strip_prefix("?(@.")?.strip_suffix(')')?;
    let (field, wanted) = inner.split_once("==")?;
    Some((field.trim(), wanted.trim()))
}

fn matches(item: &Value, field: &str, wanted: &str) -> bool {
    item.get(field).is_some_and(|value| crate::field::go_value(value) == wanted)
}
