//! Notices nodes that went silent, says so in their conditions and taints, and takes their pods out of service.
//!
//! Heartbeats never reach the store: they come through [`NodeLiveness`]. An agent that closed its connection while its host
//! answers has probably been restarted, and gets longer than a host that is silent before its pods are given up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSpec, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::{Error, EventRecorder, EventType, Key, Patch, object_key};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::claim::absent_is_fine;
use crate::meta::{is_deleting, name};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_NODE, Informers, World};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Set here and taken back here; a condition with another reason is the agent's.
const SILENT: &str = "NodeStatusUnknown";
/// The kubelet's reason; with this message it is set here and taken back here, with more words it is the agent's.
const NOT_READY_REASON: &str = "KubeletNotReady";
const RUNTIME_DOWN: &str = "container runtime is down";
const TICK: Duration = Duration::from_millis(300);

/// What the masters hear of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Time since its last heartbeat.
    pub silence: Duration,
    /// It closed its connection, or the host refused it: the host answers, the agent does not.
    pub closed: bool,
    /// Its container runtime answers.
    pub runtime_ready: bool,
}

/// Where heartbeats are known. Kept in memory by the masters.
pub trait NodeLiveness: Send + Sync + 'static {
    /// The agent of this node, or None if no master has heard it since this one leads.
    fn liveness(&self, node: &str) -> Option<Liveness>;
}

/// How long silence is borne.
#[derive(Clone, Copy, Debug)]
pub struct NodeDeadlines {
    /// Until a node without heartbeats is not ready any more.
    pub silence: Duration,
    /// Until a node that this leader has not heard at all is not ready any more.
    pub first_heartbeat: Duration,
    /// Until the pods of a node whose agent closed its connection are given up, too.
    pub agent_restart: Duration,
}

impl Default for NodeDeadlines {
    fn default() -> Self {
        NodeDeadlines {
            silence: Duration::from_millis(2500),
            first_heartbeat: Duration::from_secs(8),
            agent_restart: Duration::from_secs(15),
        }
    }
}

pub(crate) struct NodeLifecycle {
    world: World,
    events: EventRecorder,
    liveness: Arc<dyn NodeLiveness>,
    deadlines: NodeDeadlines,
    started: Instant,
}

impl NodeLifecycle {
    pub(crate) fn new(
        world: &World,
        informers: &mut Informers,
        queue: &Keys,
        liveness: Arc<dyn NodeLiveness>,
        deadlines: NodeDeadlines,
    ) -> Self {
        let keys = queue.clone();
        informers.nodes.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let events = world.recorder("node-controller");
        NodeLifecycle { world: world.clone(), events, liveness, deadlines, started: Instant::now() }
    }

    /// Looks at all heartbeats often, and queues the nodes about which something is to be done.
    pub(crate) async fn watch(self: Arc<Self>, queue: Keys, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            for node in self.world.nodes.list() {
                if !self.plan(&node).is_empty() {
                    queue.add(object_key(&*node));
                }
            }
        }
    }

    fn plan(&self, node: &Node) -> Plan {
        let heard = self.liveness.liveness(name(&node.metadata));
        let age = node.metadata.creation_timestamp.as_ref().map(|t| crate::meta::elapsed(t, Timestamp::now()));
        let listening = self.started.elapsed().min(age.unwrap_or(Duration::MAX));
        let mut verdict = judge(heard, listening, self.deadlines);
        if verdict == Verdict::RuntimeDown && self.has_just_become_ready(node) {
            verdict = Verdict::Unsure;
        }
        let nodes = self.world.nodes.list();
        let all_down = nodes.len() > 1 && nodes.iter().all(|n| ready_status(n) != "True");
        plan(node, verdict, all_down)
    }

    /// The agent has said so, and its next heartbeat is still to come.
    fn has_just_become_ready(&self, node: &Node) -> bool {
        let since = ready(node).filter(|c| c.status == "True").and_then(|c| c.last_transition_time.as_ref());
        since.is_some_and(|since| crate::meta::elapsed(since, Timestamp::now()) < self.deadlines.silence)
    }

    async fn set_condition(&self, node: &Node, condition: NodeCondition) -> Result<(), Error> {
        let now = Time(Timestamp::now());
        let condition =
            NodeCondition { last_transition_time: Some(now.clone()), last_heartbeat_time: Some(now), ..condition };
        let status = condition.status.clone();
        let patch = json!({"status": {"conditions": [condition]}});
        let api = self.world.api::<Node>("");
        absent_is_fine(api.patch_status(name(&node.metadata), &Patch::Strategic(patch)).await)?;
        let (kind, reason) =
            if status == "True" { (EventType::Normal, "NodeReady") } else { (EventType::Normal, "NodeNotReady") };
        let message = format!("Node {} status is now: {reason}", name(&node.metadata));
        self.events.event(node, kind, reason, message);
        Ok(())
    }

    async fn set_taints(&self, node: &Node, mut taints: Vec<Taint>) -> Result<(), Error> {
        for taint in taints.iter_mut().filter(|t| t.effect == "NoExecute" && t.time_added.is_none()) {
            taint.time_added = Some(Time(Timestamp::now()));
        }
        let mut changed = node.clone();
        let spec: &mut NodeSpec = changed.spec.get_or_insert_default();
        spec.taints = Some(taints).filter(|t| !t.is_empty());
        absent_is_fine(self.world.api::<Node>("").update(&changed).await).map(|_| ())
    }

    /// Services shall not send anything there; the agent says otherwise when it is back.
    async fn pods_not_ready(&self, node: &Node) -> Result<(), Error> {
        for pod in self.world.pods.by_index(BY_NODE, name(&node.metadata)) {
            if !crate::pod::is_ready(&pod) {
                continue;
            }
            let now = Time(Timestamp::now());
            let patch = json!({"status": {"conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": now}]}});
            let api = self.world.api::<Pod>(crate::meta::namespace(&pod.metadata));
            absent_is_fine(api.patch_status(name(&pod.metadata), &Patch::Strategic(patch)).await)?;
            self.events.event(&*pod, EventType::Warning, "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }
}

#[async_trait]
impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-lifecycle"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(node) = self.world.nodes.get(key).filter(|n| !is_deleting(&n.metadata)) else {
            return Ok(Next::Settled);
        };
        let plan = self.plan(&node);
        if let Some(condition) = plan.condition {
            // The taints follow with the change that this makes.
            self.set_condition(&node, condition).await?;
            return Ok(Next::Settled);
        }
        if let Some(taints) = plan.taints {
            self.set_taints(&node, taints).await?;
        }
        if plan.give_up_pods {
            self.pods_not_ready(&node).await?;
        }
        Ok(Next::Settled)
    }
}

/// What the heartbeats mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Too early to say.
    Unsure,
    Well,
    RuntimeDown,
    /// No heartbeat in time. `for_good`: long enough to give its pods up.
    Silent {
        for_good: bool,
    },
}

fn judge(heard: Option<Liveness>, listening: Duration, deadlines: NodeDeadlines) -> Verdict {
    let Some(heard) = heard else {
        return if listening < deadlines.first_heartbeat {
            Verdict::Unsure
        } else {
            Verdict::Silent { for_good: true }
        };
    };
    if heard.silence >= deadlines.silence {
        return Verdict::Silent { for_good: !heard.closed || heard.silence >= deadlines.agent_restart };
    }
    match (heard.closed, heard.runtime_ready) {
        (true, _) => Verdict::Unsure,
        (false, true) => Verdict::Well,
        (false, false) => Verdict::RuntimeDown,
    }
}

#[derive(Debug, Default)]
struct Plan {
    condition: Option<NodeCondition>,
    taints: Option<Vec<Taint>>,
    give_up_pods: bool,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.condition.is_none() && self.taints.is_none()
    }
}

fn plan(node: &Node, verdict: Verdict, all_down: bool) -> Plan {
    let condition = condition(node, verdict);
    let status = condition.as_ref().map_or_else(|| ready_status(node).to_owned(), |c| c.status.clone());
    let for_good = match verdict {
        Verdict::Silent { for_good } => for_good,
        Verdict::Unsure => false,
        Verdict::Well | Verdict::RuntimeDown => status != "True",
    };
    // If nobody is heard, the fault is rather here: nothing is evicted then.
    let taints = taints(node, &status, (for_good && !all_down).then_some(true).or(keep(node, verdict)));
    // Nobody may send anything to pods that nobody looks after.
    let unattended = match verdict {
        Verdict::Silent { for_good } => for_good,
        Verdict::Unsure => false,
        Verdict::Well | Verdict::RuntimeDown => status == "False",
    };
    Plan { condition, taints, give_up_pods: !all_down && unattended }
}

/// While unsure, an eviction taint that is there stays.
fn keep(node: &Node, verdict: Verdict) -> Option<bool> {
    let there = current_taints(node).iter().any(|t| is_lifecycle(t) && t.effect == "NoExecute");
    (matches!(verdict, Verdict::Unsure) && there).then_some(true)
}

fn condition(node: &Node, verdict: Verdict) -> Option<NodeCondition> {
    let current = ready(node);
    let reason = current.and_then(|c| c.reason.as_deref()).unwrap_or("");
    let message = current.and_then(|c| c.message.as_deref()).unwrap_or("");
    let make = |status: &str, reason: &str, message: &str| {
        Some(NodeCondition {
            type_: "Ready".into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            ..Default::default()
        })
    };
    match verdict {
        Verdict::Silent { .. } if reason != SILENT => make("Unknown", SILENT, "Kubelet stopped posting node status."),
        Verdict::RuntimeDown if current.is_some_and(|c| c.status == "True") || reason == SILENT => {
            make("False", NOT_READY_REASON, RUNTIME_DOWN)
        }
        Verdict::Well if reason == SILENT || (reason == NOT_READY_REASON && message == RUNTIME_DOWN) => {
            make("True", "KubeletReady", "kubelet is posting ready status")
        }
        _ => None,
    }
}

fn ready(node: &Node) -> Option<&NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")
}

/// "True", "False" or "Unknown"; a node that has said nothing yet is not ready.
fn ready_status(node: &Node) -> &str {
    ready(node).map_or("False", |c| c.status.as_str())
}

fn current_taints(node: &Node) -> Vec<Taint> {
    node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default()
}

fn is_lifecycle(taint: &Taint) -> bool {
    taint.key == NOT_READY || taint.key == UNREACHABLE
}

/// The node's taints if they are to change. `evict`: whether its pods are to go.
fn taints(node: &Node, ready: &str, evict: Option<bool>) -> Option<Vec<Taint>> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let key = match ready {
        "True" => None,
        "Unknown" => Some(UNREACHABLE),
        _ => Some(NOT_READY),
    };
    if let Some(key) = key {
        wanted.push((key, "NoSchedule"));
        if evict == Some(true) {
            wanted.push((key, "NoExecute"));
        }
    }
    wanted.extend(pressures(node).into_iter().map(|key| (key, "NoSchedule")));
    if node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        wanted.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    let old = current_taints(node);
    let mut new: Vec<Taint> = old.iter().filter(|t| !is_managed(t) || wanted.contains(&of(t))).cloned().collect();
    for (key, effect) in wanted {
        if !new.iter().any(|t| of(t) == (key, effect)) {
            new.push(Taint { key: key.into(), effect: effect.into(), ..Default::default() });
        }
    }
    (new != old).then_some(new)
}

fn of(taint: &Taint) -> (&str, &str) {
    (taint.key.as_str(), taint.effect.as_str())
}

/// Taints that follow from the node's state; all others are somebody's decision.
fn is_managed(taint: &Taint) -> bool {
    let by_condition = PRESSURES.iter().any(|(_, _, key)| *key == taint.key);
    let cordon = taint.key == "node.kubernetes.io/unschedulable";
    is_lifecycle(taint) || ((by_condition || cordon) && taint.effect == "NoSchedule")
}

const PRESSURES: [(&str, &str, &str); 4] = [
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

fn pressures(node: &Node) -> Vec<&'static str> {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let holds =
        |kind: &str, status: &str| conditions.into_iter().flatten().any(|c| c.type_ == kind && c.status == status);
    PRESSURES.iter().filter(|(kind, status, _)| holds(kind, status)).map(|(_, _, key)| *key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, reason: &str, taints: &[(&str, &str)]) -> Node {
        let taints: Vec<_> = taints.iter().map(|(k, e)| json!({"key": k, "effect": e})).collect();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready, "reason": reason}]},
        }))
        .unwrap()
    }

    fn heard(silence_ms: u64, closed: bool) -> Option<Liveness> {
        Some(Liveness { silence: Duration::from_millis(silence_ms), closed, runtime_ready: true })
    }

    fn keys(plan: &Plan) -> Vec<(String, String)> {
        plan.taints.iter().flatten().map(|t| (t.key.clone(), t.effect.clone())).collect()
    }

    #[test]
    fn silence_and_a_closed_connection_have_their_own_deadlines() {
        let deadlines = NodeDeadlines::default();
        let long = Duration::from_secs(100);
        assert_eq!(judge(heard(1000, false), long, deadlines), Verdict::Well);
        assert_eq!(judge(heard(3000, false), long, deadlines), Verdict::Silent { for_good: true });
        assert_eq!(judge(heard(3000, true), long, deadlines), Verdict::Silent { for_good: false });
        assert_eq!(judge(heard(20_000, true), long, deadlines), Verdict::Silent { for_good: true });
        assert_eq!(judge(None, Duration::from_secs(1), deadlines), Verdict::Unsure);
    }

    #[test]
    fn a_silent_node_becomes_unknown_and_its_pods_are_to_go() {
        let plan = plan(&node("True", "KubeletReady", &[]), Verdict::Silent { for_good: true }, false);
        assert_eq!(plan.condition.as_ref().map(|c| c.status.as_str()), Some("Unknown"));
        let expected = [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")];
        assert_eq!(keys(&plan), expected.map(|(k, e)| (k.to_owned(), e.to_owned())));
    }

    #[test]
    fn nothing_is_evicted_when_no_node_is_heard() {
        let plan = plan(&node("Unknown", SILENT, &[]), Verdict::Silent { for_good: true }, true);
        assert_eq!(keys(&plan), [(UNREACHABLE.to_owned(), "NoSchedule".to_owned())]);
    }

    #[test]
    fn a_node_that_is_heard_again_is_ready_and_clean() {
        let plan =
            plan(&node("Unknown", SILENT, &[(UNREACHABLE, "NoExecute"), ("mine", "NoSchedule")]), Verdict::Well, false);
        assert_eq!(plan.condition.as_ref().map(|c| c.status.as_str()), Some("True"));
        assert_eq!(keys(&plan), [("mine".to_owned(), "NoSchedule".to_owned())]);
    }

    #[test]
    fn the_agents_own_reasons_are_left_alone() {
        let plan = plan(
            &node("False", "KubeletNotReady", &[(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
            Verdict::Well,
            false,
        );
        assert!(plan.is_empty());
    }

    #[test]
    fn pods_go_out_of_service_when_the_agent_itself_says_that_it_is_not_ready() {
        let down = plan(&node("False", NOT_READY_REASON, &[]), Verdict::Well, false);
        assert!(down.condition.is_none() && down.give_up_pods);
        assert_eq!(keys(&down).len(), 2);
        let well = plan(&node("True", "KubeletReady", &[]), Verdict::Well, false);
        assert!(well.is_empty() && !well.give_up_pods);
    }
}
