//! Node selector and node affinity.

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use super::{Refusal, Rule};
use crate::cache::NodeInfo;

pub(super) fn check(spec: &PodSpec, node: &NodeInfo) -> Result<(), Refusal> {
    if selected(spec, node) {
        return Ok(());
    }
    Err(Refusal::final_because(Rule::NodeAffinity, "node(s) didn't match Pod's node affinity/selector"))
}

/// Whether both the selector and the required affinity take the node.
pub(super) fn selected(spec: &PodSpec, node: &NodeInfo) -> bool {
    let labels = node.labels();
    let by_selector = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    by_selector && required(spec).is_none_or(|selector| selector.node_selector_terms.iter().any(|t| matches(t, node)))
}

fn required(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity.required_during_scheduling_ignored_during_execution.as_ref()
}

/// The sum of the weights of the preferences that the node meets.
pub(crate) fn preference(spec: &PodSpec, node: &NodeInfo) -> i64 {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let preferences = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let met = preferences.into_iter().flatten().filter(|term| matches(&term.preference, node));
    met.map(|term| i64::from(term.weight)).sum()
}

/// A term without requirements selects nothing.
fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.iter().flatten();
    let fields = term.match_fields.iter().flatten();
    if term.match_expressions.iter().flatten().chain(term.match_fields.iter().flatten()).next().is_none() {
        return false;
    }
    let by_labels = expressions.into_iter().all(|r| holds(r, node.labels().get(&r.key).map(String::as_str)));
    by_labels && fields.into_iter().all(|r| holds(r, (r.key == "metadata.name").then(|| node.name())))
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
