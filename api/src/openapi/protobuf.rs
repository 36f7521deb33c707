//! OpenAPI documents in the protobuf form of gnostic, which older clients of Kubernetes ask for. A message is a table of
//! its fields, as gnostic numbers them.

use serde_json::{Map, Value};

use crate::protobuf::wire::Writer;

type Members = Map<String, Value>;

/// A field: its name in JSON, its number, and how its value is written.
type Field = (&'static str, u16, Kind);

/// A message, or what stands for one.
enum Message {
    /// These fields.
    Fields(&'static [Field]),
    /// The message as field 1, or a reference as field 2.
    OrReference(&'static Message),
    /// One of several, chosen by the value.
    Choice(fn(&Value, &mut Writer)),
}

enum Kind {
    Text,
    Texts,
    Bool,
    Int,
    Double,
    /// Any value, as YAML; JSON is.
    Any,
    Anys,
    One(&'static Message),
    Many(&'static Message),
    /// A map in a message of its own, as its field 1.
    Map(&'static Message),
    /// The members of the object itself that are no extensions and no other field.
    Members(&'static Message),
    /// The members that begin with `x-`.
    Extensions,
    /// A list of messages in a message of its own, as its field 1; a single one counts as a list.
    Wrapped(&'static Message),
    /// A list of texts likewise.
    WrappedTexts,
    /// A schema as field 1, or a flag as field 2.
    SchemaOrFlag(&'static Message),
    /// A plain value by its type: number 1, flag 2, text 3.
    Plain,
    /// A map of lists of texts.
    Requirements,
}

/// The document of version 3.
#[must_use]
pub fn v3(document: &Value) -> Vec<u8> {
    encode(&V3_DOCUMENT, document)
}

/// The document of version 2.
#[must_use]
pub fn v2(document: &Value) -> Vec<u8> {
    encode(&V2_DOCUMENT, document)
}

fn encode(message: &Message, value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    write(message, value, &mut out);
    out.into_bytes()
}

fn write(message: &Message, value: &Value, out: &mut Writer) {
    let nothing = Members::new();
    match message {
        Message::Fields(fields) => {
            let members = value.as_object().unwrap_or(&nothing);
            for (name, number, kind) in *fields {
                write_field(kind, *number, name, members, fields, out);
            }
        }
        Message::OrReference(inner) => match value.get("$ref") {
            Some(_) => out.bytes(2, &encode(&REFERENCE, value)),
            None => out.bytes(1, &encode(inner, value)),
        },
        Message::Choice(choose) => choose(value, out),
    }
}

fn write_field(kind: &Kind, number: u16, name: &str, members: &Members, all: &[Field], out: &mut Writer) {
    match kind {
        Kind::Members(message) => {
            let own = |key: &str| key.starts_with("x-") || all.iter().any(|(name, ..)| *name == key);
            for (key, value) in members.iter().filter(|(key, _)| !own(key)) {
                out.bytes(number, &named(key, &encode(message, value)));
            }
        }
        Kind::Extensions => {
            for (key, value) in members.iter().filter(|(key, _)| key.starts_with("x-")) {
                out.bytes(number, &named(key, &any(value)));
            }
        }
        kind => {
            if let Some(value) = members.get(name) {
                write_value(kind, number, value, out);
            }
        }
    }
}

fn write_value(kind: &Kind, number: u16, value: &Value, out: &mut Writer) {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    match kind {
        Kind::Text => out.bytes(number, value.as_str().unwrap_or_default().as_bytes()),
        Kind::Texts => list.iter().filter_map(Value::as_str).for_each(|text| out.bytes(number, text.as_bytes())),
        Kind::Bool => out.integer(number, i64::from(value.as_bool().unwrap_or_default())),
        Kind::Int => out.integer(number, value.as_i64().unwrap_or_default()),
        Kind::Double => out.double(number, value.as_f64().unwrap_or_default()),
        Kind::Any => out.bytes(number, &any(value)),
        Kind::Anys => list.iter().for_each(|value| out.bytes(number, &any(value))),
        Kind::One(message) => out.bytes(number, &encode(message, value)),
        Kind::Many(message) => list.iter().for_each(|value| out.bytes(number, &encode(message, value))),
        Kind::Map(message) => {
            let mut inner = Writer::default();
            for (key, value) in value.as_object().into_iter().flatten() {
                inner.bytes(1, &named(key, &encode(message, value)));
            }
            out.bytes(number, &inner.into_bytes());
        }
        Kind::Wrapped(message) => {
            let mut inner = Writer::default();
            let list = if value.is_array() { list } else { std::slice::from_ref(value) };
            list.iter().for_each(|value| inner.bytes(1, &encode(message, value)));
            out.bytes(number, &inner.into_bytes());
        }
        Kind::WrappedTexts => {
            let mut inner = Writer::default();
            let list = if value.is_array() { list } else { std::slice::from_ref(value) };
            list.iter().filter_map(Value::as_str).for_each(|text| inner.bytes(1, text.as_bytes()));
            out.bytes(number, &inner.into_bytes());
        }
        Kind::SchemaOrFlag(message) => {
            let mut inner = Writer::default();
            match value.as_bool() {
                Some(flag) => inner.integer(2, i64::from(flag)),
                None => inner.bytes(1, &encode(message, value)),
            }
            out.bytes(number, &inner.into_bytes());
        }
        Kind::Plain => plain(number, value, out),
        Kind::Requirements => list.iter().for_each(|value| out.bytes(number, &requirement(value))),
        Kind::Members(_) | Kind::Extensions => {}
    }
}

/// Values that are no scalars have no place there.
fn plain(number: u16, value: &Value, out: &mut Writer) {
    let mut inner = Writer::default();
    match value {
        Value::Number(value) => inner.double(1, value.as_f64().unwrap_or_default()),
        Value::Bool(flag) => inner.integer(2, i64::from(*flag)),
        Value::String(text) => inner.bytes(3, text.as_bytes()),
        _ => return,
    }
    out.bytes(number, &inner.into_bytes());
}

fn requirement(value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    for (key, scopes) in value.as_object().into_iter().flatten() {
        let mut list = Writer::default();
        let scopes = scopes.as_array().into_iter().flatten().filter_map(Value::as_str);
        scopes.for_each(|scope| list.bytes(1, scope.as_bytes()));
        out.bytes(1, &named(key, &list.into_bytes()));
    }
    out.into_bytes()
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(1, name.as_bytes());
    out.bytes(2, value);
    out.into_bytes()
}

fn any(value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(2, format!("{value}\n").as_bytes());
    out.into_bytes()
}

static REFERENCE: Message =
    Message::Fields(&[("$ref", 1, Kind::Text), ("summary", 2, Kind::Text), ("description", 3, Kind::Text)]);
static INFO: Message = Message::Fields(&[("title", 1, Kind::Text), ("version", 6, Kind::Text)]);

static V3_DOCUMENT: Message = Message::Fields(&[
    ("openapi", 1, Kind::Text),
    ("info", 2, Kind::One(&INFO)),
    ("paths", 4, Kind::One(&V3_PATHS)),
    ("components", 5, Kind::One(&COMPONENTS)),
    ("security", 6, Kind::Requirements),
]);
static COMPONENTS: Message = Message::Fields(&[
    ("schemas", 1, Kind::Map(&V3_SCHEMA_REF)),
    ("securitySchemes", 7, Kind::Map(&SECURITY_SCHEME_REF)),
]);
static SECURITY_SCHEME_REF: Message = Message::OrReference(&SECURITY_SCHEME);
static SECURITY_SCHEME: Message = Message::Fields(&[
    ("type", 1, Kind::Text),
    ("description", 2, Kind::Text),
    ("name", 3, Kind::Text),
    ("in", 4, Kind::Text),
]);
static V3_PATHS: Message = Message::Fields(&[("", 1, Kind::Members(&V3_PATH)), ("", 2, Kind::Extensions)]);
static V3_PATH: Message = Message::Fields(&[
    ("$ref", 1, Kind::Text),
    ("summary", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("get", 4, Kind::One(&V3_OPERATION)),
    ("put", 5, Kind::One(&V3_OPERATION)),
    ("post", 6, Kind::One(&V3_OPERATION)),
    ("delete", 7, Kind::One(&V3_OPERATION)),
    ("options", 8, Kind::One(&V3_OPERATION)),
    ("head", 9, Kind::One(&V3_OPERATION)),
    ("patch", 10, Kind::One(&V3_OPERATION)),
    ("parameters", 13, Kind::Many(&V3_PARAMETER_REF)),
    ("", 14, Kind::Extensions),
]);
static V3_OPERATION: Message = Message::Fields(&[
    ("tags", 1, Kind::Texts),
    ("summary", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("operationId", 5, Kind::Text),
    ("parameters", 6, Kind::Many(&V3_PARAMETER_REF)),
    ("requestBody", 7, Kind::One(&REQUEST_BODY_REF)),
    ("responses", 8, Kind::One(&V3_RESPONSES)),
    ("deprecated", 10, Kind::Bool),
    ("", 13, Kind::Extensions),
]);
static V3_PARAMETER_REF: Message = Message::OrReference(&V3_PARAMETER);
static V3_PARAMETER: Message = Message::Fields(&[
    ("name", 1, Kind::Text),
    ("in", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("required", 4, Kind::Bool),
    ("schema", 10, Kind::One(&V3_SCHEMA_REF)),
    ("content", 13, Kind::Map(&MEDIA_TYPE)),
    ("", 14, Kind::Extensions),
]);
static REQUEST_BODY_REF: Message = Message::OrReference(&REQUEST_BODY);
static REQUEST_BODY: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("content", 2, Kind::Map(&MEDIA_TYPE)),
    ("required", 3, Kind::Bool),
    ("", 4, Kind::Extensions),
]);
static MEDIA_TYPE: Message = Message::Fields(&[("schema", 1, Kind::One(&V3_SCHEMA_REF)), ("", 5, Kind::Extensions)]);
static V3_RESPONSES: Message = Message::Fields(&[
    ("default", 1, Kind::One(&V3_RESPONSE_REF)),
    ("", 2, Kind::Members(&V3_RESPONSE_REF)),
    ("", 3, Kind::Extensions),
]);
static V3_RESPONSE_REF: Message = Message::OrReference(&V3_RESPONSE);
static V3_RESPONSE: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("content", 3, Kind::Map(&MEDIA_TYPE)),
    ("", 5, Kind::Extensions),
]);
static V3_SCHEMA_REF: Message = Message::OrReference(&V3_SCHEMA);
static V3_SCHEMA: Message = Message::Fields(&[
    ("nullable", 1, Kind::Bool),
    ("title", 9, Kind::Text),
    ("multipleOf", 10, Kind::Double),
    ("maximum", 11, Kind::Double),
    ("exclusiveMaximum", 12, Kind::Bool),
    ("minimum", 13, Kind::Double),
    ("exclusiveMinimum", 14, Kind::Bool),
    ("maxLength", 15, Kind::Int),
    ("minLength", 16, Kind::Int),
    ("pattern", 17, Kind::Text),
    ("maxItems", 18, Kind::Int),
    ("minItems", 19, Kind::Int),
    ("uniqueItems", 20, Kind::Bool),
    ("maxProperties", 21, Kind::Int),
    ("minProperties", 22, Kind::Int),
    ("required", 23, Kind::Texts),
    ("enum", 24, Kind::Anys),
    ("type", 25, Kind::Text),
    ("allOf", 26, Kind::Many(&V3_SCHEMA_REF)),
    ("oneOf", 27, Kind::Many(&V3_SCHEMA_REF)),
    ("anyOf", 28, Kind::Many(&V3_SCHEMA_REF)),
    ("not", 29, Kind::One(&V3_SCHEMA)),
    ("items", 30, Kind::Wrapped(&V3_SCHEMA_REF)),
    ("properties", 31, Kind::Map(&V3_SCHEMA_REF)),
    ("additionalProperties", 32, Kind::SchemaOrFlag(&V3_SCHEMA_REF)),
    ("default", 33, Kind::Plain),
    ("description", 34, Kind::Text),
    ("format", 35, Kind::Text),
    ("", 36, Kind::Extensions),
]);

static V2_INFO: Message = Message::Fields(&[("title", 1, Kind::Text), ("version", 2, Kind::Text)]);
static V2_DOCUMENT: Message = Message::Fields(&[
    ("swagger", 1, Kind::Text),
    ("info", 2, Kind::One(&V2_INFO)),
    ("paths", 8, Kind::One(&V2_PATHS)),
    ("definitions", 9, Kind::Map(&V2_SCHEMA)),
    ("security", 12, Kind::Requirements),
    ("securityDefinitions", 13, Kind::Map(&V2_SECURITY)),
    ("", 16, Kind::Extensions),
]);
static V2_PATHS: Message = Message::Fields(&[("", 1, Kind::Extensions), ("", 2, Kind::Members(&V2_PATH))]);
static V2_SECURITY: Message = Message::Choice(|value, out| out.bytes(2, &encode(&V2_API_KEY, value)));
static V2_API_KEY: Message = Message::Fields(&[
    ("type", 1, Kind::Text),
    ("name", 2, Kind::Text),
    ("in", 3, Kind::Text),
    ("description", 4, Kind::Text),
]);
static V2_PATH: Message = Message::Fields(&[
    ("$ref", 1, Kind::Text),
    ("get", 2, Kind::One(&V2_OPERATION)),
    ("put", 3, Kind::One(&V2_OPERATION)),
    ("post", 4, Kind::One(&V2_OPERATION)),
    ("delete", 5, Kind::One(&V2_OPERATION)),
    ("options", 6, Kind::One(&V2_OPERATION)),
    ("head", 7, Kind::One(&V2_OPERATION)),
    ("patch", 8, Kind::One(&V2_OPERATION)),
    ("parameters", 9, Kind::Many(&V2_PARAMETER_REF)),
    ("", 10, Kind::Extensions),
]);
static V2_OPERATION: Message = Message::Fields(&[
    ("tags", 1, Kind::Texts),
    ("summary", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("operationId", 5, Kind::Text),
    ("produces", 6, Kind::Texts),
    ("consumes", 7, Kind::Texts),
    ("parameters", 8, Kind::Many(&V2_PARAMETER_REF)),
    ("responses", 9, Kind::One(&V2_RESPONSES)),
    ("schemes", 10, Kind::Texts),
    ("deprecated", 11, Kind::Bool),
    ("", 13, Kind::Extensions),
]);
static V2_PARAMETER_REF: Message = Message::OrReference(&V2_PARAMETER);
static V2_PARAMETER: Message = Message::Choice(|value, out| match value["in"].as_str() {
    Some("body") => out.bytes(1, &encode(&V2_BODY, value)),
    place => {
        let number = match place {
            Some("header") => 1,
            Some("formData") => 2,
            Some("path") => 4,
            _ => 3,
        };
        let mut inner = Writer::default();
        inner.bytes(number, &encode(if number == 3 { &V2_QUERY } else { &V2_OTHER }, value));
        out.bytes(2, &inner.into_bytes());
    }
});
static V2_BODY: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("name", 2, Kind::Text),
    ("in", 3, Kind::Text),
    ("required", 4, Kind::Bool),
    ("schema", 5, Kind::One(&V2_SCHEMA)),
    ("", 6, Kind::Extensions),
]);
static V2_QUERY: Message = Message::Fields(&[
    ("required", 1, Kind::Bool),
    ("in", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("name", 4, Kind::Text),
    ("type", 6, Kind::Text),
    ("format", 7, Kind::Text),
    ("uniqueItems", 20, Kind::Bool),
    ("", 23, Kind::Extensions),
]);
static V2_OTHER: Message = Message::Fields(&[
    ("required", 1, Kind::Bool),
    ("in", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("name", 4, Kind::Text),
    ("type", 5, Kind::Text),
    ("format", 6, Kind::Text),
    ("uniqueItems", 19, Kind::Bool),
    ("", 22, Kind::Extensions),
]);
static V2_RESPONSES: Message = Message::Fields(&[("", 1, Kind::Members(&V2_RESPONSE_REF)), ("", 2, Kind::Extensions)]);
static V2_RESPONSE_REF: Message = Message::OrReference(&V2_RESPONSE);
static V2_RESPONSE: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("schema", 2, Kind::Wrapped(&V2_SCHEMA)),
    ("", 5, Kind::Extensions),
]);
static V2_SCHEMA: Message = Message::Fields(&[
    ("$ref", 1, Kind::Text),
    ("format", 2, Kind::Text),
    ("title", 3, Kind::Text),
    ("description", 4, Kind::Text),
    ("default", 5, Kind::Any),
    ("multipleOf", 6, Kind::Double),
    ("maximum", 7, Kind::Double),
    ("exclusiveMaximum", 8, Kind::Bool),
    ("minimum", 9, Kind::Double),
    ("exclusiveMinimum", 10, Kind::Bool),
    ("maxLength", 11, Kind::Int),
    ("minLength", 12, Kind::Int),
    ("pattern", 13, Kind::Text),
    ("maxItems", 14, Kind::Int),
    ("minItems", 15, Kind::Int),
    ("uniqueItems", 16, Kind::Bool),
    ("maxProperties", 17, Kind::Int),
    ("minProperties", 18, Kind::Int),
    ("required", 19, Kind::Texts),
    ("enum", 20, Kind::Anys),
    ("additionalProperties", 21, Kind::SchemaOrFlag(&V2_SCHEMA)),
    ("type", 22, Kind::WrappedTexts),
    ("items", 23, Kind::Wrapped(&V2_SCHEMA)),
    ("allOf", 24, Kind::Many(&V2_SCHEMA)),
    ("properties", 25, Kind::Map(&V2_SCHEMA)),
    ("", 31, Kind::Extensions),
]);

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
