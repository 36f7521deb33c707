//! Which pods a daemon set is to make and to delete, and its status. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use mainstay_api::placement::{self, Place};
use mainstay_client::Change;

use super::pod;
use crate::deployment::scaled;
use crate::meta::{created, is_deleting, name, seconds};
use crate::pod::{is_finished, is_ready, node_name, phase, until_available};

/// All that planning looks at.
pub(super) struct Input<'a> {
    pub(super) set: &'a DaemonSet,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) nodes: &'a [Arc<Node>],
    /// Of the present template.
    pub(super) hash: &'a str,
    pub(super) now: Timestamp,
}

/// A pod to delete.
pub(super) struct Removal {
    pub(super) pod: Arc<Pod>,
    pub(super) node: String,
    /// It ended by itself: the event's reason, and "failed" or "succeeded".
    pub(super) finished: Option<(&'static str, &'static str)>,
}

pub(super) struct Plan {
    /// Nodes that are to have a pod.
    pub(super) create: Vec<String>,
    pub(super) remove: Vec<Removal>,
    pub(super) status: DaemonSetStatus,
    pub(super) next_available: Option<Duration>,
}

/// Whether a change of a node may change where daemons run.
pub(super) fn node_matters(change: &Change<Node>) -> bool {
    let Change::Updated { old, new } = change else { return true };
    let taints = |node: &Node| node.spec.as_ref().and_then(|s| s.taints.clone());
    old.metadata.labels != new.metadata.labels || taints(old) != taints(new)
}

/// What becomes of a daemon on a node.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fit {
    /// It is to run there.
    run: bool,
    /// It may stay if it is there.
    stay: bool,
}

fn fit(spec: &DaemonSetSpec, node: &Node) -> Fit {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    let pod = spec.template.spec.as_ref().unwrap_or(&EMPTY);
    let named = pod.node_name.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == name(&node.metadata));
    if !named || !placement::selected(pod, Place::of(node)) {
        return Fit { run: false, stay: false };
    }
    let tolerations = pod::tolerations(pod);
    let taints = || node.spec.iter().flat_map(|s| s.taints.iter().flatten());
    let borne = |effects: &[&str]| {
        taints().filter(|t| effects.contains(&t.effect.as_str())).all(|t| placement::tolerated(&tolerations, t))
    };
    Fit { run: borne(&["NoSchedule", "NoExecute"]), stay: borne(&["NoExecute"]) }
}

struct Limits {
    surge: usize,
    unavailable: usize,
    rolls: bool,
}

fn limits(spec: &DaemonSetSpec, wanted: i32) -> Limits {
    let strategy = spec.update_strategy.as_ref();
    let rolls = strategy.and_then(|s| s.type_.as_deref()) != Some("OnDelete");
    let RollingUpdateDaemonSet { max_surge, max_unavailable } =
        strategy.and_then(|s| s.rolling_update.clone()).unwrap_or_default();
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    let surge = max_surge.map_or(0, |value| count(scaled(Some(&value), wanted, true)));
    let unavailable = max_unavailable.map_or(1, |value| count(scaled(Some(&value), wanted, true)));
    Limits { surge, unavailable: if surge == 0 { unavailable.max(1) } else { unavailable }, rolls }
}

/// What to do next.
pub(super) fn plan(input: &Input) -> Plan {
    let Some(spec) = &input.set.spec else {
        return Plan { create: Vec::new(), remove: Vec::new(), status: Default::default(), next_available: None };
    };
    let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in input.pods {
        if let Some(node) = pod::target(pod) {
            by_node.entry(node).or_default().push(pod.clone());
        }
    }
    for pods in by_node.values_mut() {
        pods.sort_by_key(|p| (node_name(p).is_empty(), created(&p.metadata), name(&p.metadata).to_owned()));
    }
    let fits: BTreeMap<&str, Fit> = input.nodes.iter().map(|n| (name(&n.metadata), fit(spec, n))).collect();
    let min_ready = seconds(spec.min_ready_seconds.unwrap_or(0).into());
    let mut maker = Maker { input, min_ready, create: Vec::new(), remove: Vec::new() };
    for (node, fit) in &fits {
        maker.place(node, *fit, by_node.get(*node).map_or(&[][..], Vec::as_slice));
    }
    for (node, pods) in by_node.iter().filter(|(node, _)| !fits.contains_key(node.as_str())) {
        // The node is gone; what is bound to it goes by other hands.
        let unbound = pods.iter().filter(|p| node_name(p).is_empty() && !is_deleting(&p.metadata));
        maker.remove.extend(unbound.map(|pod| Removal { pod: pod.clone(), node: node.clone(), finished: None }));
    }
    let wanted = fits.values().filter(|fit| fit.run).count();
    let limits = limits(spec, i32::try_from(wanted).unwrap_or(i32::MAX));
    if limits.rolls {
        maker.roll(&fits, &by_node, &limits);
    }
    maker.finish(&fits, &by_node)
}

struct Maker<'a> {
    input: &'a Input<'a>,
    min_ready: Duration,
    create: Vec<String>,
    remove: Vec<Removal>,
}

impl Maker<'_> {
    fn is_available(&self, pod: &Pod) -> bool {
        !is_deleting(&pod.metadata)
            && is_ready(pod)
            && until_available(pod, self.min_ready, self.input.now) == Some(Duration::ZERO)
    }

    fn is_new(&self, pod: &Pod) -> bool {
        pod::hash(pod) == self.input.hash
    }

    /// Where a daemon is missing, too many, or not wanted.
    fn place(&mut self, node: &str, fit: Fit, pods: &[Arc<Pod>]) {
        let gone = |pod: &&Arc<Pod>| !is_deleting(&pod.metadata);
        if !fit.stay {
            let there = pods.iter().filter(gone);
            self.remove.extend(there.map(|pod| Removal { pod: pod.clone(), node: node.into(), finished: None }));
            return;
        }
        for pod in pods.iter().filter(gone).filter(|pod| is_finished(pod)) {
            let finished = match phase(pod) {
                "Failed" => ("FailedDaemonPod", "failed"),
                _ => ("SucceededDaemonPod", "succeeded"),
            };
            self.remove.push(Removal { pod: pod.clone(), node: node.into(), finished: Some(finished) });
        }
        if fit.run && pods.is_empty() {
            self.create.push(node.to_owned());
        }
        let live: Vec<&Arc<Pod>> = pods.iter().filter(gone).filter(|pod| !is_finished(pod)).collect();
        // An old and a new one may stand side by side while an update surges.
        for kind in [true, false] {
            let same = live.iter().filter(|pod| self.is_new(pod) == kind).skip(1);
            let more: Vec<_> =
                same.map(|pod| Removal { pod: (*pod).clone(), node: node.into(), finished: None }).collect();
            self.remove.extend(more);
        }
    }

    /// Replaces pods of older templates, within the limits.
    fn roll(&mut self, fits: &BTreeMap<&str, Fit>, by_node: &BTreeMap<String, Vec<Arc<Pod>>>, limits: &Limits) {
        let mut unavailable = 0;
        let mut surging = 0;
        let mut candidates: Vec<(&str, Arc<Pod>)> = Vec::new();
        for node in fits.iter().filter(|(_, fit)| fit.run).map(|(node, _)| *node) {
            let pods = by_node.get(node).map_or(&[][..], Vec::as_slice);
            let live = || pods.iter().filter(|p| !is_deleting(&p.metadata) && !is_finished(p));
            let (new, old) = (live().find(|p| self.is_new(p)), live().find(|p| !self.is_new(p)));
            let up = live().any(|p| self.is_available(p));
            unavailable += usize::from(!up);
            match (old, new) {
                (Some(old), None) if !self.is_available(old) => self.replace(node, old),
                (Some(old), None) => candidates.push((node, old.clone())),
                (Some(old), Some(new)) if self.is_available(new) => self.replace(node, old),
                (Some(_), Some(_)) => surging += 1,
                _ => {}
            }
        }
        for (node, old) in candidates {
            if limits.surge > 0 && surging < limits.surge {
                self.create.push(node.to_owned());
                surging += 1;
            } else if limits.surge == 0 && unavailable < limits.unavailable {
                self.replace(node, &old);
                unavailable += 1;
            }
        }
    }

    fn replace(&mut self, node: &str, pod: &Arc<Pod>) {
        let known = self
            .remove
            .iter()
            .any(|r| r.pod.metadata.uid == pod.metadata.uid && r.pod.metadata.name == pod.metadata.name);
        if !known {
            self.remove.push(Removal { pod: pod.clone(), node: node.to_owned(), finished: None });
        }
    }

    fn finish(self, fits: &BTreeMap<&str, Fit>, by_node: &BTreeMap<String, Vec<Arc<Pod>>>) -> Plan {
        let mut status = DaemonSetStatus::default();
        let (mut ready, mut available, mut updated) = (0, 0, 0);
        for (node, fit) in fits {
            let pods = by_node.get(*node).map_or(&[][..], Vec::as_slice);
            let first = pods.iter().find(|p| !is_deleting(&p.metadata) && !is_finished(p)).or(pods.first());
            if !fit.run {
                status.number_misscheduled += i32::from(!pods.is_empty());
                continue;
            }
            status.desired_number_scheduled += 1;
            let Some(first) = first else { continue };
            status.current_number_scheduled += 1;
            ready += i32::from(pods.iter().any(|p| is_ready(p) && !is_deleting(&p.metadata)));
            available += i32::from(pods.iter().any(|p| self.is_available(p)));
            let new = pods.iter().any(|p| self.is_new(p) && !is_deleting(&p.metadata));
            updated += i32::from(new || self.is_new(first) && !is_deleting(&first.metadata));
        }
        let positive = |count: i32| Some(count).filter(|count| *count > 0);
        status.number_ready = ready;
        status.number_available = positive(available);
        status.number_unavailable = positive(status.desired_number_scheduled - available);
        status.updated_number_scheduled = positive(updated);
        status.observed_generation = self.input.set.metadata.generation;
        let known = self.input.set.status.as_ref();
        status.collision_count = known.and_then(|s| s.collision_count);
        status.conditions = known.and_then(|s| s.conditions.clone());
        let waits = self.input.pods.iter().filter_map(|p| until_available(p, self.min_ready, self.input.now));
        let next_available = waits.filter(|wait| !wait.is_zero()).min();
        Plan { create: self.create, remove: self.remove, status, next_available }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(strategy: Value) -> DaemonSet {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "x", "generation": 4},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "updateStrategy": strategy,
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [], "nodeSelector": {"os": "l"}}}},
        }))
        .unwrap()
    }

    fn node(name: &str, os: &str, taints: Value) -> Arc<Node> {
        let value = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"os": os}},
            "spec": {"taints": taints}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn daemon(name: &str, node: &str, hash: &str, ready: bool) -> Arc<Pod> {
        let ready = if ready { "True" } else { "False" };
        let value = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"controller-revision-hash": hash}},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn planned(set: &DaemonSet, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> (Vec<String>, Vec<String>, DaemonSetStatus) {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let plan = plan(&Input { set, pods, nodes, hash: "new", now });
        let removed = plan.remove.iter().map(|r| name(&r.pod.metadata).to_owned()).collect();
        (plan.create, removed, plan.status)
    }

    #[test]
    fn a_daemon_runs_where_the_node_is_selected_and_borne() {
        let nodes = [
            node("fits", "l", json!([])),
            node("other", "w", json!([])),
            node("tainted", "l", json!([{"key": "k", "effect": "NoSchedule"}])),
            node("cordoned", "l", json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])),
        ];
        let (create, removed, status) = planned(&set(json!({})), &nodes, &[daemon("a", "tainted", "new", true)]);
        assert_eq!(create, ["cordoned", "fits"]);
        assert!(removed.is_empty(), "a taint without NoExecute drives nobody away");
        assert_eq!((status.desired_number_scheduled, status.number_misscheduled), (2, 1));
    }

    #[test]
    fn failed_and_surplus_daemons_go() {
        let nodes = [node("n", "l", json!([]))];
        let mut failed = (*daemon("failed", "n", "new", false)).clone();
        failed.status.as_mut().unwrap().phase = Some("Failed".into());
        let pods = [daemon("a", "n", "new", true), daemon("b", "n", "new", true), Arc::new(failed)];
        let (create, mut removed, _) = planned(&set(json!({})), &nodes, &pods);
        removed.sort();
        assert_eq!((create.len(), removed), (0, vec!["b".to_owned(), "failed".to_owned()]));
    }

    #[test]
    fn an_update_takes_as_many_as_may_be_missing() {
        let nodes: Vec<_> = ["n1", "n2", "n3"].iter().map(|n| node(n, "l", json!([]))).collect();
        let pods = [daemon("a", "n1", "old", true), daemon("b", "n2", "old", true), daemon("c", "n3", "new", true)];
        let (_, removed, status) = planned(&set(json!({})), &nodes, &pods);
        assert_eq!((removed, status.updated_number_scheduled), (vec!["a".to_owned()], Some(1)));
        let waiting = [daemon("a", "n1", "new", false), daemon("b", "n2", "old", true), daemon("c", "n3", "new", true)];
        assert!(planned(&set(json!({})), &nodes, &waiting).1.is_empty(), "one is missing already");
        assert!(planned(&set(json!({"type": "OnDelete"})), &nodes, &pods).1.is_empty());
    }

    #[test]
    fn with_surge_the_new_one_comes_first() {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        let nodes = [node("n1", "l", json!([]))];
        let (create, removed, _) = planned(&set(strategy.clone()), &nodes, &[daemon("a", "n1", "old", true)]);
        assert_eq!((create, removed.len()), (vec!["n1".to_owned()], 0));
        let both = [daemon("a", "n1", "old", true), daemon("b", "n1", "new", true)];
        let (create, removed, _) = planned(&set(strategy), &nodes, &both);
        assert_eq!((create.len(), removed), (0, vec!["a".to_owned()]));
    }
}
