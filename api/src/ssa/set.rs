//! Sets of fields, as `managedFields` records them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A set of paths. Each step of a path is written as in FieldsV1: `f:name`, `k:{"name":"c"}`, `v:"x"`, `i:0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Whether the path that ends here is in the set.
    member: bool,
    below: FieldSet,
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

    /// Reads FieldsV1.
    #[must_use]
    pub fn from_json(fields: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        for (step, below) in fields.as_object().into_iter().flatten().filter(|(step, _)| *step != ".") {
            let member = below.get(".").is_some() || below.as_object().is_none_or(Map::is_empty);
            set.nodes.insert(step.clone(), Node { member, below: FieldSet::from_json(below) });
        }
        set
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

    fn combine(&self, other: &FieldSet, member: impl Fn(bool, bool) -> bool + Copy) -> FieldSet {
        let empty = Node::default();
        let mut out = FieldSet::default();
        let steps = self.nodes.keys().chain(other.nodes.keys().filter(|step| !self.nodes.contains_key(*step)));
        for step in steps {
            let left = self.nodes.get(step).unwrap_or(&empty);
            let right = other.nodes.get(step).unwrap_or(&empty);
            let node =
                Node { member: member(left.member, right.member), below: left.below.combine(&right.below, member) };
            if node.member || !node.below.is_empty() {
                out.nodes.insert(step.clone(), node);
            }
        }
        out
    }

    /// The paths in either set.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |left, right| left || right)
    }

    /// The paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |left, right| left && right)
    }

    /// The paths of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |left, right| left && !right)
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
        for (step, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            out.push(format!("{prefix}{}", readable(step)));
        }
        for (step, node) in &self.nodes {
            node.below.collect(&format!("{prefix}{}", readable(step)), out);
        }
    }
}

/// A step as people read it.
fn readable(step: &str) -> String {
    let Some((kind, rest)) = step.split_once(':') else { return step.to_owned() };
    match kind {
        "f" => format!(".{rest}"),
        "v" => format!("[={rest}]"),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[{rest}]"),
    }
}
