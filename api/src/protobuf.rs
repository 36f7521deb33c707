//! Kubernetes' protobuf bodies, translated to and from JSON by the type table.
//!
//! A body is `k8s\0` and an envelope that names the kind; the object's own message follows inside. Fields are written in
//! ascending order; plain members always, even when zero, pointers and bytes only when there is a value.

mod embedded;
mod read;
pub(crate) mod wire;
mod write;

use serde_json::{Value, json};

use crate::resource::split_api_version;
use crate::types::{self, Type};
use wire::{Reader, Writer};

/// What every body begins with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// Why a body cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// The body does not begin with the magic bytes.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    /// The bytes end in the middle of a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A field has a wire type that its type does not allow, or an impossible number.
    #[error("proto: wrong wireType for field {0}")]
    WireType(u32),
    /// Text that is no UTF-8, or an embedded document that is no JSON.
    #[error("proto: field {0} holds malformed text")]
    Text(u32),
    /// The kind has no protobuf form.
    #[error("no protobuf form is known for kind {kind:?} of {api_version:?}")]
    Kind {
        /// Group and version, as in the envelope.
        api_version: String,
        /// Kind, as in the envelope.
        kind: String,
    },
    /// Messages nested beyond reason.
    #[error("proto: messages are nested too deeply")]
    Depth,
}

/// Reads a body; the result carries `apiVersion` and `kind`.
///
/// # Errors
/// If the body is malformed or of an unknown kind.
pub fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    decode_as(body, "", "")
}

/// Reads a body whose envelope may leave out what it is: then it is of this version and kind.
///
/// # Errors
/// If the body is malformed or of an unknown kind.
pub fn decode_as(body: &[u8], api_version: &str, kind: &str) -> Result<Value, ProtobufError> {
    let value = decode_within(body, api_version, kind, 0)?;
    let mut looks = usize::MAX;
    if crate::json::fits(&value, crate::json::DEEPEST, &mut looks) { Ok(value) } else { Err(ProtobufError::Depth) }
}

/// Reads a body that lies this deep within another.
fn decode_within(body: &[u8], api_version: &str, kind: &str, depth: u8) -> Result<Value, ProtobufError> {
    let envelope = body.strip_prefix(&MAGIC).ok_or(ProtobufError::Prefix)?;
    let (found_version, found_kind, raw) = read_envelope(envelope)?;
    let or = |found: String, default: &str| if found.is_empty() { default.to_owned() } else { found };
    let (api_version, kind) = (or(found_version, api_version), or(found_kind, kind));
    let of = kind_type(&api_version, &kind)?;
    let mut value = read::message(of, raw, depth)?;
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    Ok(value)
}

/// Writes an object or list with its envelope.
///
/// # Errors
/// If the kind has no protobuf form.
pub fn encode(value: &Value) -> Result<Vec<u8>, ProtobufError> {
    let api_version = value["apiVersion"].as_str().unwrap_or_default();
    let kind = value["kind"].as_str().unwrap_or_default();
    let raw = write::message(kind_type(api_version, kind)?, value);
    Ok(envelope(api_version, kind, &raw))
}

/// Writes a list whose objects may lack their type.
///
/// # Errors
/// If the list's kind has no protobuf form.
pub fn encode_list(
    api_version: &str,
    list_kind: &str,
    metadata: &Value,
    items: &[Value],
) -> Result<Vec<u8>, ProtobufError> {
    encode(&json!({"apiVersion": api_version, "kind": list_kind, "metadata": metadata, "items": items}))
}

/// One frame of a watch stream: four bytes of length, then a watch event around the encoded object.
///
/// # Errors
/// If the object's kind has no protobuf form.
pub fn watch_frame(event_type: &str, object: &Value) -> Result<Vec<u8>, ProtobufError> {
    let object = encode(object)?;
    let mut raw = Writer::default();
    raw.bytes(1, &object);
    let raw = raw.into_bytes();
    let mut event = Writer::default();
    event.bytes(1, event_type.as_bytes());
    event.bytes(2, &raw);
    let event = event.into_bytes();
    let length = u32::try_from(event.len()).expect("an object is limited to megabytes");
    Ok([&length.to_be_bytes()[..], &event].concat())
}

fn kind_type(api_version: &str, kind: &str) -> Result<&'static Type, ProtobufError> {
    let (group, version) = split_api_version(api_version);
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1";
    types::type_of(group, version, kind)
        .or_else(|| types::by_name(&format!("{meta}.{kind}")))
        // Discovery is no kind that anything serves as an object.
        .or_else(|| types::by_name(&format!("io.k8s.api.apidiscovery.{version}.{kind}")))
        .ok_or_else(|| ProtobufError::Kind { api_version: api_version.to_owned(), kind: kind.to_owned() })
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut type_meta = Writer::default();
    type_meta.bytes(1, api_version.as_bytes());
    type_meta.bytes(2, kind.as_bytes());
    let mut out = Writer::with_prefix(&MAGIC);
    out.bytes(1, &type_meta.into_bytes());
    out.bytes(2, raw);
    out.bytes(3, b"");
    out.bytes(4, b"");
    out.into_bytes()
}

fn read_envelope(bytes: &[u8]) -> Result<(String, String, &[u8]), ProtobufError> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => {
                let mut inner = Reader::new(field.bytes(1)?);
                while let Some((number, field)) = inner.next()? {
                    match number {
                        1 => api_version = field.text(1)?.to_owned(),
                        2 => kind = field.text(2)?.to_owned(),
                        _ => {}
                    }
                }
            }
            2 => raw = field.bytes(2)?,
            _ => {}
        }
    }
    Ok((api_version, kind, raw))
}

#[cfg(test)]
mod tests;
