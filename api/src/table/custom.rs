//! Tables of custom resources, from the printer columns of their definition.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cell::text;
use super::path::JsonPath;
use super::{Rendered, definition, described, duration};
use crate::meta;
use crate::time::Layout;

/// Prints custom resources. `printer` is `additionalPrinterColumns` of the version served; without any, there is a
/// column for the age. From one whose path cannot be read there are no more, as in Kubernetes.
#[must_use]
pub fn render(printer: &[Value], objects: &[Value], now: Timestamp) -> Rendered {
    let age = [json!({
        "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": super::texts::describe("", "Age"),
    })];
    let printer = if printer.is_empty() { &age } else { printer };
    let mut columns = vec![described("", &json!({"name": "Name", "type": "string", "format": "name"}))];
    let read = |column| Some((column, JsonPath::parse(text(column, "/jsonPath"))?));
    let printer: Vec<(&Value, JsonPath)> = printer.iter().map_while(read).collect();
    columns.extend(printer.iter().map(|(printer, _)| column(printer)));
    let row = |object: &Value| {
        let mut cells = vec![Value::from(meta::name(object))];
        cells.extend(printer.iter().map(|(column, path)| cell(column, path.first(object), now)));
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

fn cell(column: &Value, found: Option<&Value>, now: Timestamp) -> Value {
    let Some(value) = found else { return Value::Null };
    match text(column, "/type") {
        "string" => match value {
            Value::Null => "<no value>".into(),
            Value::Object(_) | Value::Array(_) => crate::field::go_json(value).into(),
            other => crate::field::go_value(other).into(),
        },
        #[expect(clippy::cast_possible_truncation, reason = "fractions are cut off, as Kubernetes does")]
        "integer" => {
            value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)).map_or(Value::Null, Value::from)
        }
        "number" if value.is_number() => value.clone(),
        "boolean" if value.is_boolean() => value.clone(),
        "date" => value.as_str().map_or(Value::Null, |text| since(text, now).into()),
        _ => Value::Null,
    }
}

/// How long ago a text says that something was.
fn since(text: &str, now: Timestamp) -> String {
    match text {
        "" | "null" => "<unknown>".to_owned(),
        text => match crate::time::parse(text, Layout::Seconds) {
            Ok(time) => duration(now.as_second() - time.as_second()),
            Err(_) => "<invalid>".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_at_no_time_is_of_unknown_age() {
        let now: Timestamp = "2020-01-01T00:01:00Z".parse().unwrap();
        let age = |text: &str| since(text, now);
        assert_eq!(["", "2020-01-01T00:00:00Z", "2020-01-01 00:00:00Z"].map(age), ["<unknown>", "60s", "<invalid>"]);
    }
}
