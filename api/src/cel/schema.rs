//! Structural schemas as CEL types, and values by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use jiff::Timestamp;
use serde_json::Value;

use super::builtin::object_meta;
use super::identifier::escaped;
use super::list::{Elements, List};
use super::moment::Moment;
use super::{Key, Type, Val};
use crate::schema::{additional, is_embedded, is_int_or_string, is_type_field, items, list_keys, properties, text};

/// The type of values of a schema; `None` if rules cannot see them, as nothing says what they are.
#[must_use]
pub fn type_of_schema(schema: &Value, root: bool) -> Option<Type> {
    let names = ["name", "generateName"].map(|name| (name.to_owned(), Type::Text));
    typed(schema, root, &Type::object("metadata", names))
}

/// The type of a custom kind's objects as the schemas have it that are published of it: with all of their metadata.
pub(super) fn type_of_custom(schema: &Value) -> Option<Type> {
    typed(schema, true, &object_meta())
}

/// `metadata` is its type wherever an object has a type of its own.
fn typed(schema: &Value, root: bool, metadata: &Type) -> Option<Type> {
    if is_int_or_string(schema) {
        return Some(Type::Dyn);
    }
    Some(match (text(schema, "type"), text(schema, "format")) {
        ("boolean", _) => Type::Bool,
        ("integer", _) => Type::Int,
        ("number", _) => Type::Double,
        ("string", "byte") => Type::Bytes,
        ("string", "duration") => Type::Duration,
        ("string", "date" | "date-time") => Type::Time,
        ("string", _) => Type::Text,
        ("array", _) => Type::list(typed(items(schema)?, false, metadata)?),
        ("object", _) => object_type(schema, root, metadata)?,
        _ => return None,
    })
}

fn object_type(schema: &Value, root: bool, metadata: &Type) -> Option<Type> {
    if let Some(values) = additional(schema) {
        return Some(Type::map(typed(values, false, metadata)?));
    }
    let mut fields = BTreeMap::new();
    for (name, of) in properties(schema).into_iter().flatten() {
        if let (Some(name), Some(of)) = (escaped(name), typed(of, false, metadata)) {
            fields.insert(name, of);
        }
    }
    if root || is_embedded(schema) {
        fields.insert("apiVersion".into(), Type::Text);
        fields.insert("kind".into(), Type::Text);
        fields.insert("metadata".into(), metadata.clone());
    }
    Some(Type::object("object", fields))
}

/// A JSON value as its schema says to read it.
#[must_use]
pub fn value_of_schema(value: &Value, schema: &Value, root: bool) -> Val {
    match value {
        Value::String(own) => text_value(own, schema),
        #[expect(clippy::cast_precision_loss, reason = "a schema of type number makes doubles")]
        Value::Number(number) if text(schema, "type") == "number" => {
            Val::Double(number.as_f64().or_else(|| number.as_i64().map(|n| n as f64)).unwrap_or_default())
        }
        Value::Array(list) => match items(schema) {
            Some(of) => {
                let list = list.iter().map(|item| value_of_schema(item, of, false)).collect();
                Val::List(Arc::new(List::of(list, elements(schema))))
            }
            None => Val::from_json(value),
        },
        Value::Object(map) => {
            let typed = root || is_embedded(schema);
            let is_map = additional(schema).is_some();
            let pairs = map.iter().filter_map(|(name, value)| {
                let declared = properties(schema).and_then(|all| all.get(name)).or_else(|| additional(schema));
                let key = if is_map { name.clone() } else { escaped(name)? };
                let value = match declared {
                    Some(of) if !(typed && is_type_field(name)) => value_of_schema(value, of, false),
                    _ => Val::from_json(value),
                };
                Some((Key::Text(Arc::from(key)), value))
            });
            Val::Map(Arc::new(pairs.collect()))
        }
        _ => Val::from_json(value),
    }
}

/// What tells the elements of a list apart.
fn elements(schema: &Value) -> Elements {
    match text(schema, "x-kubernetes-list-type") {
        "set" => Elements::Set,
        "map" => {
            let name = |key: &str| escaped(key).unwrap_or_else(|| key.to_owned());
            Elements::Keyed(list_keys(schema).map(name).collect())
        }
        _ => Elements::Placed,
    }
}

/// A time, read less strictly than expressions read one.
fn moment(text: &str) -> Option<Moment> {
    text.parse().ok().map(|time: Timestamp| Moment::written(time, text)).or_else(|| Moment::read(text))
}

fn text_value(own: &str, schema: &Value) -> Val {
    let read = match text(schema, "format") {
        "byte" => base64::engine::general_purpose::STANDARD.decode(own).ok().map(|bytes| Val::Bytes(bytes.into())),
        "duration" => crate::schema::duration(own).map(Val::Duration),
        "date-time" => moment(own).map(Val::Time),
        "date" => moment(&format!("{own}T00:00:00Z")).map(Val::Time),
        _ => None,
    };
    read.unwrap_or_else(|| Val::text(own))
}
