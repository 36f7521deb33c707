//! Which nodes a pod may be on: node selectors, required node affinity, taints and tolerations. Used by whoever places pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

/// What terms are held against: a node's name and labels.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

impl<'a> Place<'a> {
    /// A node as a place.
    pub fn of(node: &'a Node) -> Self {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let name = node.metadata.name.as_deref().unwrap_or_default();
        Self { name, labels: node.metadata.labels.as_ref().unwrap_or(&NONE) }
    }
}

/// Whether both the selector and the required affinity of a pod take the node.
pub fn selected(spec: &PodSpec, place: Place<'_>) -> bool {
    let by_selector = spec.node_selector.iter().flatten().all(|(key, value)| place.labels.get(key) == Some(value));
    let takes = |selector: &NodeSelector| selector.node_selector_terms.iter().any(|term| matches(term, place));
    by_selector && required(spec).is_none_or(takes)
}

fn required(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity.required_during_scheduling_ignored_during_execution.as_ref()
}

/// Whether a term takes the node; one without requirements takes none.
pub fn matches(term: &NodeSelectorTerm, place: Place<'_>) -> bool {
    let expressions = || term.match_expressions.iter().flatten();
    let fields = || term.match_fields.iter().flatten();
    if expressions().chain(fields()).next().is_none() {
        return false;
    }
    expressions().all(|r| holds(r, place.labels.get(&r.key).map(String::as_str)))
        && fields().all(|r| holds(r, (r.key == "metadata.name").then_some(place.name)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = |value: &str| requirement.values.iter().flatten().any(|wanted| wanted == value);
    let bound = || requirement.values.iter().flatten().next()?.parse::<i64>().ok();
    let number = || value?.parse::<i64>().ok();
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => matches!((number(), bound()), (Some(number), Some(bound)) if number > bound),
        "Lt" => matches!((number(), bound()), (Some(number), Some(bound)) if number < bound),
        _ => false,
    }
}

/// Whether any of the tolerations bears the taint.
pub fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let same = |own: &Option<String>, other: &str| own.as_deref().is_none_or(|own| own.is_empty() || own == other);
    if !same(&toleration.effect, &taint.effect) || !same(&toleration.key, &taint.key) {
        return false;
    }
    let own = toleration.value.as_deref().unwrap_or_default();
    let theirs = taint.value.as_deref().unwrap_or_default();
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => own == theirs && toleration.key.as_deref().is_some_and(|key| !key.is_empty()),
        "Exists" => true,
        "Lt" => compared(theirs, own, |a, b| a < b),
        "Gt" => compared(theirs, own, |a, b| a > b),
        _ => false,
    }
}

fn compared(taint: &str, toleration: &str, holds: impl Fn(i64, i64) -> bool) -> bool {
    matches!((taint.parse(), toleration.parse()), (Ok(a), Ok(b)) if holds(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(key: &str, operator: &str, values: &[&str]) -> NodeSelectorTerm {
        let values = Some(values.iter().map(|v| (*v).to_owned()).collect());
        let requirement = NodeSelectorRequirement { key: key.into(), operator: operator.into(), values };
        NodeSelectorTerm { match_expressions: Some(vec![requirement]), match_fields: None }
    }

    #[test]
    fn terms_speak_of_labels_and_of_the_name() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("disks".to_owned(), "4".to_owned())]);
        let place = Place { name: "n1", labels: &labels };
        assert!(matches(&term("zone", "In", &["a", "b"]), place));
        assert!(matches(&term("disks", "Gt", &["3"]), place));
        assert!(!matches(&term("none", "Exists", &[]), place));
        assert!(!matches(&NodeSelectorTerm::default(), place));
        let by_name = term("metadata.name", "In", &["n1"]).match_expressions;
        assert!(matches(&NodeSelectorTerm { match_expressions: None, match_fields: by_name }, place));
    }

    #[test]
    fn a_toleration_without_a_key_bears_everything() {
        let taint = Taint { key: "k".into(), value: Some("v".into()), effect: "NoSchedule".into(), time_added: None };
        let all = Toleration { operator: Some("Exists".into()), ..Toleration::default() };
        let equal = Toleration { key: Some("k".into()), value: Some("v".into()), ..Toleration::default() };
        let other = Toleration { key: Some("k".into()), value: Some("w".into()), ..Toleration::default() };
        assert!(tolerated(&[all], &taint) && tolerated(&[equal], &taint) && !tolerated(&[other], &taint));
    }
}
