//! How the messages of a document are written, whatever its version.

use serde_json::{Map, Value};

use crate::protobuf::wire::Writer;

type Members = Map<String, Value>;

/// A field: its name in JSON, its number, and how its value is written.
pub(super) type Field = (&'static str, u16, Kind);

/// A message, or what stands for one.
pub(super) enum Message {
    /// These fields.
    Fields(&'static [Field]),
    /// The message as field 1, or a reference as field 2.
    OrReference(&'static Message),
    /// One of several, chosen by the value.
    Choice(fn(&Value, &mut Writer)),
}

/// How the value of a field is written.
pub(super) enum Kind {
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

/// A value as a message.
pub(super) fn encode(message: &Message, value: &Value) -> Vec<u8> {
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
