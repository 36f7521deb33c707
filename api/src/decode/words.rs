//! What Go calls values and types.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};

use super::named;
use crate::types::{Element, Field, Shape};

pub(super) use crate::json::type_name as kind;

/// Go accepts trailing bits but wants the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The kind of the Go value that a JSON value is held in.
pub(super) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// Why a value of a map cannot become one of a Go type: Go converts numbers to strings, and only JSON knows that it may not.
pub(super) fn unconverted(value: &Value, element: Element, wanted: &str) -> String {
    let convertible = match element {
        Element::String => value.is_i64() || value.is_u64(),
        Element::Int32 | Element::Int64 => value.is_number(),
        Element::Bytes => return format!("cannot restore slice from {}", go_kind(value)),
        _ => false,
    };
    if convertible {
        return format!("cannot convert {} to {wanted}", go_kind(value));
    }
    format!("unrecognized type: {}", plain_type(element))
}

/// A float without a fraction, which becomes an integer where a map is converted.
pub(super) fn whole(number: &Number) -> Option<Value> {
    let found = Some(float(number)).filter(|_| number.is_f64());
    found.filter(|found| found.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok()))
}

/// What Go calls a type that is no struct.
fn plain_type(element: Element) -> &'static str {
    match element {
        Element::String => "string",
        Element::Int32 => "int32",
        Element::Int64 => "int64",
        Element::Bool => "bool",
        Element::Double => "float64",
        Element::Bytes => "[]uint8",
        Element::Any => "interface {}",
        Element::Object(id) => id.get().go_name(),
    }
}

/// The Go type of one value of a field.
pub(super) fn element_type(owner: &str, field: &Field) -> String {
    named::element(owner, field.json).unwrap_or_else(|| plain_type(field.element)).to_owned()
}

/// The Go type of a whole field.
pub(super) fn field_type(owner: &str, field: &Field) -> String {
    if let Some(map) = named::map(owner, field.json) {
        return map.to_owned();
    }
    let element = element_type(owner, field);
    match field.shape {
        Shape::Single => element,
        Shape::List => format!("[]{element}"),
        Shape::Map if element == "resource.Quantity" => "v1.ResourceList".to_owned(),
        Shape::Map => format!("map[string]{element}"),
    }
}

/// A float as Go writes it: whole numbers without a point.
pub(super) fn float(number: &Number) -> Value {
    match number.as_f64() {
        #[allow(clippy::cast_possible_truncation, reason = "whole and far below 2^53")]
        Some(f) if f.fract() == 0.0 && f.abs() < 1e15 => Value::from(f as i64),
        _ => Value::Number(number.clone()),
    }
}

/// Bytes as JSON shows them.
pub(super) fn encoded(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Where Go finds fault with what is no base64. Line ends mean nothing, but are counted.
fn corrupt_at(text: &[u8]) -> usize {
    let mut digits = 0;
    let mut bytes = text.iter().copied().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    while let Some((at, byte)) = bytes.next() {
        match (byte, digits) {
            (b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/', _) => digits = (digits + 1) % 4,
            (b'=', 2) => match bytes.next() {
                Some((_, b'=')) => return bytes.next().map_or(text.len(), |(garbage, _)| garbage),
                Some((other, _)) => return other - 1,
                None => return text.len(),
            },
            (b'=', 3) => return bytes.next().map_or(text.len(), |(garbage, _)| garbage),
            _ => return at,
        }
    }
    text.len() - digits
}

/// Canonical base64.
///
/// # Errors
/// Go's complaint about what is none.
pub fn base64(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = BASE64
        .decode(digits)
        .map_err(|_| format!("illegal base64 data at input byte {}", corrupt_at(text.as_bytes())))?;
    Ok(encoded(&bytes))
}
