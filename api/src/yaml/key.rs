//! What YAML takes a map's key for.

use std::fmt::{self, Formatter};

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::field::{go_float, go_quote};

/// A key as YAML reads it, however it is written.
pub(super) enum Key {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
}

impl Key {
    /// As it is in JSON; nothing there stands for no key.
    pub(super) fn in_json(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Float(key) => Some(short_float(key)),
            Self::Text(key) => Some(key),
            plain => Some(plain.in_go()),
        }
    }

    /// As Go shows it, so that `1` and `"1"` are two.
    pub(super) fn in_go(&self) -> String {
        match self {
            Self::Null => "<nil>".to_owned(),
            Self::Bool(key) => key.to_string(),
            Self::Int(key) => key.to_string(),
            Self::Uint(key) => key.to_string(),
            Self::Float(key) => go_float(*key),
            Self::Text(key) => go_quote(key),
        }
    }
}

/// With the digits that a float of 32 bits has: so Kubernetes writes keys in JSON.
fn short_float(key: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
    let short = (key as f32).to_string();
    short.parse().map_or(short, go_float)
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("string scalar")
    }

    fn visit_bool<E>(self, key: bool) -> Result<Key, E> {
        Ok(Key::Bool(key))
    }

    fn visit_i64<E>(self, key: i64) -> Result<Key, E> {
        Ok(Key::Int(key))
    }

    fn visit_u64<E>(self, key: u64) -> Result<Key, E> {
        Ok(Key::Uint(key))
    }

    fn visit_f64<E>(self, key: f64) -> Result<Key, E> {
        Ok(Key::Float(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key::Text(key.to_owned()))
    }

    fn visit_string<E>(self, key: String) -> Result<Key, E> {
        Ok(Key::Text(key))
    }

    fn visit_unit<E>(self) -> Result<Key, E> {
        Ok(Key::Null)
    }
}
