//! The messages of version 2. Source: `openapiv2/OpenAPIv2.proto` of github.com/google/gnostic-models.

use super::message::{Kind, Message, encode};
use crate::protobuf::wire::Writer;

static INFO: Message = Message::Fields(&[("title", 1, Kind::Text), ("version", 2, Kind::Text)]);
pub(super) static DOCUMENT: Message = Message::Fields(&[
    ("swagger", 1, Kind::Text),
    ("info", 2, Kind::One(&INFO)),
    ("paths", 8, Kind::One(&PATHS)),
    ("definitions", 9, Kind::Map(&SCHEMA)),
    ("security", 12, Kind::Requirements),
    ("securityDefinitions", 13, Kind::Map(&SECURITY)),
    ("", 16, Kind::Extensions),
]);
static PATHS: Message = Message::Fields(&[("", 1, Kind::Extensions), ("", 2, Kind::Members(&PATH))]);
static SECURITY: Message = Message::Choice(|value, out| out.bytes(2, &encode(&API_KEY, value)));
static API_KEY: Message = Message::Fields(&[
    ("type", 1, Kind::Text),
    ("name", 2, Kind::Text),
    ("in", 3, Kind::Text),
    ("description", 4, Kind::Text),
]);
static PATH: Message = Message::Fields(&[
    ("$ref", 1, Kind::Text),
    ("get", 2, Kind::One(&OPERATION)),
    ("put", 3, Kind::One(&OPERATION)),
    ("post", 4, Kind::One(&OPERATION)),
    ("delete", 5, Kind::One(&OPERATION)),
    ("options", 6, Kind::One(&OPERATION)),
    ("head", 7, Kind::One(&OPERATION)),
    ("patch", 8, Kind::One(&OPERATION)),
    ("parameters", 9, Kind::Many(&PARAMETER_REF)),
    ("", 10, Kind::Extensions),
]);
static OPERATION: Message = Message::Fields(&[
    ("tags", 1, Kind::Texts),
    ("summary", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("operationId", 5, Kind::Text),
    ("produces", 6, Kind::Texts),
    ("consumes", 7, Kind::Texts),
    ("parameters", 8, Kind::Many(&PARAMETER_REF)),
    ("responses", 9, Kind::One(&RESPONSES)),
    ("schemes", 10, Kind::Texts),
    ("deprecated", 11, Kind::Bool),
    ("", 13, Kind::Extensions),
]);
static PARAMETER_REF: Message = Message::OrReference(&PARAMETER);
static PARAMETER: Message = Message::Choice(|value, out| match value["in"].as_str() {
    Some("body") => out.bytes(1, &encode(&BODY, value)),
    place => {
        let number = match place {
            Some("header") => 1,
            Some("formData") => 2,
            Some("path") => 4,
            _ => 3,
        };
        let mut inner = Writer::default();
        inner.bytes(number, &encode(if number == 3 { &QUERY } else { &OTHER }, value));
        out.bytes(2, &inner.into_bytes());
    }
});
static BODY: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("name", 2, Kind::Text),
    ("in", 3, Kind::Text),
    ("required", 4, Kind::Bool),
    ("schema", 5, Kind::One(&SCHEMA)),
    ("", 6, Kind::Extensions),
]);
static QUERY: Message = Message::Fields(&[
    ("required", 1, Kind::Bool),
    ("in", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("name", 4, Kind::Text),
    ("type", 6, Kind::Text),
    ("format", 7, Kind::Text),
    ("uniqueItems", 20, Kind::Bool),
    ("", 23, Kind::Extensions),
]);
static OTHER: Message = Message::Fields(&[
    ("required", 1, Kind::Bool),
    ("in", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("name", 4, Kind::Text),
    ("type", 5, Kind::Text),
    ("format", 6, Kind::Text),
    ("uniqueItems", 19, Kind::Bool),
    ("", 22, Kind::Extensions),
]);
static RESPONSES: Message = Message::Fields(&[("", 1, Kind::Members(&RESPONSE_REF)), ("", 2, Kind::Extensions)]);
static RESPONSE_REF: Message = Message::OrReference(&RESPONSE);
static RESPONSE: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("schema", 2, Kind::Wrapped(&SCHEMA)),
    ("", 5, Kind::Extensions),
]);
static SCHEMA: Message = Message::Fields(&[
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
    ("additionalProperties", 21, Kind::SchemaOrFlag(&SCHEMA)),
    ("type", 22, Kind::WrappedTexts),
    ("items", 23, Kind::Wrapped(&SCHEMA)),
    ("allOf", 24, Kind::Many(&SCHEMA)),
    ("properties", 25, Kind::Map(&SCHEMA)),
    ("", 31, Kind::Extensions),
]);
