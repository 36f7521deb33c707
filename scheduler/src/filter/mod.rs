//! Which nodes a pod may run on: one file a rule, all pure.

mod affinity;
mod fit;
mod pod_affinity;
mod spread;
mod taints;

use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::resource::v1::ResourceClaim;

pub(crate) use affinity::preference as node_preference;
pub(crate) use spread::same_owner_on;
pub(crate) use taints::unwanted as unwanted_taints;

use crate::cache::{Cache, NodeInfo};
use crate::devices::{Assignment, Obstacle, Wanted};
use crate::pod::PodInfo;

/// Why a node is not for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In Kubernetes' words; several when several resources lack.
    pub reasons: Vec<String>,
    /// Whether removing other pods from the node could help.
    pub preemption_helps: bool,
    /// The rule that refused.
    pub rule: Rule,
}

/// A rule, so that a pod is tried again when something changes that the rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The pod names its node.
    NodeName,
    /// The node takes no new pods.
    Unschedulable,
    /// Taints that the pod does not tolerate.
    Taints,
    /// Node selector and node affinity.
    NodeAffinity,
    /// Ports of the node.
    Ports,
    /// Resources.
    Fit,
    /// Topology spread constraints.
    Spread,
    /// Affinity to other pods.
    PodAffinity,
    /// Devices of the pod's claims.
    Devices,
}

impl Refusal {
    /// Nothing that other pods do changes it.
    fn final_because(rule: Rule, reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], preemption_helps: false, rule }
    }

    /// Other pods are in the way.
    fn because(rule: Rule, reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], preemption_helps: true, rule }
    }
}

/// What is computed once for a pod and asked of each node.
pub struct Filters<'a> {
    pod: &'a PodInfo,
    spec: &'a PodSpec,
    spread: spread::Constraints<'a>,
    others: pod_affinity::Others<'a>,
    devices: Result<Wanted<'a>, Obstacle>,
}

impl<'a> Filters<'a> {
    /// Prepares the filters for a pod; `None` for a pod without a spec, which the API server does not store.
    #[must_use]
    pub fn new(pod: &'a PodInfo, cache: &'a Cache) -> Option<Self> {
        let spec = pod.pod.spec.as_ref()?;
        let spread = spread::Constraints::new(pod, spec, cache);
        let others = pod_affinity::Others::new(pod, cache);
        let devices = Wanted::new(&pod.pod, cache.devices());
        Some(Self { pod, spec, spread, others, devices })
    }

    /// Why it is of no use to ask any node.
    pub(crate) fn obstacle(&self) -> Option<&Obstacle> {
        self.devices.as_ref().err()
    }

    /// The pod's claims with the devices that they get on a node, which has passed [`Filters::check`].
    pub(crate) fn assign(&self, node: &NodeInfo) -> Vec<Assignment> {
        self.devices.as_ref().map(|wanted| wanted.assign(&node.node)).unwrap_or_default()
    }

    /// How much the pod would like its devices on a node, which has passed [`Filters::check`].
    pub(crate) fn devices_preference(&self, node: &NodeInfo) -> i64 {
        self.devices.as_ref().map_or(0, |wanted| wanted.preference(&node.node))
    }

    /// Whether the pod has claims of devices.
    pub(crate) fn has_claims(&self) -> bool {
        self.devices.as_ref().is_ok_and(|wanted| !wanted.is_nothing())
    }

    /// A claim whose devices are of no use on some of the nodes, and which nobody else uses.
    pub(crate) fn to_deallocate<'n>(&self, nodes: impl Iterator<Item = &'n NodeInfo>) -> Option<Arc<ResourceClaim>> {
        self.devices.as_ref().ok()?.to_deallocate(self.pod.uid(), nodes.map(|node| node.node.as_ref()))
    }

    /// Asks every rule in Kubernetes' order; the first refusal counts.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        self.node_unschedulable(node)?;
        self.node_name(node)?;
        taints::check(self.spec, node)?;
        affinity::check(self.spec, node)?;
        self.ports(node)?;
        fit::check(self.pod, node)?;
        self.spread.check(node)?;
        self.others.check(node)?;
        self.devices(node)
    }

    fn node_name(&self, node: &NodeInfo) -> Result<(), Refusal> {
        match self.spec.node_name.as_deref() {
            Some(name) if !name.is_empty() && name != node.name() => {
                Err(Refusal::final_because(Rule::NodeName, "node(s) didn't match the requested node name"))
            }
            _ => Ok(()),
        }
    }

    fn node_unschedulable(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let cordoned = node.node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        if !cordoned || taints::tolerates_unschedulable(self.spec) {
            return Ok(());
        }
        Err(Refusal::final_because(Rule::Unschedulable, "node(s) were unschedulable"))
    }

    fn ports(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let taken = node.pods.values().flat_map(|pod| &pod.host_ports);
        let conflict = |port| self.pod.host_ports.iter().any(|wanted| wanted.conflicts_with(port));
        if self.pod.host_ports.is_empty() || !taken.into_iter().any(conflict) {
            return Ok(());
        }
        Err(Refusal::because(Rule::Ports, "node(s) didn't have free ports for the requested pod ports"))
    }

    fn devices(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let Ok(wanted) = &self.devices else { return Ok(()) };
        wanted.check(&node.node).map_err(|why| Refusal::final_because(Rule::Devices, &why))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cache, info, named_pod, node, pod};

    /// Which nodes take a pod, and the first reason of those that do not.
    fn verdicts(cache: &Cache, spec: &str) -> Vec<String> {
        let pod = info(named_pod("new", &json!({"app": "a"}), spec));
        let filters = Filters::new(&pod, cache).unwrap();
        cache.nodes().map(|node| filters.check(node).map_or_else(|r| r.reasons.join("+"), |()| "ok".into())).collect()
    }

    fn plain(name: &str) -> k8s_openapi::api::core::v1::Node {
        node(name, &json!({"kubernetes.io/hostname": name}), &json!({}))
    }

    fn other(name: &str, on: &str, mut spec: Value) -> k8s_openapi::api::core::v1::Pod {
        spec["nodeName"] = json!(on);
        named_pod(name, &json!({"app": "a"}), &spec.to_string())
    }

    #[test]
    fn cordons_taints_and_names_refuse() {
        let taint = |effect: &str| json!({"taints": [{"key": "k", "value": "v", "effect": effect}]});
        let nodes = vec![
            node("a", &json!({}), &json!({"unschedulable": true})),
            node("b", &json!({}), &taint("NoSchedule")),
            node("c", &json!({}), &taint("PreferNoSchedule")),
        ];
        let cache = cache(nodes, vec![]);
        let refused = ["node(s) were unschedulable", "node(s) had untolerated taint(s)", "ok"];
        assert_eq!(verdicts(&cache, "{}"), refused);
        assert_eq!(verdicts(&cache, r#"{"tolerations":[{"operator":"Exists"}]}"#), ["ok", "ok", "ok"]);
        let named = verdicts(&cache, r#"{"nodeName":"c","tolerations":[{"operator":"Exists"}]}"#);
        assert_eq!(named[0], "node(s) didn't match the requested node name");
    }

    #[test]
    fn selectors_and_node_affinity_refuse() {
        let cache = cache(vec![node("a", &json!({"disk": "ssd", "n": "5"}), &json!({})), plain("b")], vec![]);
        let no = "node(s) didn't match Pod's node affinity/selector";
        assert_eq!(verdicts(&cache, r#"{"nodeSelector":{"disk":"ssd"}}"#), ["ok", no]);
        let affinity = |expression: &str| {
            format!(
                r#"{{"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":
                {{"nodeSelectorTerms":[{{"matchExpressions":[{expression}]}}]}}}}}}}}"#
            )
        };
        assert_eq!(verdicts(&cache, &affinity(r#"{"key":"n","operator":"Gt","values":["4"]}"#)), ["ok", no]);
        assert_eq!(verdicts(&cache, &affinity(r#"{"key":"disk","operator":"DoesNotExist"}"#)), [no, "ok"]);
    }

    #[test]
    fn ports_and_resources_refuse() {
        let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}],
            "resources": {"requests": {"cpu": "3"}}}]});
        let cache = cache(vec![plain("a"), plain("b")], vec![other("o", "a", port.clone())]);
        let busy = "node(s) didn't have free ports for the requested pod ports";
        assert_eq!(verdicts(&cache, &port.to_string()), [busy, "ok"]);
        let big = r#"{"containers":[{"name":"c","resources":{"requests":{"cpu":"2","memory":"9Gi"}}}]}"#;
        assert_eq!(verdicts(&cache, big), ["Insufficient cpu+Insufficient memory", "Insufficient memory"]);
    }

    #[test]
    fn pods_attract_and_repel() {
        let term = r#"[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"a"}}}]"#;
        let rule = |kind: &str| {
            format!(r#"{{"affinity":{{"{kind}":{{"requiredDuringSchedulingIgnoredDuringExecution":{term}}}}}}}"#)
        };
        let repelling: Value = serde_json::from_str(&rule("podAntiAffinity")).unwrap();
        let cache = cache(vec![plain("a"), plain("b")], vec![other("o", "a", json!({}))]);
        assert_eq!(verdicts(&cache, &rule("podAffinity"))[1], "node(s) didn't match pod affinity rules");
        assert_eq!(verdicts(&cache, &rule("podAntiAffinity"))[0], "node(s) didn't match pod anti-affinity rules");
        let repelled = crate::testing::cache(vec![plain("a"), plain("b")], vec![other("o", "a", repelling)]);
        let refused = ["node(s) didn't satisfy existing pods anti-affinity rules", "ok"];
        assert_eq!(verdicts(&repelled, "{}"), refused);
    }

    #[test]
    fn the_first_of_a_group_that_wants_itself_may_go_anywhere() {
        let spec = r#"{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"a"}}}]}}}"#;
        assert_eq!(verdicts(&cache(vec![plain("a"), plain("b")], vec![]), spec), ["ok", "ok"]);
    }

    #[test]
    fn spreading_keeps_within_the_skew() {
        let spec = r#"{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname",
            "whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"a"}}}]}"#;
        let nodes = vec![plain("a"), plain("b"), node("c", &json!({}), &json!({}))];
        let cache = cache(nodes, vec![other("o", "a", json!({}))]);
        let full = "node(s) didn't match pod topology spread constraints";
        let unlabelled = "node(s) didn't match pod topology spread constraints (missing required label)";
        assert_eq!(verdicts(&cache, spec), [full, "ok", unlabelled]);
    }

    #[test]
    fn a_pod_without_rules_goes_anywhere() {
        assert_eq!(verdicts(&cache(vec![plain("a")], vec![pod(r#"{"nodeName":"a"}"#)]), "{}"), ["ok"]);
    }
}
