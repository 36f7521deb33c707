//! Keeps a pod of a template on every node that takes it.

mod plan;
mod pod;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Change, DeleteOptions, Error, EventRecorder, EventType, Key, object_key};

use self::plan::{Input, Removal, plan};
use crate::claim::{absent_is_fine, claim};
use crate::expectations::Expectations;
use crate::history::{self, History, REVISION_LABEL, Wanted};
use crate::meta::{
    controller_of, controller_reference, is_deleting, name, namespace, orphans_of, owner_key, selector, selects,
    states, uid,
};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_OWNER, Informers, World};

/// At most so many pods are made or deleted in one go.
const BURST: usize = 250;
/// Before a pod that failed on a node is made anew; doubled for each run that failed before, up to the longest.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

pub(crate) struct DaemonSets {
    world: World,
    events: EventRecorder,
    expected: Arc<Expectations>,
    /// How often pods failed, by set and node; forgotten with the process.
    failures: parking_lot::Mutex<std::collections::HashMap<(Key, String), Failure>>,
}

#[derive(Clone, Copy)]
struct Failure {
    count: u32,
    last: tokio::time::Instant,
}

impl DaemonSets {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let expected = Arc::new(Expectations::default());
        let keys = queue.clone();
        informers.daemon_sets.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, pending, sets) = (queue.clone(), expected.clone(), world.daemon_sets.clone());
        informers.pods.on_change(move |change| {
            for pod in states(change) {
                let Some(owner) = owner_key::<DaemonSet>(&pod.metadata) else {
                    // Only who has no controller may be adopted.
                    if controller_of(&pod.metadata).is_some() {
                        continue;
                    }
                    for set in sets.in_namespace(namespace(&pod.metadata)) {
                        if set.spec.as_ref().is_some_and(|s| selects(&selector(&s.selector), &pod.metadata)) {
                            keys.add(object_key(&*set));
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
        let (keys, sets) = (queue.clone(), world.daemon_sets.clone());
        informers.nodes.on_change(move |change| {
            if plan::node_matters(change) {
                for key in sets.keys() {
                    keys.add(key);
                }
            }
        });
        let events = world.recorder("daemonset-controller");
        DaemonSets { world: world.clone(), events, expected, failures: parking_lot::Mutex::default() }
    }

    async fn pods_of(&self, set: &DaemonSet) -> Result<Vec<Arc<Pod>>, Error> {
        let Some(spec) = &set.spec else { return Ok(Vec::new()) };
        let meta = &set.metadata;
        let mut candidates = self.world.pods.by_index(BY_OWNER, uid(meta));
        candidates.extend(self.world.pods.by_index(BY_OWNER, &orphans_of(namespace(meta))));
        let claim = claim(uid(meta), is_deleting(meta), &selector(&spec.selector), candidates);
        claim.settle(&self.world.api(namespace(meta)), &controller_reference(set)).await
    }

    async fn history(&self, set: &DaemonSet) -> Result<Option<History>, Error> {
        let Some(spec) = &set.spec else { return Ok(None) };
        let wanted = Wanted {
            owner: set,
            selector: &selector(&spec.selector),
            template: &spec.template,
            labels: spec.template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default(),
            hash_label: REVISION_LABEL,
            collisions: set.status.as_ref().and_then(|s| s.collision_count).unwrap_or(0),
        };
        history::follow(&self.world, &wanted).await.map(Some)
    }

    async fn create(&self, key: &Key, set: &DaemonSet, nodes: &[String], hash: &str) -> Result<(), Error> {
        let api = self.world.api::<Pod>(&key.namespace);
        let mut left = &nodes[..nodes.len().min(BURST)];
        let mut batch = 1;
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(batch));
            let pods: Vec<Pod> = now.iter().filter_map(|node| pod::for_node(set, node, hash)).collect();
            for result in join_all(pods.iter().map(|pod| api.create(pod))).await {
                match result {
                    Ok(made) => {
                        self.expected.created(key, &made);
                        let message = format!("Created pod: {}", name(&made.metadata));
                        self.events.event(set, EventType::Normal, "SuccessfulCreate", message);
                    }
                    Err(error) if error.is_namespace_terminating() => return Ok(()),
                    Err(error) => {
                        self.events.event(set, EventType::Warning, "FailedCreate", format!("Error creating: {error}"));
                        return Err(error);
                    }
                }
            }
            left = later;
            batch *= 2;
        }
        Ok(())
    }

    /// Deletes pods; returns when those that have to wait for their next run are due.
    async fn delete(&self, key: &Key, set: &DaemonSet, removals: &[Removal]) -> Result<Option<Duration>, Error> {
        let mut next: Option<Duration> = None;
        for removal in removals.iter().take(BURST) {
            if let Some((reason, kind)) = removal.finished {
                if let Some(wait) = self.failure_wait(key, &removal.node) {
                    next = Some(next.map_or(wait, |n| n.min(wait)));
                    continue;
                }
                let pod = name(&removal.pod.metadata);
                let place = format!("{}/{pod} on node {}", key.namespace, removal.node);
                let message = format!("Found {kind} daemon pod {place}, will try to kill it");
                let level = if kind == "failed" { EventType::Warning } else { EventType::Normal };
                self.events.event(set, level, reason, message);
            }
            self.delete_one(key, set, &removal.pod).await?;
        }
        Ok(next)
    }

    async fn delete_one(&self, key: &Key, set: &DaemonSet, pod: &Pod) -> Result<(), Error> {
        let api = self.world.api::<Pod>(&key.namespace);
        let options = DeleteOptions::of_uid(uid(&pod.metadata));
        match absent_is_fine(api.delete(name(&pod.metadata), &options).await) {
            Ok(_) => {
                self.expected.deleted(key, pod);
                let message = format!("Deleted pod: {}", name(&pod.metadata));
                self.events.event(set, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) => {
                self.events.event(set, EventType::Warning, "FailedDelete", format!("Error deleting: {error}"));
                Err(error)
            }
        }
    }

    /// How long a failed pod stays until it is replaced; counts the failure once that time is over.
    fn failure_wait(&self, key: &Key, node: &str) -> Option<Duration> {
        let mut failures = self.failures.lock();
        let now = tokio::time::Instant::now();
        failures.retain(|_, failure| failure.last.elapsed() < LONGEST_PAUSE * 2);
        let failure = failures.entry((key.clone(), node.to_owned())).or_insert(Failure { count: 0, last: now });
        let pause = if failure.count == 0 { Duration::ZERO } else { pause_after(failure.count) };
        let left = pause.saturating_sub(failure.last.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        *failure = Failure { count: failure.count.saturating_add(1), last: now };
        None
    }

    async fn write_status(&self, set: &DaemonSet, status: DaemonSetStatus) -> Result<(), Error> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let changed = DaemonSet { status: Some(status), ..set.clone() };
        let api = self.world.api::<DaemonSet>(namespace(&set.metadata));
        absent_is_fine(api.update_status(&changed).await).map(drop)
    }
}

fn pause_after(failures: u32) -> Duration {
    FAILED_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_PAUSE)
}

#[async_trait]
impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.world.daemon_sets.get(key) else { return Ok(Next::Settled) };
        let settled = self.expected.settled(key, &self.world.pods);
        let pods = self.pods_of(&set).await?;
        let Some(history) = self.history(&set).await? else { return Ok(Next::Settled) };
        let hash = label(&history.present).to_owned();
        let nodes = self.world.nodes.list();
        let now = Timestamp::now();
        let plan = plan(&Input { set: &set, pods: &pods, nodes: &nodes, hash: &hash, now });
        let mut next = plan.next_available;
        if settled && !is_deleting(&set.metadata) {
            let wait = self.delete(key, &set, &plan.remove).await?;
            next = next.into_iter().chain(wait).min();
            self.create(key, &set, &plan.create, &hash).await?;
        }
        let used = |revision: &ControllerRevision| {
            let own = label(revision);
            own == hash || pods.iter().any(|pod| pod::hash(pod) == own)
        };
        let limit = set.spec.as_ref().and_then(|s| s.revision_history_limit);
        history::forget(&self.world, &history, limit, used).await?;
        let collisions = history.collisions.or(plan.status.collision_count);
        self.write_status(&set, DaemonSetStatus { collision_count: collisions, ..plan.status }).await?;
        Ok(Next::maybe(next))
    }
}

/// A revision's hash.
fn label(revision: &ControllerRevision) -> &str {
    revision.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).map_or("", String::as_str)
}
