//! Keys that a map has more than once, all of them, in the order in which Kubernetes' parser tells them.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::key::Key;
use super::merging::is_merge;

/// So many are told: they take more room than the text that has them.
const MOST: usize = 1_000;

/// A key that its map has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// The line in which its value begins, from 1.
    pub line: u64,
    /// The key as Go shows it: in quotes if it is a text.
    pub key: String,
}

impl Display for Twice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: key {} already set in map", self.line, self.key)
    }
}

/// What is found in a value. No deeper than the value that [`super::scalar::Node`] made of the same text.
#[derive(Default)]
pub(super) struct Found<const MERGES: bool> {
    pub(super) keys: Vec<Twice>,
    is_null: bool,
    /// The members of the map, or of the maps in the list, if it may be merged into another.
    members: Vec<Twice>,
}

impl<const MERGES: bool> Found<MERGES> {
    fn null() -> Self {
        Self { is_null: true, ..Self::default() }
    }

    /// Takes in a member of a map that has had others.
    fn member(&mut self, member: Twice, seen: &mut HashSet<String>) {
        if !seen.insert(member.key.clone()) {
            self.add([member]);
        } else if MERGES {
            self.members.push(member);
        }
    }

    fn add(&mut self, keys: impl IntoIterator<Item = Twice>) {
        let room = MOST.saturating_sub(self.keys.len());
        self.keys.extend(keys.into_iter().take(room));
    }
}

impl<'de, const MERGES: bool> Deserialize<'de> for Found<MERGES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FoundVisitor::<MERGES>)
    }
}

struct FoundVisitor<const MERGES: bool>;

impl<'de, const MERGES: bool> Visitor<'de> for FoundVisitor<MERGES> {
    type Value = Found<MERGES>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found<MERGES>, E> {
        Ok(Found::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found<MERGES>, E> {
        Ok(Found::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found<MERGES>, E> {
        Ok(Found::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found<MERGES>, E> {
        Ok(Found::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Found<MERGES>, E> {
        Ok(Found::default())
    }

    fn visit_unit<E>(self) -> Result<Found<MERGES>, E> {
        Ok(Found::null())
    }

    fn visit_none<E>(self) -> Result<Found<MERGES>, E> {
        Ok(Found::null())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<MERGES>, D::Error> {
        Found::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Found<MERGES>, A::Error> {
        let mut found = Found::<MERGES>::default();
        let mut members = Vec::new();
        while let Some(inner) = access.next_element::<Found<MERGES>>()? {
            found.add(inner.keys);
            if MERGES {
                members.push(inner.members);
            }
        }
        // Of several maps the last is merged first.
        found.members = members.into_iter().rev().flatten().collect();
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Found<MERGES>, A::Error> {
        let mut found = Found::<MERGES>::default();
        let mut seen = HashSet::<String>::new();
        while let Some(key) = access.next_key::<Spanned<Key>>()? {
            let value = access.next_value::<Spanned<Found<MERGES>>>()?;
            found.add(value.value.keys);
            if MERGES && is_merge(&key.value.in_go()) && !value.value.members.is_empty() {
                value.value.members.into_iter().for_each(|member| found.member(member, &mut seen));
                continue;
            }
            // What is not there is where its key is; what is merged is where it is written.
            let place = match (value.value.is_null, MERGES) {
                (true, _) => key.referenced,
                (false, true) => value.defined,
                (false, false) => value.referenced,
            };
            found.member(Twice { line: place.line(), key: key.value.in_go() }, &mut seen);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::yaml::{Duplicates, parse};

    fn refused(text: &str) -> String {
        parse(text, Duplicates::Refuse).unwrap_err().to_string()
    }

    #[test]
    fn all_are_told_those_within_a_value_before_its_own() {
        let text = "a: 1\nb:\n  k: 1\n  k: 2\na: [{l: 1, l: 2}]\nb:\n  x: 1\ntrue: 1\ntrue: 2\na:\nc: 1\n";
        assert_eq!(
            refused(text),
            "yaml: unmarshal errors:\n  line 4: key \"k\" already set in map\n  line 5: key \"l\" already set in map\n  \
             line 5: key \"a\" already set in map\n  line 7: key \"b\" already set in map\n  \
             line 9: key true already set in map\n  line 10: key \"a\" already set in map"
        );
    }

    #[test]
    fn numbers_are_told_too() {
        assert_eq!(refused("1: a\n1: b\n"), "yaml: unmarshal errors:\n  line 2: key 1 already set in map");
        let told = refused("a: 1\na: 2\nb:\n  7: x\n  7: y\n");
        assert!(told.contains("line 2: key \"a\" already set in map"), "{told}");
    }

    #[test]
    fn syntax_is_told_before_them() {
        assert_eq!(refused("a: 1\na: 2\nb: c: d\n"), "yaml: line 3: mapping values are not allowed in this context");
    }

    #[test]
    fn of_endless_ones_some_are_told() {
        assert_eq!(refused(&"a: 1\n".repeat(5_000)).lines().count(), 1_001);
    }
}
