//! The messages of version 3. Source: `openapiv3/OpenAPIv3.proto` of github.com/google/gnostic-models.

use super::message::{Kind, Message};

static INFO: Message = Message::Fields(&[("title", 1, Kind::Text), ("version", 6, Kind::Text)]);

pub(super) static DOCUMENT: Message = Message::Fields(&[
    ("openapi", 1, Kind::Text),
    ("info", 2, Kind::One(&INFO)),
    ("paths", 4, Kind::One(&PATHS)),
    ("components", 5, Kind::One(&COMPONENTS)),
    ("security", 6, Kind::Requirements),
]);
static COMPONENTS: Message =
    Message::Fields(&[("schemas", 1, Kind::Map(&SCHEMA_REF)), ("securitySchemes", 7, Kind::Map(&SECURITY_SCHEME_REF))]);
static SECURITY_SCHEME_REF: Message = Message::OrReference(&SECURITY_SCHEME);
static SECURITY_SCHEME: Message = Message::Fields(&[
    ("type", 1, Kind::Text),
    ("description", 2, Kind::Text),
    ("name", 3, Kind::Text),
    ("in", 4, Kind::Text),
]);
static PATHS: Message = Message::Fields(&[("", 1, Kind::Members(&PATH)), ("", 2, Kind::Extensions)]);
static PATH: Message = Message::Fields(&[
    ("$ref", 1, Kind::Text),
    ("summary", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("get", 4, Kind::One(&OPERATION)),
    ("put", 5, Kind::One(&OPERATION)),
    ("post", 6, Kind::One(&OPERATION)),
    ("delete", 7, Kind::One(&OPERATION)),
    ("options", 8, Kind::One(&OPERATION)),
    ("head", 9, Kind::One(&OPERATION)),
    ("patch", 10, Kind::One(&OPERATION)),
    ("parameters", 13, Kind::Many(&PARAMETER_REF)),
    ("", 14, Kind::Extensions),
]);
static OPERATION: Message = Message::Fields(&[
    ("tags", 1, Kind::Texts),
    ("summary", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("operationId", 5, Kind::Text),
    ("parameters", 6, Kind::Many(&PARAMETER_REF)),
    ("requestBody", 7, Kind::One(&REQUEST_BODY_REF)),
    ("responses", 8, Kind::One(&RESPONSES)),
    ("deprecated", 10, Kind::Bool),
    ("", 13, Kind::Extensions),
]);
static PARAMETER_REF: Message = Message::OrReference(&PARAMETER);
static PARAMETER: Message = Message::Fields(&[
    ("name", 1, Kind::Text),
    ("in", 2, Kind::Text),
    ("description", 3, Kind::Text),
    ("required", 4, Kind::Bool),
    ("schema", 10, Kind::One(&SCHEMA_REF)),
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
static MEDIA_TYPE: Message = Message::Fields(&[("schema", 1, Kind::One(&SCHEMA_REF)), ("", 5, Kind::Extensions)]);
static RESPONSES: Message = Message::Fields(&[
    ("default", 1, Kind::One(&RESPONSE_REF)),
    ("", 2, Kind::Members(&RESPONSE_REF)),
    ("", 3, Kind::Extensions),
]);
static RESPONSE_REF: Message = Message::OrReference(&RESPONSE);
static RESPONSE: Message = Message::Fields(&[
    ("description", 1, Kind::Text),
    ("content", 3, Kind::Map(&MEDIA_TYPE)),
    ("", 5, Kind::Extensions),
]);
static SCHEMA_REF: Message = Message::OrReference(&SCHEMA);
static SCHEMA: Message = Message::Fields(&[
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
    ("allOf", 26, Kind::Many(&SCHEMA_REF)),
    ("oneOf", 27, Kind::Many(&SCHEMA_REF)),
    ("anyOf", 28, Kind::Many(&SCHEMA_REF)),
    ("not", 29, Kind::One(&SCHEMA)),
    ("items", 30, Kind::Wrapped(&SCHEMA_REF)),
    ("properties", 31, Kind::Map(&SCHEMA_REF)),
    ("additionalProperties", 32, Kind::SchemaOrFlag(&SCHEMA_REF)),
    ("default", 33, Kind::Plain),
    ("description", 34, Kind::Text),
    ("format", 35, Kind::Text),
    ("", 36, Kind::Extensions),
]);
