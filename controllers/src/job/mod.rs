//! Runs pods until enough of them have succeeded.
//!
//! Every pod has a finalizer. A pod that has ended is counted in the job's status and loses its finalizer in one transaction,
//! so that none is counted twice or never, whoever deletes it.

mod backoff;
mod failure;
mod finished;
mod indexes;
mod plan;
mod pod;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Change, DeleteOptions, Error, EventRecorder, EventType, Key, Patch, Propagation, object_key};
use serde_json::json;

pub(crate) use self::finished::{is_finished, verdict};
use self::plan::{Input, Plan, plan};
use crate::claim::{absent_is_fine, claim};
use crate::expectations::Expectations;
use crate::meta::{
    controller_of, controller_reference, is_deleting, name, namespace, orphans_of, owner_key, remaining, seconds,
    selector, states, uid,
};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_OWNER, Informers, World};

/// At most so many pods are made, deleted or counted in one go.
const BURST: usize = 500;
/// Pods that one transaction counts.
const COUNTED_AT_ONCE: usize = 100;

pub(crate) struct Jobs {
    world: World,
    events: EventRecorder,
    expected: Arc<Expectations>,
}

impl Jobs {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let expected = Arc::new(Expectations::default());
        let keys = queue.clone();
        informers.jobs.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, pending, jobs) = (queue.clone(), expected.clone(), world.jobs.clone());
        informers.pods.on_change(move |change| {
            for pod in states(change) {
                let Some(owner) = owner_key::<Job>(&pod.metadata) else {
                    // Only who has no controller may be adopted.
                    if controller_of(&pod.metadata).is_some() {
                        continue;
                    }
                    for job in jobs.in_namespace(namespace(&pod.metadata)) {
                        let wire = job.spec.as_ref().and_then(|s| s.selector.as_ref());
                        if wire.is_some_and(|wire| crate::meta::selects(&selector(wire), &pod.metadata)) {
                            keys.add(object_key(&*job));
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
        Jobs { world: world.clone(), events: world.recorder("job-controller"), expected }
    }

    async fn pods_of(&self, job: &Job) -> Result<Vec<Arc<Pod>>, Error> {
        let Some(wire) = job.spec.as_ref().and_then(|s| s.selector.as_ref()) else { return Ok(Vec::new()) };
        let meta = &job.metadata;
        let mut candidates = self.world.pods.by_index(BY_OWNER, uid(meta));
        candidates.extend(self.world.pods.by_index(BY_OWNER, &orphans_of(namespace(meta))));
        let claim = claim(uid(meta), is_deleting(meta), &selector(wire), candidates);
        claim.settle(&self.world.api(namespace(meta)), &controller_reference(job)).await
    }

    /// Counts pods that have ended, in one transaction with the release of each.
    async fn count(&self, job: &Job, plan: &Plan) -> Result<(), Error> {
        let status_changed = job.status.as_ref() != Some(&plan.status);
        if !status_changed && plan.counted.is_empty() {
            return Ok(());
        }
        let changed = Job { status: Some(plan.status.clone()), ..job.clone() };
        let jobs = self.world.api::<Job>(namespace(&job.metadata));
        let mut writes = vec![jobs.update_status_op(&changed)?];
        let pods = self.world.api::<Pod>(namespace(&job.metadata));
        for pod in &plan.counted {
            writes.push(pods.patch_op(name(&pod.metadata), &Patch::Merge(released(pod)))?);
        }
        self.world.client.txn(writes).await.map(drop)
    }

    /// Lets go of pods that count for nothing any more.
    async fn release(&self, job: &Job, pods: &[Arc<Pod>]) -> Result<(), Error> {
        let api = self.world.api::<Pod>(namespace(&job.metadata));
        for pod in pods {
            absent_is_fine(api.patch(name(&pod.metadata), &Patch::Merge(released(pod))).await)?;
        }
        Ok(())
    }

    async fn create(&self, key: &Key, job: &Job, wanted: &[Pod]) -> Result<(), Error> {
        let api = self.world.api::<Pod>(&key.namespace);
        let mut left = &wanted[..wanted.len().min(BURST)];
        let mut batch = 1;
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(batch));
            for result in join_all(now.iter().map(|pod| api.create(pod))).await {
                match result {
                    Ok(made) => {
                        self.expected.created(key, &made);
                        let message = format!("Created pod: {}", name(&made.metadata));
                        self.events.event(job, EventType::Normal, "SuccessfulCreate", message);
                    }
                    Err(error) if error.is_namespace_terminating() => return Ok(()),
                    Err(error) => {
                        self.events.event(job, EventType::Warning, "FailedCreate", format!("Error creating: {error}"));
                        return Err(error);
                    }
                }
            }
            left = later;
            batch *= 2;
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, job: &Job, victims: &[Arc<Pod>]) -> Result<(), Error> {
        let api = self.world.api::<Pod>(&key.namespace);
        for pod in victims.iter().take(BURST) {
            let options = DeleteOptions::of_uid(uid(&pod.metadata));
            match absent_is_fine(api.delete(name(&pod.metadata), &options).await) {
                Ok(_) => {
                    self.expected.deleted(key, pod);
                    let message = format!("Deleted pod: {}", name(&pod.metadata));
                    self.events.event(job, EventType::Normal, "SuccessfulDelete", message);
                }
                Err(error) => {
                    self.events.event(job, EventType::Warning, "FailedDelete", format!("Error deleting: {error}"));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Deletes a job whose time is over; else when that will be.
    async fn expire(&self, job: &Job) -> Result<Option<Duration>, Error> {
        let ttl = job.spec.as_ref().and_then(|s| s.ttl_seconds_after_finished);
        let ended = job.status.as_ref().and_then(finished::ended_at);
        let (Some(ttl), Some(ended)) = (ttl, ended) else { return Ok(None) };
        let left = remaining(ended, seconds(ttl.into()), Timestamp::now());
        if !left.is_zero() || is_deleting(&job.metadata) {
            return Ok(Some(left));
        }
        let options = DeleteOptions::of_uid(uid(&job.metadata)).propagation(Propagation::Foreground);
        let api = self.world.api::<Job>(namespace(&job.metadata));
        absent_is_fine(api.delete(name(&job.metadata), &options).await)?;
        Ok(None)
    }

    fn tell(&self, job: &Job, plan: &Plan) {
        for (kind, reason, message) in &plan.events {
            self.events.event(job, *kind, reason, message.clone());
        }
    }
}

fn released(pod: &Pod) -> serde_json::Value {
    let left = pod.metadata.finalizers.iter().flatten().filter(|f| *f != pod::FINALIZER);
    let left: Vec<&String> = left.collect();
    let left = if left.is_empty() { json!(null) } else { json!(left) };
    json!({"metadata": {"uid": uid(&pod.metadata), "finalizers": left}})
}

#[async_trait]
impl Controller for Jobs {
    fn name(&self) -> &'static str {
        "job"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(job) = self.world.jobs.get(key) else {
            return self.release_orphans(key).await;
        };
        if job
            .spec
            .as_ref()
            .and_then(|s| s.managed_by.as_deref())
            .is_some_and(|by| by != "kubernetes.io/job-controller")
        {
            return Ok(Next::Settled);
        }
        let pods = self.pods_of(&job).await?;
        let tracked: Vec<Arc<Pod>> = pods.iter().filter(|pod| pod::is_tracked(pod)).cloned().collect();
        if is_deleting(&job.metadata) {
            self.release(&job, &tracked).await?;
            return Ok(Next::Settled);
        }
        if is_finished(&job) {
            let ended: Vec<_> = tracked.iter().filter(|pod| crate::pod::is_finished(pod)).cloned().collect();
            self.release(&job, &ended).await?;
            return self.expire(&job).await.map(Next::maybe);
        }
        let settled = self.expected.settled(key, &self.world.pods);
        let plan = plan(&Input { job: &job, pods: &pods, now: Timestamp::now(), most_counted: COUNTED_AT_ONCE });
        self.count(&job, &plan).await?;
        self.tell(&job, &plan);
        self.release(&job, &plan.released).await?;
        if settled {
            self.delete(key, &job, &plan.delete).await?;
            self.create(key, &job, &plan.create).await?;
        }
        Ok(Next::maybe(plan.next))
    }
}

impl Jobs {
    /// Of a job that is gone without having let go of its pods.
    async fn release_orphans(&self, key: &Key) -> Result<Next, Error> {
        let of_job = |pod: &&Arc<Pod>| {
            owner_key::<Job>(&pod.metadata).is_some_and(|owner| owner == *key) && pod::is_tracked(pod)
        };
        let api = self.world.api::<Pod>(&key.namespace);
        for pod in self.world.pods.in_namespace(&key.namespace).iter().filter(of_job) {
            absent_is_fine(api.patch(name(&pod.metadata), &Patch::Merge(released(pod))).await)?;
        }
        Ok(Next::Settled)
    }
}
