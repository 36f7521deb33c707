//! Messages that are no plain structs: times, quantities, raw JSON, the unions of CRD schemas.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::wire::{Reader, Wire, Writer};
use super::{MAGIC, ProtobufError};
use crate::time;
use crate::types::{self, Special, Type};

const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// What the schemas in the unions of CRDs are.
pub(super) fn schema_type() -> &'static Type {
    types::by_name(SCHEMA).expect("the type table has the schema of CRDs")
}

/// Reads a message of [`schema_type`].
type ReadSchema<'r> = &'r dyn Fn(&[u8]) -> Result<Value, ProtobufError>;
/// Makes such a message.
type WriteSchema<'w> = &'w dyn Fn(&Value) -> Vec<u8>;

/// Reads a special message.
pub(super) fn read(special: Special, bytes: &[u8], depth: u8, schema: ReadSchema<'_>) -> Result<Value, ProtobufError> {
    match special {
        Special::Time | Special::MicroTime => read_time(special, bytes),
        Special::Quantity => Ok(first_text(bytes)?.map_or(Value::Null, Value::from)),
        Special::Duration => read_duration(bytes),
        Special::IntOrString => read_int_or_string(bytes),
        Special::StringList => read_strings(bytes),
        Special::FieldsV1 | Special::Json | Special::RawExtension | Special::Unknown => read_raw(bytes, depth),
        Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray => {
            read_schema(special, bytes, schema)
        }
    }
}

/// Writes a special message's fields.
pub(super) fn write(special: Special, value: &Value, out: &mut Writer, schema: WriteSchema<'_>) {
    match special {
        Special::Time | Special::MicroTime => write_time(special, value, out),
        Special::Quantity => {
            let text = value
                .as_str()
                .map_or_else(|| if value.is_null() { "0".to_owned() } else { value.to_string() }, str::to_owned);
            out.bytes(1, text.as_bytes());
        }
        Special::Duration => out.integer(1, parse_duration(value.as_str().unwrap_or_default())),
        Special::IntOrString => {
            let text = value.as_str();
            out.integer(1, i64::from(text.is_some()));
            out.integer(2, value.as_i64().unwrap_or_default());
            out.bytes(3, text.unwrap_or_default().as_bytes());
        }
        Special::StringList => {
            value
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|v| out.bytes(1, v.as_str().unwrap_or_default().as_bytes()));
        }
        Special::FieldsV1 | Special::Json | Special::RawExtension | Special::Unknown => {
            if !value.is_null() {
                out.bytes(1, value.to_string().as_bytes());
            }
        }
        Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray => {
            write_schema(special, value, out, schema);
        }
    }
}

/// Raw JSON of an embedded document.
pub(super) fn json(number: u32, bytes: &[u8]) -> Result<Value, ProtobufError> {
    serde_json::from_slice(bytes).map_err(|_| ProtobufError::Text(number))
}

fn first_text(bytes: &[u8]) -> Result<Option<&str>, ProtobufError> {
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            found = Some(wire.text(1)?);
        }
    }
    Ok(found)
}

fn read_time(special: Special, bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanos) = (None, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => seconds = Some(wire.integer(1)?),
            2 => nanos = wire.integer(2)?,
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let nanos = i32::try_from(nanos).map_err(|_| ProtobufError::Text(2))?;
    let at = Timestamp::new(seconds, nanos).map_err(|_| ProtobufError::Text(1))?;
    Ok(if special == Special::Time { time::seconds(at) } else { time::micros(at) }.into())
}

fn write_time(special: Special, value: &Value, out: &mut Writer) {
    let Some(at) = value.as_str().and_then(time::read) else { return };
    out.integer(1, at.as_second());
    out.integer(2, if special == Special::Time { 0 } else { i64::from(at.subsec_nanosecond()) });
}

fn read_duration(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut nanos = 0;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            nanos = wire.integer(1)?;
        }
    }
    Ok(format!("{}s", nanos / 1_000_000_000).into())
}

/// Whole seconds are all that served types hold.
fn parse_duration(text: &str) -> i64 {
    text.strip_suffix('s').and_then(|s| s.parse::<i64>().ok()).unwrap_or_default().saturating_mul(1_000_000_000)
}

fn read_int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((field, wire)) = reader.next()? {
        match field {
            1 => is_text = wire.integer(1)? == 1,
            2 => number = wire.integer(2)?,
            3 => text = wire.text(3)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

fn read_strings(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut texts = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            texts.push(Value::from(wire.text(1)?));
        }
    }
    Ok(texts.into())
}

/// Raw JSON; an object embedded in its protobuf form is read as one.
fn read_raw(bytes: &[u8], depth: u8) -> Result<Value, ProtobufError> {
    let mut reader = Reader::new(bytes);
    let mut found = Value::Null;
    while let Some((number, wire)) = reader.next()? {
        if number != 1 {
            continue;
        }
        let raw = wire.bytes(1)?;
        found = match raw {
            [] => Value::Null,
            raw if raw.starts_with(&MAGIC) => super::decode_within(raw, "", "", depth + 1)?,
            raw => json(1, raw)?,
        };
    }
    Ok(found)
}

fn read_schema(special: Special, bytes: &[u8], schema: ReadSchema<'_>) -> Result<Value, ProtobufError> {
    let (mut found, mut others, mut allows) = (None, Vec::new(), true);
    let schema_field = if special == Special::SchemaOrBool { 2 } else { 1 };
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (special, number, wire) {
            (Special::SchemaOrBool, 1, Wire::Varint(value)) => allows = value != 0,
            (_, n, wire) if n == schema_field => found = Some(schema(wire.bytes(n)?)?),
            (Special::SchemaOrArray, 2, wire) => others.push(schema(wire.bytes(2)?)?),
            (Special::SchemaOrStringArray, 2, wire) => others.push(wire.text(2)?.into()),
            _ => {}
        }
    }
    Ok(match found {
        Some(schema) => schema,
        None if special == Special::SchemaOrBool => allows.into(),
        None => json!(others),
    })
}

fn write_schema(special: Special, value: &Value, out: &mut Writer, schema: WriteSchema<'_>) {
    if special == Special::SchemaOrBool {
        out.integer(1, i64::from(value.as_bool().unwrap_or(true)));
        if value.is_object() {
            out.bytes(2, &schema(value));
        }
        return;
    }
    match value {
        Value::Array(values) if special == Special::SchemaOrArray => {
            values.iter().for_each(|v| out.bytes(2, &schema(v)))
        }
        Value::Array(values) => values.iter().for_each(|v| out.bytes(2, v.as_str().unwrap_or_default().as_bytes())),
        Value::Object(_) => out.bytes(1, &schema(value)),
        _ => {}
    }
}
