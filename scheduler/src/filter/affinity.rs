//! Node selector and node affinity.

use k8s_openapi::api::core::v1::PodSpec;
use mainstay_api::placement::{self, Place};

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
    placement::selected(spec, Place::of(&node.node))
}

/// The sum of the weights of the preferences that the node meets.
pub(crate) fn preference(spec: &PodSpec, node: &NodeInfo) -> i64 {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let preferences = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let met = preferences.into_iter().flatten().filter(|t| placement::matches(&t.preference, Place::of(&node.node)));
    met.map(|term| i64::from(term.weight)).sum()
}
