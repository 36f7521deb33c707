//! JSON to the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::embedded;
use super::wire::Writer;
use crate::types::{Element, Field, Shape, Special, Type};

/// The message of a struct or special value.
pub(super) fn message(of: &Type, value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    if let Some(special) = of.special {
        embedded::write(special, value, &mut out, &|value: &Value| message(embedded::schema_type(), value));
        return out.into_bytes();
    }
    let mut fields: Vec<&Field> = of.fields.iter().filter(|f| f.number != 0).collect();
    fields.sort_by_key(|f| f.number);
    for field in fields {
        // The members of an inlined struct stand beside the others in JSON, in a message of their own on the wire.
        let held = if field.inlined { Some(value) } else { value.get(field.json).filter(|v| !v.is_null()) };
        match field.shape {
            Shape::Single => single(field, held, &mut out),
            Shape::List => {
                for element in held.and_then(Value::as_array).into_iter().flatten() {
                    put(field, field.number, element, &mut out);
                }
            }
            Shape::Map => {
                for (key, element) in held.and_then(Value::as_object).into_iter().flatten() {
                    entry(field, key, element, &mut out);
                }
            }
        }
    }
    out.into_bytes()
}

fn single(field: &Field, value: Option<&Value>, out: &mut Writer) {
    match value {
        Some(value) => put(field, field.number, value, out),
        None if field.pointer || field.element == Element::Bytes || is_raw(field) => {}
        None => put(field, field.number, &Value::Null, out),
    }
}

/// Lists in disguise are written only when there is something in them.
fn is_raw(field: &Field) -> bool {
    field.special() == Some(Special::StringList) && field.nullable
}

fn entry(field: &Field, key: &str, value: &Value, out: &mut Writer) {
    let mut inner = Writer::default();
    inner.bytes(1, key.as_bytes());
    put(field, 2, value, &mut inner);
    out.bytes(field.number, &inner.into_bytes());
}

/// One value under a field number; null is the zero value.
fn put(field: &Field, number: u16, value: &Value, out: &mut Writer) {
    match field.element {
        Element::String => out.bytes(number, value.as_str().unwrap_or_default().as_bytes()),
        Element::Int32 | Element::Int64 => out.integer(number, value.as_i64().unwrap_or_default()),
        Element::Bool => out.integer(number, i64::from(value.as_bool().unwrap_or_default())),
        Element::Double => out.double(number, value.as_f64().unwrap_or_default()),
        Element::Bytes => out.bytes(number, &STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()),
        Element::Any => out.bytes(number, value.to_string().as_bytes()),
        Element::Object(id) => {
            let empty = Value::Object(Map::new());
            let special = id.get().special.is_some();
            let value = if value.is_null() && !special { &empty } else { value };
            out.bytes(number, &message(id.get(), value));
        }
    }
}
