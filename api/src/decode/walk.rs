//! The walk down an object beside its type.

use serde_json::{Map, Value};

use super::{Faults, words};
use crate::json::{MOST_TOLD, tells_more};
use crate::types::{Element, Field, Shape, Special, Type};

/// Where the walk is, and what it found.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) errors: Faults,
    pub(super) conversions: Vec<String>,
    pub(super) unknown: Vec<String>,
    /// Path with indexes and map keys, as unknown fields are named.
    path: String,
    /// Struct fields only, as type errors are placed.
    fields: Vec<&'static str>,
    owner: &'static str,
    /// How many values could not be converted, also those that are not told.
    unconverted: usize,
}

impl Walk {
    /// A struct or special value; never fails, what is wrong becomes the zero value.
    pub(super) fn structure(&mut self, of: &Type, value: &Value) -> Value {
        if let Some(special) = of.special {
            return self.special(special, of, value);
        }
        let empty = Map::new();
        let given = match value {
            Value::Object(map) => map,
            Value::Null => &empty,
            other => {
                self.misfit(
                    words::kind(other),
                    of.go_name(),
                    format!("cannot restore struct from: {}", words::go_kind(other)),
                );
                &empty
            }
        };
        let mut out = Map::new();
        for (key, value) in given {
            match of.field(key) {
                Some(field) => self.member(of, field, value, &mut out),
                None => self.report_unknown(key),
            }
        }
        for field in of.members() {
            if !out.contains_key(field.json)
                && let Some(zero) = zero_member(field)
            {
                out.insert(field.json.to_owned(), zero);
            }
        }
        Value::Object(out)
    }

    fn member(&mut self, of: &Type, field: &'static Field, value: &Value, out: &mut Map<String, Value>) {
        if value.is_null() {
            return;
        }
        let length = self.path.len();
        let owner = std::mem::replace(&mut self.owner, of.short_name());
        self.push(field.json);
        self.fields.push(field.json);
        let kept = match field.shape {
            Shape::Single => self.single(field, value),
            Shape::List => self.list(of, field, value),
            Shape::Map => self.map(field, value),
        };
        if let Some(kept) = kept {
            out.insert(field.json.to_owned(), kept);
        }
        self.fields.pop();
        self.owner = owner;
        self.path.truncate(length);
    }

    fn push(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    fn single(&mut self, field: &Field, value: &Value) -> Option<Value> {
        let before = self.unconverted;
        let read = self.element(field, value);
        if self.unconverted > before && field.pointer {
            return None;
        }
        let dropped = !field.pointer && field.omit_empty && is_empty_scalar(field, &read);
        (!dropped).then_some(read)
    }

    fn list(&mut self, of: &Type, field: &Field, value: &Value) -> Option<Value> {
        let Value::Array(values) = value else {
            let conversion = format!("cannot restore slice from {}", words::go_kind(value));
            self.misfit(words::kind(value), &words::field_type(self.owner, field), conversion);
            return None;
        };
        let length = self.path.len();
        let mut out = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            self.path.push_str(&format!("[{index}]"));
            out.push(self.element(field, value));
            self.path.truncate(length);
        }
        // The stored form cannot tell an empty list from none; a list of objects is answered as it is. Scaling policies
        // that are none at all are refused before they are stored, where those that are not given have a default.
        let told = || of.name.ends_with("List") && !field.omit_empty || of.short_name() == "HPAScalingRules";
        (!out.is_empty() || told()).then_some(Value::Array(out))
    }

    fn map(&mut self, field: &Field, value: &Value) -> Option<Value> {
        let Value::Object(values) = value else {
            let conversion = format!("cannot restore map from {}", words::go_kind(value));
            self.misfit(words::kind(value), &words::field_type(self.owner, field), conversion);
            return None;
        };
        let length = self.path.len();
        let mut out = Map::new();
        for (key, value) in values {
            self.push(key);
            out.insert(key.clone(), self.element(field, value));
            self.path.truncate(length);
        }
        (!out.is_empty()).then_some(Value::Object(out))
    }

    /// One value of a field: the field itself, a list element or a map value.
    fn element(&mut self, field: &Field, value: &Value) -> Value {
        if let Element::Object(id) = field.element {
            return self.structure(id.get(), value);
        }
        if value.is_null() && field.element != Element::Any {
            return zero_element(field.element);
        }
        match (field.element, value) {
            (Element::String, Value::String(_)) | (Element::Bool, Value::Bool(_)) | (Element::Any, _) => value.clone(),
            (Element::Bytes, Value::String(text)) => self.bytes(text),
            (Element::Bytes, Value::Array(items)) => self.byte_list(items),
            (Element::Int32, Value::Number(n)) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => value.clone(),
            (Element::Int64, Value::Number(n)) if n.as_i64().is_some() => value.clone(),
            (Element::Double, Value::Number(n)) => words::float(n),
            (Element::Int32 | Element::Int64, Value::Number(n)) => {
                let wanted = words::element_type(self.owner, field);
                self.misread(&format!("number {n}"), &wanted, false);
                words::whole(n).unwrap_or_else(|| {
                    self.unconvertible(words::unconverted(value, field.element, &wanted));
                    zero_element(field.element)
                })
            }
            _ => {
                let wanted = match field.shape {
                    Shape::Map if field.element == Element::Bytes => "[]uint8".to_owned(),
                    _ => words::element_type(self.owner, field),
                };
                self.misfit(words::kind(value), &wanted, words::unconverted(value, field.element, &wanted));
                zero_element(field.element)
            }
        }
    }

    fn bytes(&mut self, text: &str) -> Value {
        match words::base64(text) {
            Ok(text) => Value::String(text),
            Err(error) => {
                self.unconvertible(format!("error decoding from json: {error}"));
                self.errors.add(error, &self.path, false);
                Value::String(String::new())
            }
        }
    }

    /// Go reads a list of numbers as bytes, too.
    fn byte_list(&mut self, items: &[Value]) -> Value {
        let bytes: Vec<u8> = items.iter().map(|item| self.byte(item)).collect();
        Value::String(words::encoded(&bytes))
    }

    fn byte(&mut self, item: &Value) -> u8 {
        const WANTED: &str = "uint8";
        let byte = item.as_u64().and_then(|number| u8::try_from(number).ok());
        match item {
            Value::Null => {}
            Value::Number(_) if byte.is_some() => {}
            Value::Number(number) => self.misread(&format!("number {number}"), WANTED, false),
            _ => self.misfit(words::kind(item), WANTED, format!("unrecognized type: {WANTED}")),
        }
        byte.unwrap_or_default()
    }

    /// A value of the wrong type for a Go type that reads its JSON itself, also where a map is converted.
    pub(super) fn unread(&mut self, found: &str, wanted: &str) {
        self.unconvertible(format!("json: cannot unmarshal {found} into Go value of type {wanted}"));
        self.misread(found, wanted, true);
    }

    /// An error that reads the same wherever it is found, and ends the reading.
    pub(super) fn fault(&mut self, why: String) {
        self.unconvertible(why.clone());
        self.errors.add(why, &self.path, true);
    }

    /// A value of the wrong type, in the words of the decoder and of the conversion.
    pub(super) fn misfit(&mut self, found: &str, wanted: &str, conversion: String) {
        self.unconvertible(conversion);
        self.misread(found, wanted, false);
    }

    /// What a conversion of a map tells.
    fn unconvertible(&mut self, why: String) {
        self.unconverted += 1;
        if self.conversions.len() < MOST_TOLD {
            self.conversions.push(why);
        }
    }

    /// `json: cannot unmarshal` a value into a Go type, which may end the reading.
    fn misread(&mut self, found: &str, wanted: &str, ends: bool) {
        if !self.errors.heed(ends) {
            return;
        }
        let place = if self.owner.is_empty() {
            "value".to_owned()
        } else {
            format!("struct field {}.{}", self.owner, self.fields.join("."))
        };
        let error = format!("json: cannot unmarshal {found} into Go {place} of type {wanted}");
        self.errors.add(error, &self.path, ends);
    }

    fn report_unknown(&mut self, key: &str) {
        if !tells_more(&self.unknown) {
            return;
        }
        let dot = if self.path.is_empty() { "" } else { "." };
        self.unknown.push(format!("unknown field \"{}{dot}{key}\"", self.path));
    }
}

/// What JSON shows for a member that was not given; None if nothing.
fn zero_member(field: &Field) -> Option<Value> {
    if field.shape != Shape::Single {
        return (!field.omit_empty).then_some(Value::Null);
    }
    if field.pointer {
        return (!field.omit_empty).then_some(Value::Null);
    }
    match field.object() {
        None => (!field.omit_empty).then(|| zero_element(field.element)),
        Some(_) if field.omit_zero => None,
        Some(of) => match of.special {
            Some(Special::StringList) => (!field.omit_empty).then_some(Value::Null),
            _ => Some(zero_of(of)),
        },
    }
}

/// The zero value of a struct or special type.
pub(super) fn zero_of(of: &Type) -> Value {
    match of.special {
        None => Value::Object(of.members().filter_map(|f| Some((f.json.to_owned(), zero_member(f)?))).collect()),
        Some(Special::Quantity) => "0".into(),
        Some(Special::IntOrString) => 0.into(),
        Some(Special::Duration) => "0s".into(),
        Some(_) => Value::Null,
    }
}

fn zero_element(element: Element) -> Value {
    match element {
        Element::String | Element::Bytes => "".into(),
        Element::Int32 | Element::Int64 | Element::Double => 0.into(),
        Element::Bool => false.into(),
        Element::Any => Value::Null,
        Element::Object(id) => zero_of(id.get()),
    }
}

fn is_empty_scalar(field: &Field, value: &Value) -> bool {
    match field.element {
        Element::Object(id) => match id.get().special {
            Some(Special::Time | Special::MicroTime) => field.omit_zero && value.is_null(),
            Some(Special::StringList) => value.as_array().is_none_or(Vec::is_empty),
            _ => false,
        },
        _ => *value == zero_element(field.element) || value.is_null(),
    }
}
