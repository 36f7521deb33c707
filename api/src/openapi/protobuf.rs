//! OpenAPI documents in the protobuf form of gnostic, which older clients of Kubernetes ask for. A message is a table of
//! its fields, as gnostic numbers them.

mod message;
mod v2;
mod v3;

use serde_json::Value;

use message::encode;

/// The document of version 3.
#[must_use]
pub fn v3(document: &Value) -> Vec<u8> {
    encode(&v3::DOCUMENT, document)
}

/// The document of version 2.
#[must_use]
pub fn v2(document: &Value) -> Vec<u8> {
    encode(&v2::DOCUMENT, document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_of_version_2() {
        let document = json!({"swagger": "2.0", "definitions": {"A": {"type": "object", "x-k": 1}}});
        let found = v2(&document);
        assert_eq!(found[..5], [0x0a, 3, b'2', b'.', b'0']);
        assert!(found.windows(8).any(|part| part == [0x0a, 6, b'o', b'b', b'j', b'e', b'c', b't']));
        assert!(found.ends_with(&[0x12, 4, 0x12, 2, b'1', b'\n']), "{found:x?}");
    }

    #[test]
    fn a_reference_is_none_of_the_schemas() {
        let document = json!({"components": {"schemas": {"A": {"$ref": "#/b"}}}});
        let inner = [&[0x12, 5, 0x0a, 3][..], b"#/b"].concat();
        assert!(v3(&document).ends_with(&inner));
    }
}
