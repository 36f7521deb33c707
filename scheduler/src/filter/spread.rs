//! Topology spread constraints
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>).

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};
use mainstay_api::selector::LabelSelector;
use serde_json::json;

use super::{Refusal, Rule, affinity, taints};
use crate::cache::{Cache, NodeInfo};
use crate::pod::PodInfo;
use crate::terms::compile_selector;

struct Constraint<'a> {
    key: &'a str,
    max_skew: i64,
    /// Matching pods by the label's value, over the nodes that count.
    counts: HashMap<&'a str, i64>,
    /// The fewest; 0 while there are fewer places than `minDomains`.
    fewest: i64,
    matches_itself: bool,
}

/// The constraints that a pod insists on.
pub(super) struct Constraints<'a>(Vec<Constraint<'a>>);

impl<'a> Constraints<'a> {
    pub(super) fn new(pod: &'a PodInfo, spec: &'a PodSpec, cache: &'a Cache) -> Self {
        let constraints = spec.topology_spread_constraints.iter().flatten();
        let hard: Vec<_> = constraints.filter(|c| c.when_unsatisfiable == "DoNotSchedule").collect();
        let keys: Vec<&str> = hard.iter().map(|constraint| constraint.topology_key.as_str()).collect();
        Self(hard.into_iter().map(|constraint| prepare(constraint, &keys, pod, spec, cache)).collect())
    }

    pub(super) fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        for constraint in &self.0 {
            let Some(value) = node.labels().get(constraint.key) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Err(Refusal::final_because(Rule::Spread, reason));
            };
            let here = constraint.counts.get(value.as_str()).copied().unwrap_or_default();
            if here + i64::from(constraint.matches_itself) - constraint.fewest > constraint.max_skew {
                return Err(Refusal::because(Rule::Spread, "node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }
}

fn prepare<'a>(
    constraint: &'a TopologySpreadConstraint,
    keys: &[&str],
    pod: &PodInfo,
    spec: &PodSpec,
    cache: &'a Cache,
) -> Constraint<'a> {
    let selector = selector(constraint, pod);
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for node in cache.nodes().filter(|node| counts_for(constraint, keys, spec, node)) {
        let Some(value) = node.labels().get(&constraint.topology_key) else { continue };
        *counts.entry(value).or_default() += matching_on(node, &selector, pod.namespace());
    }
    let too_few_places =
        i64::try_from(counts.len()).unwrap_or(i64::MAX) < i64::from(constraint.min_domains.unwrap_or(1));
    let fewest = if too_few_places { 0 } else { counts.values().copied().min().unwrap_or_default() };
    Constraint {
        key: &constraint.topology_key,
        max_skew: i64::from(constraint.max_skew),
        counts,
        fewest,
        matches_itself: selector.matches(pod.labels()),
    }
}

/// `matchLabelKeys` take the pod's own values into the selector (KEP-3243).
fn selector(constraint: &TopologySpreadConstraint, pod: &PodInfo) -> LabelSelector {
    let mut selector = json!(constraint.label_selector);
    let keys = constraint.match_label_keys.iter().flatten();
    let own = keys.filter_map(|key| Some(json!({"key": key, "operator": "In", "values": [pod.labels().get(key)?]})));
    let own: Vec<_> = own.collect();
    if !own.is_empty() && selector.is_object() {
        let mut expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
        expressions.extend(own);
        selector["matchExpressions"] = json!(expressions);
    }
    compile_selector(&selector)
}

/// Whether a node's pods count: it has all the labels, and by default the pod's node affinity takes it.
fn counts_for(constraint: &TopologySpreadConstraint, keys: &[&str], spec: &PodSpec, node: &NodeInfo) -> bool {
    let affinity_counts = constraint.node_affinity_policy.as_deref() != Some("Ignore");
    let taints_count = constraint.node_taints_policy.as_deref() == Some("Honor");
    keys.iter().all(|key| node.labels().contains_key(*key))
        && (!affinity_counts || affinity::selected(spec, node))
        && (!taints_count || taints::check(spec, node).is_ok())
}

fn matching_on(node: &NodeInfo, selector: &LabelSelector, namespace: &str) -> i64 {
    let matching = node.pods.values().filter(|pod| {
        pod.namespace() == namespace && pod.pod.metadata.deletion_timestamp.is_none() && selector.matches(pod.labels())
    });
    i64::try_from(matching.count()).unwrap_or(i64::MAX)
}

/// How many pods of the same controller are on a node: what the default spreading looks at.
pub(crate) fn same_owner_on(node: &NodeInfo, pod: &PodInfo) -> i64 {
    let Some(owner) = pod.controller() else { return 0 };
    let siblings = node.pods.values().filter(|other| other.controller() == Some(owner));
    i64::try_from(siblings.count()).unwrap_or(i64::MAX)
}
