//! Keeps as many pods of a template as asked for.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::{Change, DeleteOptions, Error, EventRecorder, EventType, Key};

use crate::claim::{absent_is_fine, claim};
use crate::expectations::Expectations;
use crate::meta::{
    Map, annotation, controller_of, controller_reference, created, is_deleting, name, namespace, orphans_of, owner_key,
    seconds, selector, selects, states, uid,
};
use crate::pod::{condition, from_template, is_active, is_ready, node_name, phase, until_available};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_OWNER, Informers, World};

/// At most so many pods are made or deleted in one go.
const BURST: usize = 500;

pub(crate) struct ReplicaSets {
    world: World,
    events: EventRecorder,
    expected: Arc<Expectations>,
}

impl ReplicaSets {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let expected = Arc::new(Expectations::default());
        let keys = queue.clone();
        informers.replica_sets.on_change(move |change| {
            keys.add(mainstay_client::object_key(&**change.object()));
        });
        let (keys, pending, sets) = (queue.clone(), expected.clone(), world.replica_sets.clone());
        informers.pods.on_change(move |change| {
            for pod in states(change) {
                let Some(owner) = owner_key::<ReplicaSet>(&pod.metadata) else {
                    // Only who has no controller may be adopted.
                    if controller_of(&pod.metadata).is_some() {
                        continue;
                    }
                    for set in sets.in_namespace(namespace(&pod.metadata)) {
                        if set.spec.as_ref().is_some_and(|s| selects(&selector(&s.selector), &pod.metadata)) {
                            keys.add(mainstay_client::object_key(&*set));
                        }
                    }
                    continue;
                };
                if matches!(change, Change::Deleted(_)) {
                    pending.gone(&owner, pod);
                }
                keys.add(owner);
            }
        });
        ReplicaSets { world: world.clone(), events: world.recorder("replicaset-controller"), expected }
    }

    async fn pods_of(&self, set: &ReplicaSet) -> Result<Vec<Arc<Pod>>, Error> {
        let Some(spec) = &set.spec else { return Ok(Vec::new()) };
        let meta = &set.metadata;
        let mut candidates = self.world.pods.by_index(BY_OWNER, uid(meta));
        candidates.extend(self.world.pods.by_index(BY_OWNER, &orphans_of(namespace(meta))));
        candidates.retain(|pod| !crate::pod::is_finished(pod));
        let claim = claim(uid(meta), is_deleting(meta), &selector(&spec.selector), candidates);
        claim.settle(&self.world.api(namespace(meta)), &controller_reference(set)).await
    }

    async fn create(&self, key: &Key, set: &ReplicaSet, count: usize) -> Result<(), Error> {
        let Some(template) = set.spec.as_ref().and_then(|s| s.template.as_ref()) else { return Ok(()) };
        let api = self.world.api::<Pod>(&key.namespace);
        let pod = from_template(template, &key.namespace, &key.name, controller_reference(set));
        let mut left = count.min(BURST);
        let mut batch = 1;
        // Slow start: if the first pod is refused (a quota, say), a thousand more need not be tried.
        while left > 0 {
            let now = left.min(batch);
            let results = join_all((0..now).map(|_| api.create(&pod))).await;
            for result in results {
                match result {
                    Ok(made) => self.note_created(key, set, &made),
                    Err(error) if error.is_namespace_terminating() => return Ok(()),
                    Err(error) => {
                        self.events.event(set, EventType::Warning, "FailedCreate", format!("Error creating: {error}"));
                        return Err(error);
                    }
                }
            }
            left -= now;
            batch *= 2;
        }
        Ok(())
    }

    fn note_created(&self, key: &Key, set: &ReplicaSet, pod: &Pod) {
        self.expected.created(key, pod);
        let message = format!("Created pod: {}", name(&pod.metadata));
        self.events.event(set, EventType::Normal, "SuccessfulCreate", message);
    }

    async fn delete(&self, key: &Key, set: &ReplicaSet, victims: Vec<Arc<Pod>>) -> Result<(), Error> {
        let api = self.world.api::<Pod>(&key.namespace);
        let calls = victims.iter().take(BURST).map(|pod| {
            let api = api.clone();
            async move { api.delete(name(&pod.metadata), &DeleteOptions::of_uid(uid(&pod.metadata))).await }
        });
        let results = join_all(calls).await;
        for (pod, result) in victims.iter().zip(results) {
            match absent_is_fine(result) {
                Ok(_) => {
                    self.expected.deleted(key, pod);
                    let message = format!("Deleted pod: {}", name(&pod.metadata));
                    self.events.event(set, EventType::Normal, "SuccessfulDelete", message);
                }
                Err(error) => {
                    self.events.event(set, EventType::Warning, "FailedDelete", format!("Error deleting: {error}"));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.world.replica_sets.get(key) else { return Ok(Next::Settled) };
        let settled = self.expected.settled(key, &self.world.pods);
        let pods = self.pods_of(&set).await?;
        let now = Timestamp::now();
        let plan = plan(&set, &pods, now);
        let acted = match plan.scale {
            Scale::Create(count) if settled => self.create(key, &set, count).await,
            Scale::Delete(victims) if settled => self.delete(key, &set, victims).await,
            _ => Ok(()),
        };
        let status = with_failure(plan.status, &set, acted.as_ref().err(), now);
        if set.status.as_ref() != Some(&status) {
            let mut changed = (*set).clone();
            changed.status = Some(status);
            absent_is_fine(self.world.api::<ReplicaSet>(&key.namespace).update_status(&changed).await)?;
        }
        acted?;
        Ok(Next::maybe(plan.next_available))
    }
}

enum Scale {
    Keep,
    Create(usize),
    Delete(Vec<Arc<Pod>>),
}

struct Plan {
    scale: Scale,
    status: ReplicaSetStatus,
    next_available: Option<Duration>,
}

/// What to do for a set that owns these pods.
fn plan(set: &ReplicaSet, pods: &[Arc<Pod>], now: Timestamp) -> Plan {
    let spec = set.spec.clone().unwrap_or_default();
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    let active: Vec<Arc<Pod>> = pods.iter().filter(|p| is_active(p)).cloned().collect();
    let scale = if is_deleting(&set.metadata) || active.len() == wanted {
        Scale::Keep
    } else if active.len() < wanted {
        Scale::Create(wanted - active.len())
    } else {
        Scale::Delete(victims(active.clone(), wanted))
    };
    let min_ready = seconds(spec.min_ready_seconds.unwrap_or(0).into());
    let waits = active.iter().filter_map(|p| until_available(p, min_ready, now)).filter(|wait| !wait.is_zero());
    Plan { scale, next_available: waits.min(), status: status(set, &active, min_ready, now) }
}

fn status(set: &ReplicaSet, active: &[Arc<Pod>], min_ready: Duration, now: Timestamp) -> ReplicaSetStatus {
    let template_labels: Map =
        set.spec.as_ref().and_then(|s| s.template.as_ref()?.metadata.as_ref()?.labels.clone()).unwrap_or_default();
    let labelled = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        template_labels.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v))
    };
    let count =
        |test: &dyn Fn(&Pod) -> bool| i32::try_from(active.iter().filter(|p| test(p)).count()).unwrap_or(i32::MAX);
    let positive = |n: i32| Some(n).filter(|n| *n > 0);
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: positive(count(&labelled)),
        ready_replicas: positive(count(&is_ready)),
        available_replicas: positive(count(&|p| crate::pod::is_available(p, min_ready, now))),
        observed_generation: set.metadata.generation,
        conditions: set.status.as_ref().and_then(|s| s.conditions.clone()),
        ..Default::default()
    }
}

fn with_failure(
    mut status: ReplicaSetStatus,
    set: &ReplicaSet,
    failure: Option<&Error>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let mut conditions = status.conditions.take().unwrap_or_default();
    let known = conditions.iter().position(|c| c.type_ == "ReplicaFailure");
    match (failure, known) {
        (None, Some(at)) => {
            conditions.remove(at);
        }
        (Some(error), None) => conditions.push(ReplicaSetCondition {
            type_: "ReplicaFailure".into(),
            status: "True".into(),
            reason: Some(if wants_more(set) { "FailedCreate" } else { "FailedDelete" }.into()),
            message: Some(error.to_string()),
            last_transition_time: Some(Time(now)),
        }),
        _ => {}
    }
    status.conditions = Some(conditions).filter(|c| !c.is_empty());
    status
}

fn wants_more(set: &ReplicaSet) -> bool {
    let wanted = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    wanted >= set.status.as_ref().map_or(0, |s| s.replicas)
}

/// The pods to delete so that `keep` stay: those whose loss hurts least.
pub(crate) fn victims(mut pods: Vec<Arc<Pod>>, keep: usize) -> Vec<Arc<Pod>> {
    let mut on_node: HashMap<String, usize> = HashMap::new();
    for pod in &pods {
        *on_node.entry(node_name(pod).to_owned()).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let ready = is_ready(pod);
        let ready_since = condition(pod, "Ready").filter(|_| ready).and_then(|c| c.last_transition_time.as_ref());
        let neighbours = on_node.get(node_name(pod)).copied().unwrap_or(0);
        (
            !node_name(pod).is_empty(),
            phase_rank(phase(pod)),
            ready,
            deletion_cost(pod),
            Reverse(neighbours),
            Reverse(ready_since.map(|t| t.0)),
            Reverse(restarts(pod)),
            Reverse(created(&pod.metadata)),
            name(&pod.metadata).to_owned(),
        )
    });
    pods.truncate(pods.len().saturating_sub(keep));
    pods
}

fn phase_rank(phase: &str) -> u8 {
    match phase {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    annotation(&pod.metadata, "controller.kubernetes.io/pod-deletion-cost").and_then(|c| c.parse().ok()).unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|c| c.restart_count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, phase: &str, ready: bool, node: &str) -> Arc<Pod> {
        let ready = if ready { "True" } else { "False" };
        let value = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "x", "labels": {"app": "a"}},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase, "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn set(replicas: i32, min_ready: i32) -> ReplicaSet {
        let value = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "a", "namespace": "x", "generation": 3},
            "spec": {"replicas": replicas, "minReadySeconds": min_ready, "selector": {"matchLabels": {"app": "a"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}},
        });
        serde_json::from_value(value).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn missing_pods_are_made_and_finished_ones_do_not_count() {
        let pods = [pod("a", "Running", true, "n"), pod("b", "Failed", false, "n")];
        let plan = plan(&set(3, 0), &pods, at("2026-01-01T00:01:00Z"));
        assert!(matches!(plan.scale, Scale::Create(2)));
        assert_eq!((plan.status.replicas, plan.status.available_replicas), (1, Some(1)));
        assert_eq!(plan.status.observed_generation, Some(3));
    }

    #[test]
    fn a_ready_pod_is_available_only_after_its_time() {
        let pods = [pod("a", "Running", true, "n")];
        let plan = plan(&set(1, 30), &pods, at("2026-01-01T00:00:10Z"));
        assert_eq!((plan.status.ready_replicas, plan.status.available_replicas), (Some(1), None));
        assert_eq!(plan.next_available, Some(Duration::from_secs(20)));
    }

    #[test]
    fn unscheduled_then_unready_then_crowded_pods_go_first() {
        let pods = vec![
            pod("lone", "Running", true, "n1"),
            pod("crowd1", "Running", true, "n2"),
            pod("crowd2", "Running", true, "n2"),
            pod("unready", "Running", false, "n1"),
            pod("pending", "Pending", false, ""),
        ];
        let names: Vec<String> = victims(pods, 2).iter().map(|p| name(&p.metadata).to_owned()).collect();
        assert_eq!(names[..2], ["pending", "unready"]);
        assert!(names[2].starts_with("crowd") || names[2] == "lone");
        assert_eq!(names.len(), 3);
    }
}
