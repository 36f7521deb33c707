//! Structural schemas as CEL types, and values by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use serde_json::Value;

use super::{Key, Type, Val};
use crate::schema::{additional, is_embedded, is_int_or_string, is_type_field, items, preserves, properties, text};

const RESERVED: [&str; 17] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
];

/// A field name as CEL can say it; `None` if it cannot.
#[must_use]
pub(super) fn escaped(name: &str) -> Option<String> {
    if RESERVED.contains(&name) || matches!(name, "return" | "var" | "void" | "while") {
        return Some(format!("__{name}__"));
    }
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '_' if chars.peek() == Some(&'_') => {
                chars.next();
                out.push_str("__underscores__");
            }
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            _ => return None,
        }
    }
    let starts = out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts.then_some(out)
}

/// The type of values of a schema; `None` if rules cannot see them.
#[must_use]
pub fn type_of_schema(schema: &Value, root: bool) -> Option<Type> {
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
        ("array", _) => Type::list(type_of_schema(items(schema)?, false)?),
        ("object", _) => object_type(schema, root)?,
        ("", _) if preserves(schema) => Type::Dyn,
        _ => return None,
    })
}

fn object_type(schema: &Value, root: bool) -> Option<Type> {
    if let Some(values) = additional(schema) {
        return Some(Type::map(type_of_schema(values, false)?));
    }
    let mut fields = BTreeMap::new();
    for (name, of) in properties(schema).into_iter().flatten() {
        if let (Some(name), Some(of)) = (escaped(name), type_of_schema(of, false)) {
            fields.insert(name, of);
        }
    }
    if root || is_embedded(schema) {
        fields.insert("apiVersion".into(), Type::Text);
        fields.insert("kind".into(), Type::Text);
        let names = ["name", "generateName"].map(|name| (name.to_owned(), Type::Text));
        fields.insert("metadata".into(), Type::object("metadata", names));
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
            Some(of) => Val::list(list.iter().map(|item| value_of_schema(item, of, false))),
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

fn text_value(own: &str, schema: &Value) -> Val {
    let read = match text(schema, "format") {
        "byte" => base64::engine::general_purpose::STANDARD.decode(own).ok().map(|bytes| Val::Bytes(bytes.into())),
        "duration" => super::time::parse_duration(own).map(Val::Duration),
        "date-time" => own.parse().ok().map(Val::Time),
        "date" => format!("{own}T00:00:00Z").parse().ok().map(Val::Time),
        _ => None,
    };
    read.unwrap_or_else(|| Val::text(own))
}
