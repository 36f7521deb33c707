use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Key, Val};

/// What tells the elements of a list apart, which decides what is equal to it and what `+` adds to it.
#[derive(Clone, Debug, Default)]
pub(super) enum Elements {
    /// Their places.
    #[default]
    Placed,
    /// They themselves.
    Set,
    /// The fields of these names.
    Keyed(Arc<[String]>),
}

/// A list, whose elements have no order if its schema says so.
#[derive(Clone)]
pub struct List {
    items: Vec<Val>,
    elements: Elements,
}

impl List {
    /// A list of elements in their order.
    #[must_use]
    pub fn new(items: Vec<Val>) -> Self {
        Self { items, elements: Elements::Placed }
    }

    pub(super) fn of(items: Vec<Val>, elements: Elements) -> Self {
        Self { items, elements }
    }

    /// What `+` makes of two lists: the second adds to the first what is not there, or replaces what has the same keys.
    pub(super) fn plus(&self, other: &List) -> List {
        let mut sum = self.clone();
        match &self.elements {
            Elements::Placed => sum.items.extend(other.items.iter().cloned()),
            Elements::Set => {
                let mut seen = self.marks().unwrap_or_default();
                let fresh = |item: &&Val| mark(item).is_none_or(|mark| seen.insert(mark));
                sum.items.extend(other.items.iter().filter(fresh).cloned());
            }
            Elements::Keyed(names) => {
                let mut places = places(&self.items, names);
                for item in &other.items {
                    match places.get(&keys(item, names)) {
                        Some(place) => sum.items[*place] = item.clone(),
                        None => {
                            places.insert(keys(item, names), sum.items.len());
                            sum.items.push(item.clone());
                        }
                    }
                }
            }
        }
        sum
    }

    /// What the elements are known by, if all of them are scalars.
    fn marks(&self) -> Option<BTreeSet<Key>> {
        self.items.iter().map(mark).collect()
    }

    /// Whether a set has all of these: one of scalars, as any other has its elements in their places.
    fn holds_all(&self, items: &[Val]) -> bool {
        match self.marks() {
            Some(own) => items.iter().all(|item| mark(item).is_some_and(|mark| own.contains(&mark))),
            None => self.items == items,
        }
    }
}

/// What a scalar is known by.
fn mark(item: &Val) -> Option<Key> {
    match item {
        Val::Double(number) if number.fract() != 0.0 => Some(Key::Text(Arc::from(format!("\0{number}")))),
        other => Key::of(other),
    }
}

/// The places of elements by their keys; of several with the same ones the last.
fn places(items: &[Val], names: &[String]) -> BTreeMap<Vec<Option<Key>>, usize> {
    items.iter().enumerate().map(|(at, item)| (keys(item, names), at)).collect()
}

fn keys(item: &Val, names: &[String]) -> Vec<Option<Key>> {
    let Val::Map(fields) = item else { return Vec::new() };
    let key = |name: &String| fields.get(&Key::Text(Arc::from(name.as_str()))).and_then(Key::of);
    names.iter().map(key).collect()
}

impl Deref for List {
    type Target = Vec<Val>;

    fn deref(&self) -> &Vec<Val> {
        &self.items
    }
}

impl DerefMut for List {
    fn deref_mut(&mut self) -> &mut Vec<Val> {
        &mut self.items
    }
}

/// What is equal to a list is for the list on the left to say.
impl PartialEq for List {
    fn eq(&self, other: &List) -> bool {
        if self.items.len() != other.items.len() {
            return false;
        }
        match &self.elements {
            Elements::Placed => self.items == other.items,
            Elements::Set => self.holds_all(&other.items),
            Elements::Keyed(names) => {
                let places = places(&self.items, names);
                let same = |item: &Val| places.get(&keys(item, names)).is_some_and(|at| self.items[*at] == *item);
                other.items.iter().all(same)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::schema_rule_errors;

    /// Whether a rule about a list holds that was `old`.
    fn holds(list: &Value, rule: &str, new: Value, old: Value) -> bool {
        let mut list = list.clone();
        list["x-kubernetes-validations"] = json!([{ "rule": rule }]);
        let schema = json!({"type": "object", "properties": {"l": list}});
        schema_rule_errors(&schema, &json!({ "l": new }), &json!({ "l": old })).is_empty()
    }

    #[test]
    fn sets_have_no_order() {
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        assert!(holds(&set, "self == oldSelf", json!(["a", "b"]), json!(["b", "a"])));
        assert!(!holds(&set, "self == oldSelf", json!(["a", "b"]), json!(["b", "c"])));
        assert!(!holds(&set, "self == oldSelf", json!(["a", "b"]), json!(["a"])));
        assert!(holds(&set, "self + oldSelf == ['b', 'a', 'c']", json!(["a", "b"]), json!(["b", "c"])));
        assert!(holds(&set, "['a', 'b'] == self && ['b', 'a'] != self", json!(["a", "b"]), json!(["b"])));
        let plain = json!({"type": "array", "items": {"type": "string"}});
        assert!(!holds(&plain, "self == oldSelf", json!(["a", "b"]), json!(["b", "a"])));
    }

    #[test]
    fn lists_of_maps_are_told_apart_by_their_keys() {
        let of = json!({"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}});
        let list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": of});
        let (a, b) = (json!({"k": "a", "v": 1}), json!({"k": "b", "v": 2}));
        assert!(holds(&list, "self == oldSelf", json!([a, b]), json!([b, a])));
        assert!(!holds(&list, "self == oldSelf", json!([a, {"k": "b", "v": 3}]), json!([b, a])));
        assert!(holds(&list, "(self + oldSelf).map(e, e.v) == [5, 2]", json!([a, b]), json!([{"k": "a", "v": 5}])));
    }
}
