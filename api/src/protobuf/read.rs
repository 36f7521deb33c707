//! The wire to JSON, with the presence rules of JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::{Reader, Wire};
use super::{ProtobufError, embedded};
use crate::decode;
use crate::types::{Element, Field, Shape, Type};

/// Deeper nesting is an attack, not an object.
const DEEPEST: u8 = 100;

/// An object's message in normal form.
pub(super) fn message(of: &Type, bytes: &[u8], depth: u8) -> Result<Value, ProtobufError> {
    let raw = structure(of, bytes, depth)?;
    Ok(decode::canonical(of, &raw))
}

/// Members as they are on the wire; zero ones are dropped by normalisation.
pub(super) fn structure(of: &Type, bytes: &[u8], depth: u8) -> Result<Value, ProtobufError> {
    if depth > DEEPEST {
        return Err(ProtobufError::Depth);
    }
    if let Some(special) = of.special {
        let schema = |bytes: &[u8]| structure(embedded::schema_type(), bytes, depth + 1);
        return embedded::read(special, bytes, depth, &schema);
    }
    let mut out = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        let known = of.fields.iter().find(|f| f.number != 0 && u32::from(f.number) == number);
        if let Some(field) = known {
            add(field, number, wire, depth, &mut out)?;
        }
    }
    Ok(Value::Object(out))
}

fn add(field: &Field, number: u32, wire: Wire, depth: u8, out: &mut Map<String, Value>) -> Result<(), ProtobufError> {
    match field.shape {
        Shape::Single if field.inlined => {
            if let Value::Object(members) = element(field, number, wire, depth)? {
                out.extend(members);
            }
        }
        Shape::Single => {
            out.insert(field.json.to_owned(), element(field, number, wire, depth)?);
        }
        Shape::List => {
            let value = element(field, number, wire, depth)?;
            let list = out.entry(field.json).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().expect("it was made a list").push(value);
        }
        Shape::Map => {
            let (key, value) = entry(field, wire.bytes(number)?, depth)?;
            let map = out.entry(field.json).or_insert_with(|| Value::Object(Map::new()));
            map.as_object_mut().expect("it was made a map").insert(key, value);
        }
    }
    Ok(())
}

fn entry(field: &Field, bytes: &[u8], depth: u8) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut value) = (String::new(), Value::Null);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => key = wire.text(1)?.to_owned(),
            2 => value = element(field, 2, wire, depth)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn element(field: &Field, number: u32, wire: Wire, depth: u8) -> Result<Value, ProtobufError> {
    Ok(match field.element {
        Element::String => wire.text(number)?.into(),
        Element::Int32 | Element::Int64 => wire.integer(number)?.into(),
        Element::Bool => (wire.integer(number)? != 0).into(),
        Element::Double => wire.double(number)?.into(),
        Element::Bytes => STANDARD.encode(wire.bytes(number)?).into(),
        Element::Any => embedded::json(number, wire.bytes(number)?)?,
        Element::Object(id) => structure(id.get(), wire.bytes(number)?, depth + 1)?,
    })
}
