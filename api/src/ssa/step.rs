//! The steps of paths as FieldsV1 writes them: `f:name`, `k:{"name":"c"}`, `v:"x"`, `i:0`.

use std::cmp::Ordering;
use std::fmt::{Display, Formatter, Result as Written};

use serde_json::{Map, Value};

use crate::field::{go_json, go_quote, go_value};

/// A step in the one form it is kept in. The outer None: it is malformed; the inner: nobody knows its kind.
pub(super) fn read(step: &str) -> Option<Option<String>> {
    let (kind, rest) = step.split_at_checked(2)?;
    if !kind.ends_with(':') {
        return None;
    }
    Some(Some(match kind {
        "f:" => step.to_owned(),
        "v:" => format!("v:{}", go_json(&serde_json::from_str(rest).ok()?)),
        "k:" => format!("k:{}", go_json(&Value::Object(serde_json::from_str(rest).ok()?))),
        "i:" => format!("i:{}", rest.parse::<i64>().ok()?),
        _ => return Some(None),
    }))
}

/// A step as people read it, and in the order in which they do.
pub(super) enum Shown<'s> {
    Field(&'s str),
    Keys(Map<String, Value>),
    Value(Value),
    Index(i64),
}

impl<'s> Shown<'s> {
    pub(super) fn of(step: &'s str) -> Self {
        match step.split_once(':') {
            Some(("k", rest)) => Shown::Keys(serde_json::from_str(rest).unwrap_or_default()),
            Some(("v", rest)) => Shown::Value(serde_json::from_str(rest).unwrap_or_default()),
            Some(("i", rest)) => Shown::Index(rest.parse().unwrap_or_default()),
            Some((_, name)) => Shown::Field(name),
            None => Shown::Field(step),
        }
    }

    /// Fields come before elements, and numbers by what they count.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Shown::Field(a), Shown::Field(b)) => a.cmp(b),
            (Shown::Keys(a), Shown::Keys(b)) => order_keys(a, b),
            (Shown::Value(a), Shown::Value(b)) => order_values(a, b),
            (Shown::Index(a), Shown::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Shown::Field(_) => 0,
            Shown::Keys(_) => 1,
            Shown::Value(_) => 2,
            Shown::Index(_) => 3,
        }
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        match self {
            Shown::Field(name) => write!(f, ".{name}"),
            Shown::Keys(keys) => {
                let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={}", literal(value))).collect();
                write!(f, "[{}]", keys.join(","))
            }
            Shown::Value(value) => write!(f, "[={}]", literal(value)),
            Shown::Index(at) => write!(f, "[{at}]"),
        }
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => go_quote(text),
        other => go_value(other),
    }
}

fn order_keys(a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    let mut pairs = a.iter().zip(b).map(|((a, x), (b, y))| a.cmp(b).then_with(|| order_values(x, y)));
    pairs.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Numbers come first, then texts, truth values, and null.
fn order_values(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}
