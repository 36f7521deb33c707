//! Notices nodes that went silent, says so in their conditions and taints, and takes their pods out of service.
//!
//! Heartbeats never reach the store: they come through [`NodeLiveness`]. An agent that closed its connection while its host
//! answers has probably been restarted, and gets longer than a host that is silent before its pods are given up.

mod liveness;
mod plan;
mod taints;

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

pub use self::liveness::{Liveness, NodeDeadlines, NodeLiveness};
use self::liveness::{Verdict, judge};
use self::plan::{Plan, plan, ready, ready_status};
use crate::claim::absent_is_fine;
use crate::meta::{is_deleting, name};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_NODE, Informers, World};

const TICK: Duration = Duration::from_millis(300);

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
