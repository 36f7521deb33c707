//! The decision for one pod: filter, score, choose; or say why not, and whom to remove.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::resource::v1::ResourceClaim;

use crate::cache::{Cache, NodeInfo};
use crate::devices::{Assignment, Obstacle};
use crate::filter::{Filters, Refusal, Rule};
use crate::pod::PodInfo;
use crate::score::scores;

const NO_CLAIMS: &str = "no new claims to deallocate";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NEVER_PREEMPTS: &str = "not eligible due to preemptionPolicy=Never";

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It goes to a node.
    Bind {
        /// The node's name.
        node: String,
        /// Its claims, with the devices that they get there.
        devices: Vec<Assignment>,
    },
    /// Its claims are not there yet, or about to get devices for another pod: nobody has to be told.
    NotYet,
    /// No node takes it.
    Unschedulable {
        /// In Kubernetes' words.
        message: String,
        /// The rules that refused it.
        rules: BTreeSet<Rule>,
        /// Pods of lower priority that make room on a node when they go.
        preempt: Option<Preemption>,
        /// A claim of the pod that should give back devices that are of no use.
        deallocate: Option<Arc<ResourceClaim>>,
    },
}

/// Room made by removing pods of lower priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// Where.
    pub node: String,
    /// Uids of the pods to remove.
    pub victims: Vec<String>,
}

/// Decides; `pick` chooses among that many equally good nodes.
#[must_use]
pub fn decide(pod: &PodInfo, cache: &Cache, pick: impl FnOnce(usize) -> usize) -> Decision {
    let Some(filters) = Filters::new(pod, cache) else {
        return unschedulable("pod has no spec".to_owned(), BTreeSet::new());
    };
    if filters.obstacle() == Some(&Obstacle::NotYet) {
        return Decision::NotYet;
    }
    if cache.node_count() == 0 {
        return unschedulable("no nodes available to schedule pods".to_owned(), BTreeSet::from([Rule::NodeName]));
    }
    if let Some(Obstacle::Never(why)) = filters.obstacle() {
        return hopeless(pod, why, cache.node_count());
    }
    let mut fitting = Vec::new();
    let mut refusals = Vec::new();
    for node in cache.nodes() {
        match filters.check(node) {
            Ok(()) => fitting.push(node),
            Err(refusal) => refusals.push((node, refusal)),
        }
    }
    if fitting.is_empty() {
        return explain(pod, &filters, &refusals);
    }
    let node = best(pod, &filters, &fitting, cache, pick);
    Decision::Bind { node: node.name().to_owned(), devices: filters.assign(node) }
}

fn unschedulable(message: String, rules: BTreeSet<Rule>) -> Decision {
    Decision::Unschedulable { message, rules, preempt: None, deallocate: None }
}

/// The pod's claims are in the way of it on all nodes.
fn hopeless(pod: &PodInfo, why: &str, nodes: usize) -> Decision {
    let preemption = match may_preempt(pod) {
        true => availability(nodes, std::iter::repeat_n(NOT_HELPFUL, nodes)),
        false => NEVER_PREEMPTS.to_owned(),
    };
    let message = format!("0/{nodes} nodes are available: {why}. {NO_CLAIMS}, preemption: {preemption}.");
    unschedulable(message, BTreeSet::from([Rule::Devices]))
}

fn best<'a>(
    pod: &PodInfo,
    filters: &Filters<'_>,
    nodes: &[&'a NodeInfo],
    cache: &Cache,
    pick: impl FnOnce(usize) -> usize,
) -> &'a NodeInfo {
    if let [only] = nodes {
        return only;
    }
    let scores = scores(pod, nodes, cache, |node| filters.devices_preference(node));
    let highest = scores.iter().max();
    let equal: Vec<_> = (0..nodes.len()).filter(|i| Some(&scores[*i]) == highest).collect();
    nodes[equal[pick(equal.len()).min(equal.len() - 1)]]
}

fn explain(pod: &PodInfo, filters: &Filters<'_>, refusals: &[(&NodeInfo, Refusal)]) -> Decision {
    let rules = refusals.iter().map(|(_, refusal)| refusal.rule).collect();
    let reasons = refusals.iter().flat_map(|(_, refusal)| refusal.reasons.iter().map(String::as_str));
    let summary = availability(refusals.len(), reasons);
    let without_devices = refusals.iter().filter(|(_, refusal)| refusal.rule == Rule::Devices);
    let deallocate = filters.to_deallocate(without_devices.map(|(node, _)| *node));
    let preempt = preemption(pod, filters, refusals);
    let message = match &preempt {
        Some(_) => format!("{summary}."),
        None => {
            let claims = claims_word(filters.has_claims(), deallocate.is_some());
            format!("{summary}. {claims}, preemption: {}.", unhelpful(pod, refusals))
        }
    };
    Decision::Unschedulable { message, rules, preempt, deallocate }
}

/// What was tried with the pod's claims, in Kubernetes' words.
fn claims_word(has_claims: bool, deallocates: bool) -> &'static str {
    match (has_claims, deallocates) {
        (_, true) => "deallocation of ResourceClaim completed",
        (true, false) => "still not schedulable",
        (false, false) => NO_CLAIMS,
    }
}

/// "0/3 nodes are available: 1 Insufficient cpu, 2 …".
fn availability<'a>(nodes: usize, reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    format!("0/{nodes} nodes are available: {}", parts.join(", "))
}

fn unhelpful(pod: &PodInfo, refusals: &[(&NodeInfo, Refusal)]) -> String {
    if !may_preempt(pod) {
        return NEVER_PREEMPTS.to_owned();
    }
    let word = |refusal: &Refusal| match refusal.preemption_helps {
        true => "No preemption victims found for incoming pod",
        false => NOT_HELPFUL,
    };
    availability(refusals.len(), refusals.iter().map(|(_, refusal)| word(refusal)))
}

fn may_preempt(pod: &PodInfo) -> bool {
    let policy = pod.pod.spec.as_ref().and_then(|spec| spec.preemption_policy.as_deref());
    policy != Some("Never")
}

/// The node where the least important and the fewest pods have to go. Disruption budgets are not looked at here:
/// as in Kubernetes they are a wish, not a bound, where priority is concerned.
fn preemption(pod: &PodInfo, filters: &Filters<'_>, refusals: &[(&NodeInfo, Refusal)]) -> Option<Preemption> {
    if !may_preempt(pod) {
        return None;
    }
    let candidates = refusals.iter().filter(|(_, refusal)| refusal.preemption_helps);
    let possible = candidates.filter_map(|(node, _)| Some((*node, victims(pod, filters, node)?)));
    let cost = |victims: &[&PodInfo]| (victims.iter().map(|v| v.priority()).max(), victims.len());
    let (node, victims) = possible.min_by_key(|(_, victims)| cost(victims))?;
    let victims = victims.into_iter().map(|victim| victim.uid().to_owned()).collect();
    Some(Preemption { node: node.name().to_owned(), victims })
}

/// The pods that have to leave a node: all of lower priority, less those that may stay after all, the most important first.
fn victims<'a>(pod: &PodInfo, filters: &Filters<'_>, node: &'a NodeInfo) -> Option<Vec<&'a PodInfo>> {
    let mut lower: Vec<&PodInfo> =
        node.pods.values().map(AsRef::as_ref).filter(|p| p.priority() < pod.priority()).collect();
    lower.sort_by_key(|victim| (std::cmp::Reverse(victim.priority()), victim.uid().to_owned()));
    let fits_without = |gone: &[&PodInfo]| {
        let uids: Vec<&str> = gone.iter().map(|victim| victim.uid()).collect();
        filters.check(&node.without(&uids)).is_ok()
    };
    if lower.is_empty() || !fits_without(&lower) {
        return None;
    }
    let mut gone = lower.clone();
    for candidate in lower {
        let others: Vec<_> = gone.iter().copied().filter(|victim| victim.uid() != candidate.uid()).collect();
        if fits_without(&others) {
            gone = others;
        }
    }
    Some(gone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cache, info, named_pod, node};

    fn asking(name: &str, cpu: &str, more: &str) -> k8s_openapi::api::core::v1::Pod {
        let spec = format!(r#"{{"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]{more}}}"#);
        named_pod(name, &json!({}), &spec)
    }

    fn two_nodes() -> Vec<k8s_openapi::api::core::v1::Node> {
        let tainted = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
        vec![node("a", &json!({}), &tainted), node("b", &json!({}), &json!({}))]
    }

    #[test]
    fn the_fitting_node_is_chosen() {
        let decision = decide(&info(asking("p", "1", "")), &cache(two_nodes(), vec![]), |_| 0);
        assert_eq!(decision, Decision::Bind { node: "b".into(), devices: vec![] });
    }

    #[test]
    fn the_message_counts_reasons_in_order() {
        let Decision::Unschedulable { message, rules, preempt, .. } =
            decide(&info(asking("p", "5", "")), &cache(two_nodes(), vec![]), |_| 0)
        else {
            panic!("nothing should fit")
        };
        assert_eq!(
            message,
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims to deallocate, \
             preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        );
        assert_eq!(rules, BTreeSet::from([Rule::Taints, Rule::Fit]));
        assert_eq!(preempt, None);
    }

    #[test]
    fn without_nodes_the_message_says_so() {
        let Decision::Unschedulable { message, .. } =
            decide(&info(asking("p", "1", "")), &cache(vec![], vec![]), |_| 0)
        else {
            panic!("nothing should fit")
        };
        assert_eq!(message, "no nodes available to schedule pods");
    }

    #[test]
    fn the_fewest_pods_of_lower_priority_go() {
        let on_b = |name: &str, cpu: &str, priority: i32| {
            asking(name, cpu, &format!(r#","nodeName":"b","priority":{priority}"#))
        };
        let running = vec![on_b("low", "1", 1), on_b("mid", "1", 5), on_b("high", "2", 100)];
        let cache = cache(two_nodes(), running);
        let Decision::Unschedulable { preempt, .. } =
            decide(&info(asking("p", "1", r#","priority":10"#)), &cache, |_| 0)
        else {
            panic!("nothing should fit")
        };
        assert_eq!(preempt, Some(Preemption { node: "b".into(), victims: vec!["low".into()] }));
    }

    /// What is decided for a pod with the claim "c" of this status.
    fn with_claim(spec: &serde_json::Value, status: &serde_json::Value) -> Decision {
        let mut cache = cache(vec![node("b", &json!({}), &json!({}))], vec![]);
        let claim =
            json!({"metadata": {"name": "c", "namespace": "default", "uid": "c"}, "spec": spec, "status": status});
        cache.devices_mut().set_claim(Arc::new(serde_json::from_value(claim).unwrap()));
        decide(&info(asking("p", "1", r#","resourceClaims":[{"name":"c","resourceClaimName":"c"}]"#)), &cache, |_| 0)
    }

    fn message(decision: &Decision) -> &str {
        let Decision::Unschedulable { message, .. } = decision else { panic!("nothing should fit") };
        message
    }

    #[test]
    fn pods_wait_for_their_claims() {
        let pod = info(asking("p", "1", r#","resourceClaims":[{"name":"c","resourceClaimName":"c"}]"#));
        assert_eq!(decide(&pod, &cache(two_nodes(), vec![]), |_| 0), Decision::NotYet);
        let Decision::Bind { devices, .. } = with_claim(&json!({}), &json!({"allocation": {}})) else {
            panic!("the claim is there")
        };
        assert_eq!(devices.len(), 1);
    }

    #[test]
    fn claims_explain_themselves() {
        let no_class = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "no"}}]}});
        assert_eq!(
            message(&with_claim(&no_class, &json!(null))),
            "0/1 nodes are available: request r: device class no does not exist. no new claims to deallocate, \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
        let by_name = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["x"]}]}]);
        let elsewhere = json!({"nodeSelector": {"nodeSelectorTerms": by_name}});
        let idle = with_claim(&json!({}), &json!({"allocation": elsewhere}));
        assert_eq!(
            message(&idle),
            "0/1 nodes are available: 1 resourceclaim not available on the node. deallocation of ResourceClaim completed, \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
        let user = json!([{"resource": "pods", "name": "other", "uid": "other"}]);
        let used = with_claim(&json!({}), &json!({"allocation": elsewhere, "reservedFor": user}));
        assert!(message(&used).contains(". still not schedulable, preemption: "));
    }
}
