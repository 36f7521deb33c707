//! Values with a form of their own: times, quantities, integers or strings, embedded JSON.

use serde_json::Value;

use super::walk::{Walk, zero_of};
use super::words;
use crate::quantity::Quantity;
use crate::time::{self, Layout};
use crate::types::{self, Element, Special, Type};

const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

impl Walk {
    pub(super) fn special(&mut self, special: Special, of: &Type, value: &Value) -> Value {
        match special {
            _ if value.is_null() => zero_of(of),
            Special::Time => self.time(value, Layout::Seconds),
            Special::MicroTime => self.time(value, Layout::Micros),
            Special::Quantity => self.quantity(value),
            Special::IntOrString => self.int_or_string(value),
            Special::Duration => self.text(value),
            Special::StringList => self.strings(value),
            Special::FieldsV1 | Special::Json | Special::RawExtension | Special::Unknown => value.clone(),
            Special::SchemaOrBool if value.is_boolean() => value.clone(),
            Special::SchemaOrArray | Special::SchemaOrStringArray if value.is_array() => self.schemas(special, value),
            Special::SchemaOrBool if !value.is_object() => {
                self.fault("boolean or JSON schema expected".to_owned());
                Value::Null
            }
            // Go takes anything else for no schema.
            Special::SchemaOrArray | Special::SchemaOrStringArray if !value.is_object() => Value::Null,
            Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray => self.schema(value),
        }
    }

    fn text(&mut self, value: &Value) -> Value {
        if !value.is_string() {
            self.unread(words::kind(value), "string");
            return Value::Null;
        }
        value.clone()
    }

    fn time(&mut self, value: &Value, layout: Layout) -> Value {
        let Value::String(text) = value else {
            self.unread(words::kind(value), "string");
            return Value::Null;
        };
        match time::parse(text, layout) {
            Ok(at) if matches!(layout, Layout::Micros) => time::micros(at).into(),
            Ok(at) => time::seconds(at).into(),
            Err(error) => {
                self.fault(error);
                Value::Null
            }
        }
    }

    fn quantity(&mut self, value: &Value) -> Value {
        match Quantity::stored_text(value) {
            Ok(text) => text.into(),
            Err(error) => {
                self.fault(error.to_string());
                "0".into()
            }
        }
    }

    fn int_or_string(&mut self, value: &Value) -> Value {
        match value {
            Value::String(_) => return value.clone(),
            Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => return value.clone(),
            Value::Number(n) => self.unread(&format!("number {n}"), "int32"),
            _ => self.unread(words::kind(value), "int32"),
        }
        0.into()
    }

    fn strings(&mut self, value: &Value) -> Value {
        let Value::Array(values) = value else {
            let conversion = format!("cannot restore slice from {}", words::go_kind(value));
            self.misfit(words::kind(value), "[]string", conversion);
            return Value::Null;
        };
        let values = values.iter().map(|v| match v {
            Value::Null => "".into(),
            Value::String(_) => v.clone(),
            odd => {
                self.misfit(words::kind(odd), "string", words::unconverted(odd, Element::String, "string"));
                Value::Null
            }
        });
        Value::Array(values.collect())
    }

    /// A schema that may be something else, which Go reads by itself: nothing is told of what is unknown in it.
    fn schema(&mut self, value: &Value) -> Value {
        let told = self.unknown.len();
        let read = match types::by_name(SCHEMA) {
            Some(of) => self.structure(of, value),
            None => value.clone(),
        };
        self.unknown.truncate(told);
        read
    }

    fn schemas(&mut self, special: Special, value: &Value) -> Value {
        match (special, value.as_array()) {
            (Special::SchemaOrStringArray, _) => self.strings(value),
            (_, Some(values)) => Value::Array(values.iter().map(|v| self.schema(v)).collect()),
            _ => Value::Null,
        }
    }
}
