//! Deletes pods that do not tolerate their node's NoExecute taints, or not for that long.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::{DeleteOptions, Error, EventRecorder, EventType, Key, Patch, object_key};
use serde_json::json;

use crate::claim::absent_is_fine;
use crate::meta::{created, name, namespace, remaining, seconds, uid};
use crate::pod::{is_active, node_name};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_NODE, Informers, World};

/// At most so many deletions a node before others have their turn.
const BATCH: usize = 50;
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct TaintEviction {
    world: World,
    events: EventRecorder,
}

impl TaintEviction {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.nodes.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, nodes) = (queue.clone(), world.nodes.clone());
        informers.pods.on_change(move |change| {
            let node = node_name(change.object());
            if !node.is_empty() && nodes.find("", node).is_some_and(|n| !no_execute(&n).is_empty()) {
                keys.add(Key::new("", node));
            }
        });
        TaintEviction { world: world.clone(), events: world.recorder("taint-eviction-controller") }
    }

    async fn evict(&self, pod: &Pod) -> Result<(), Error> {
        let api = self.world.api::<Pod>(namespace(&pod.metadata));
        let message = format!("Marking for deletion Pod {}/{}", namespace(&pod.metadata), name(&pod.metadata));
        self.events.event(pod, EventType::Normal, "TaintManagerEviction", message);
        let patch = json!({"status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": Time(Timestamp::now()),
        }]}});
        absent_is_fine(api.patch_status(name(&pod.metadata), &Patch::Strategic(patch)).await)?;
        absent_is_fine(api.delete(name(&pod.metadata), &DeleteOptions::of_uid(uid(&pod.metadata))).await)?;
        Ok(())
    }
}

#[async_trait]
impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(node) = self.world.nodes.get(key) else { return Ok(Next::Settled) };
        let taints = no_execute(&node);
        if taints.is_empty() {
            return Ok(Next::Settled);
        }
        let now = Timestamp::now();
        let mut next: Option<Duration> = None;
        let mut evicted = 0;
        for pod in self.world.pods.by_index(BY_NODE, &key.name).iter().filter(|p| is_active(p)) {
            match time_left(pod, &taints, now) {
                None => {}
                Some(left) if left.is_zero() && evicted < BATCH => {
                    self.evict(pod).await?;
                    evicted += 1;
                }
                Some(left) => next = Some(next.map_or(left, |n| n.min(left)).max(PAUSE)),
            }
        }
        Ok(Next::maybe(next))
    }
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
    taints.into_iter().filter(|t| t.effect == "NoExecute").collect()
}

/// None: it may stay for good. Else how long.
fn time_left(pod: &Pod, taints: &[Taint], now: Timestamp) -> Option<Duration> {
    let none = Vec::new();
    let tolerations = pod.spec.as_ref().and_then(|s| s.tolerations.as_ref()).unwrap_or(&none);
    taints.iter().filter_map(|taint| time_left_with(pod, tolerations, taint, now)).min()
}

fn time_left_with(pod: &Pod, tolerations: &[Toleration], taint: &Taint, now: Timestamp) -> Option<Duration> {
    let matching: Vec<&Toleration> = tolerations.iter().filter(|t| tolerates(t, taint)).collect();
    if matching.is_empty() {
        return Some(Duration::ZERO);
    }
    let shortest = matching.iter().filter_map(|t| t.toleration_seconds).min()?;
    let created = Time(created(&pod.metadata));
    let since = taint.time_added.as_ref().filter(|t| t.0 > created.0).unwrap_or(&created);
    Some(remaining(since, seconds(shortest.max(0)), now))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let matches = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w.is_empty() || w == is);
    if !matches(&toleration.effect, &taint.effect) || !matches(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(tolerations: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [], "tolerations": tolerations},
        }))
        .unwrap()
    }

    fn taints() -> Vec<Taint> {
        let taint = json!({"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T01:00:00Z"});
        vec![serde_json::from_value(taint).unwrap()]
    }

    #[test]
    fn pods_go_after_what_they_tolerate() {
        let now = "2026-01-01T01:00:10Z".parse().unwrap();
        assert_eq!(time_left(&pod(json!([])), &taints(), now), Some(Duration::ZERO));
        let forever = json!([{"key": "k", "operator": "Exists"}]);
        assert_eq!(time_left(&pod(forever), &taints(), now), None);
        let limited = json!([{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]);
        assert_eq!(time_left(&pod(limited), &taints(), now), Some(Duration::from_secs(20)));
        let other = json!([{"key": "x", "operator": "Exists"}]);
        assert_eq!(time_left(&pod(other), &taints(), now), Some(Duration::ZERO));
    }
}
