//! Documents as erased values. Goes past `serde_json::Value`'s own reading for the scalars that YAML 1.1 has and
//! JSON has not.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Number, Value};

use super::key::Key;
use super::merging;
use crate::json::DEEPEST;

/// A value read from YAML. Keys that merge maps are either the parser's affair, or come as others do.
pub(super) struct Node<const MERGES: bool>(pub Value);

impl<'de, const MERGES: bool> Deserialize<'de> for Node<MERGES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NodeVisitor { room: DEEPEST, merges: MERGES }.deserialize(deserializer).map(Node)
    }
}

#[derive(Clone, Copy)]
struct NodeVisitor {
    /// Maps and lists that there may be in one another; aliases make more of them than the parser sees.
    room: usize,
    merges: bool,
}

impl NodeVisitor {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        let room = self.room.checked_sub(1).ok_or_else(|| E::custom(format!("exceeded max depth of {DEEPEST}")))?;
        Ok(Self { room, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for NodeVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        // 1e3 is 1000 in JSON, as for every reader that has no floats of its own.
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and exact")]
        if value.fract() == 0.0 && value.abs() < EXACT {
            return Ok((value as i64).into());
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below::<A::Error>()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(below)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below::<A::Error>()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<Key>()? {
            let no_key = || A::Error::invalid_type(Unexpected::Unit, &"string scalar");
            let key = key.in_json().ok_or_else(no_key)?;
            let value = access.next_value_seed(below)?;
            if self.merges {
                merging::insert(&mut map, key, value);
            } else {
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }
}
