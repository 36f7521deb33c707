//! Sets of fields, as `managedFields` records them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

use super::step;

/// A set of paths. Each step of a path is written as in FieldsV1: `f:name`, `k:{"name":"c"}`, `v:"x"`, `i:0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<String, Node>,
}

/// What of a set is at a path and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Whether the path that ends here is in the set.
    pub member: bool,
    pub below: FieldSet,
}

impl FieldSet {
    /// The set of these paths of field names.
    #[must_use]
    pub fn of_fields(paths: &[&[&str]]) -> FieldSet {
        let mut set = FieldSet::default();
        for path in paths {
            let steps: Vec<String> = path.iter().map(|name| format!("f:{name}")).collect();
            set.insert(&steps);
        }
        set
    }

    /// Reads FieldsV1; None if it is malformed. Steps of a kind that nobody knows are passed over.
    #[must_use]
    pub fn from_json(fields: &Value) -> Option<FieldSet> {
        let fields = match fields {
            Value::Object(fields) => fields,
            Value::Null => return Some(FieldSet::default()),
            _ => return None,
        };
        let mut set = FieldSet::default();
        for (step, below) in fields.iter().filter(|(step, _)| *step != ".") {
            let Some(step) = step::read(step)? else { continue };
            let children = FieldSet::from_json(below)?;
            let member = below.get(".").is_some() || children.is_empty();
            // Two texts may be one step.
            set.hang(step, Node { member, below: children });
        }
        Some(set)
    }

    /// Writes FieldsV1.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        for (step, node) in &self.nodes {
            let mut below = node.below.to_json();
            if node.member
                && !node.below.is_empty()
                && let Some(map) = below.as_object_mut()
            {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            fields.insert(step.clone(), below);
        }
        Value::Object(fields)
    }

    /// Whether there is no path in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[String]) {
        let Some((step, rest)) = path.split_first() else { return };
        if !self.nodes.contains_key(step) {
            self.nodes.insert(step.clone(), Node::default());
        }
        let Some(node) = self.nodes.get_mut(step) else { return };
        if rest.is_empty() { node.member = true } else { node.below.insert(rest) }
    }

    /// Whether the single step is itself in the set.
    pub(super) fn has(&self, step: &str) -> bool {
        self.nodes.get(step).is_some_and(|node| node.member)
    }

    /// What is below a step.
    pub(super) fn below(&self, step: &str) -> Option<&FieldSet> {
        self.nodes.get(step).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// Adds what is at a step and below it.
    pub(super) fn hang(&mut self, step: String, node: Node) {
        if !node.member && node.below.is_empty() {
            return;
        }
        match self.nodes.entry(step) {
            Entry::Vacant(place) => {
                place.insert(node);
            }
            Entry::Occupied(place) => {
                let there = place.into_mut();
                there.member |= node.member;
                there.below.absorb(node.below);
            }
        }
    }

    /// Adds the other's paths: [`FieldSet::union`] in place.
    pub(super) fn absorb(&mut self, other: FieldSet) {
        for (step, node) in other.nodes {
            self.hang(step, node);
        }
    }

    /// The paths in either set.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut both = self.clone();
        both.absorb(other.clone());
        both
    }

    /// The paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut out = FieldSet::default();
        for (step, node) in &self.nodes {
            let Some(also) = other.nodes.get(step) else { continue };
            let (member, below) = (node.member && also.member, node.below.intersection(&also.below));
            if member || !below.is_empty() {
                out.nodes.insert(step.clone(), Node { member, below });
            }
        }
        out
    }

    /// The paths of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let mut left = self.clone();
        left.subtract(other);
        left
    }

    /// Takes the other's paths out: [`FieldSet::difference`] in place.
    pub fn subtract(&mut self, other: &FieldSet) {
        self.nodes.retain(|step, node| {
            let Some(gone) = other.nodes.get(step) else { return true };
            node.member &= !gone.member;
            node.below.subtract(&gone.below);
            node.member || !node.below.is_empty()
        });
    }

    /// The paths of this set that are neither in the other nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(&self, other: &FieldSet) -> FieldSet {
        let mut out = FieldSet::default();
        for (step, node) in &self.nodes {
            let kept = match other.nodes.get(step) {
                None => node.clone(),
                Some(gone) if gone.member => continue,
                Some(gone) => Node { member: node.member, below: node.below.recursive_difference(&gone.below) },
            };
            if kept.member || !kept.below.is_empty() {
                out.nodes.insert(step.clone(), kept);
            }
        }
        out
    }

    /// Takes everything below something that its schema has as atomic for the whole of that: the schema may have been
    /// another when the set was written.
    pub(super) fn reconcile(&mut self, schema: super::schema::Schema<'_>) {
        for (step, node) in self.nodes.iter_mut().filter(|(_, node)| !node.below.is_empty()) {
            let (inner, _) = schema.step(step);
            if inner.is_atomic() {
                *node = Node { member: true, below: FieldSet::default() };
            } else {
                node.below.reconcile(inner);
            }
        }
    }

    /// Makes every step that `named` tells to be a declared field a path of its own.
    pub(super) fn with_named_fields(&self, schema: super::schema::Schema<'_>) -> FieldSet {
        let mut out = FieldSet::default();
        for (step, node) in &self.nodes {
            let (inner, declared) = schema.step(step);
            let member = node.member || declared;
            out.nodes.insert(step.clone(), Node { member, below: node.below.with_named_fields(inner) });
        }
        out
    }

    /// All paths as people read them, `.spec.ports[port=80].name`: those that end on a level before those below.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        let mut nodes: Vec<_> = self.nodes.iter().map(|(step, node)| (step::Shown::of(step), node)).collect();
        nodes.sort_by(|(a, _), (b, _)| a.order(b));
        for (step, _) in nodes.iter().filter(|(_, node)| node.member) {
            out.push(format!("{prefix}{step}"));
        }
        for (step, node) in nodes.iter().filter(|(_, node)| !node.below.is_empty()) {
            node.below.collect(&format!("{prefix}{step}"), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> FieldSet {
        FieldSet::from_json(fields).unwrap()
    }

    #[test]
    fn paths_come_in_the_order_of_their_values() {
        let set = read(&json!({"f:ports": {
            "k:{\"port\":443,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}},
            "k:{\"protocol\":\"TCP\",\"port\":80}": {},
            "k:{\"port\":9}": {}}}));
        assert_eq!(
            set.paths(),
            [
                ".ports[port=9]",
                ".ports[port=80,protocol=\"TCP\"]",
                ".ports[port=443,protocol=\"TCP\"]",
                ".ports[port=443,protocol=\"TCP\"].name"
            ]
        );
    }

    #[test]
    fn what_is_below_something_atomic_is_the_whole_of_it() {
        let of = crate::types::type_of("apps", "v1", "Deployment").unwrap();
        let mut set = read(&json!({"f:spec": {"f:selector": {"f:matchLabels": {"f:a": {}}}, "f:replicas": {}}}));
        set.reconcile(super::super::schema::Schema::Struct(of));
        assert_eq!(set.to_json(), json!({"f:spec": {"f:selector": {}, "f:replicas": {}}}));
    }

    #[test]
    fn malformed_sets_are_none() {
        for odd in [
            json!({"f:a": 1}),
            json!({"a": {}}),
            json!({"": {}}),
            json!({"fa:b": {}}),
            json!({"v:x": {}}),
            json!({"k:1": {}}),
            json!({"i:x": {}}),
            json!([]),
        ] {
            assert_eq!(FieldSet::from_json(&odd), None, "{odd}");
        }
        assert_eq!(read(&json!({"f:a": {"x:b": {}}})).to_json(), json!({"f:a": {}}));
        let twice = json!({"k:{\"a\":1,\"b\":2}": {}, "k:{\"b\":2,\"a\":1}": {"f:c": {}}});
        assert_eq!(read(&twice).to_json(), json!({"k:{\"a\":1,\"b\":2}": {".": {}, "f:c": {}}}));
        assert_eq!(read(&json!({"f:a": null})).to_json(), json!({"f:a": {}}));
    }

    #[test]
    fn a_difference_keeps_what_is_below_and_no_empty_steps() {
        let whole =
            json!({"f:metadata": {".": {}, "f:labels": {".": {}, "f:a": {}}, "f:name": {}}, "f:data": {"f:k": {}}});
        let gone = json!({"f:metadata": {".": {}, "f:name": {}, "f:uid": {}}, "f:data": {"f:k": {}}, "f:kind": {}});
        let left = read(&whole).difference(&read(&gone));
        assert_eq!(left.to_json(), json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}));
    }

    #[test]
    fn a_union_has_the_paths_of_both() {
        let one = read(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let other = read(&json!({"f:a": {"f:d": {}}, "f:c": {"f:e": {}}, "f:f": {}}));
        let both = one.union(&other);
        assert_eq!(
            both.to_json(),
            json!({"f:a": {".": {}, "f:b": {}, "f:d": {}}, "f:c": {".": {}, "f:e": {}}, "f:f": {}})
        );
        assert_eq!(one.intersection(&other), FieldSet::default());
        assert_eq!(both.intersection(&other), other);
    }
}
