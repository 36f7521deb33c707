//! The stored form of an object: JSON with `apiVersion` and `kind` first and `resourceVersion` first in the metadata,
//! so that a list can drop the header and a write can leave a hole for the revision without looking at the rest.

use bytes::Bytes;
use serde_json::{Map, Value};

/// An object's bytes with a hole for the revision.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// JSON with an empty `resourceVersion`.
    pub bytes: Bytes,
    /// Offset at which the revision's digits go.
    pub splice: u32,
}

impl Encoded {
    /// The bytes as they are at a revision.
    pub fn at(&self, revision: u64) -> Bytes {
        let at = self.splice as usize;
        let digits = revision.to_string();
        let mut out = Vec::with_capacity(self.bytes.len() + digits.len());
        out.extend_from_slice(&self.bytes[..at]);
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(&self.bytes[at..]);
        out.into()
    }
}

/// Encodes an object, leaving its revision open.
pub fn encode(object: &Value) -> Encoded {
    let mut out = Vec::with_capacity(1024);
    push_header(&mut out, object);
    out.extend_from_slice(b"\"metadata\":{\"resourceVersion\":\"");
    let splice = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out.push(b'"');
    let empty = Map::new();
    let map = object.as_object().unwrap_or(&empty);
    let metadata = map.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    push_members(&mut out, metadata, &["resourceVersion"]);
    out.push(b'}');
    push_members(&mut out, map, &["apiVersion", "kind", "metadata"]);
    out.push(b'}');
    Encoded { bytes: out.into(), splice }
}

fn push_header(out: &mut Vec<u8>, object: &Value) {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    out.extend_from_slice(&header(&text("apiVersion"), &text("kind")));
}

fn push_members(out: &mut Vec<u8>, map: &Map<String, Value>, without: &[&str]) {
    for (key, value) in map {
        if without.contains(&key.as_str()) {
            continue;
        }
        out.push(b',');
        push_json(out, &Value::String(key.clone()));
        out.push(b':');
        push_json(out, value);
    }
}

fn push_json(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a JSON value always serialises into memory");
}

/// How the stored bytes of a kind begin.
pub fn header(api_version: &str, kind: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"{\"apiVersion\":");
    push_json(&mut out, &Value::String(api_version.to_owned()));
    out.extend_from_slice(b",\"kind\":");
    push_json(&mut out, &Value::String(kind.to_owned()));
    out.push(b',');
    out
}

/// The bytes without `apiVersion` and `kind`, as lists of built-in kinds carry their items.
pub fn without_header<'a>(bytes: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    bytes.strip_prefix(header)
}

/// Parses stored bytes.
pub fn decode(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revision_goes_into_its_hole() {
        let object = json!({"apiVersion": "v1", "kind": "A", "data": {"x": "y"}, "metadata": {"name": "n", "resourceVersion": "7"}});
        let encoded = encode(&object);
        let back = decode(&encoded.at(42));
        assert_eq!(back["metadata"]["resourceVersion"], "42");
        assert_eq!(back["data"], object["data"]);
        assert!(without_header(&encoded.bytes, &header("v1", "A")).is_some());
    }
}
