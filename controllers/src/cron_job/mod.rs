//! Makes jobs at the times of a schedule.

mod plan;
mod schedule;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::{DeleteOptions, Error, EventRecorder, EventType, Key, Propagation, object_key};

use self::plan::{Plan, Start, plan};
use crate::claim::absent_is_fine;
use crate::job::{is_finished, verdict};
use crate::meta::{controlled_by, is_deleting, name, namespace, owner_key, states, uid};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_OWNER, Informers, World};

pub(crate) struct CronJobs {
    world: World,
    events: EventRecorder,
}

impl CronJobs {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.cron_jobs.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let keys = queue.clone();
        informers.jobs.on_change(move |change| {
            for owner in states(change).into_iter().filter_map(|job| owner_key::<CronJob>(&job.metadata)) {
                keys.add(owner);
            }
        });
        CronJobs { world: world.clone(), events: world.recorder("cronjob-controller") }
    }

    async fn delete(&self, cron: &CronJob, job: &Job) -> Result<(), Error> {
        let options = DeleteOptions::of_uid(uid(&job.metadata)).propagation(Propagation::Background);
        let api = self.world.api::<Job>(namespace(&cron.metadata));
        absent_is_fine(api.delete(name(&job.metadata), &options).await)?;
        let message = format!("Deleted job {}", name(&job.metadata));
        self.events.event(cron, EventType::Normal, "SuccessfulDelete", message);
        Ok(())
    }

    /// Jobs of the status's list that have ended or are gone are taken off it, and those that are missing are put on.
    fn follow_active(&self, cron: &CronJob, jobs: &[Arc<Job>], status: &mut CronJobStatus) {
        let mut active = status.active.take().unwrap_or_default();
        active.retain(|reference| {
            let of = |job: &&Arc<Job>| reference.uid.as_deref() == Some(uid(&job.metadata));
            match jobs.iter().find(of) {
                Some(job) if is_finished(job) => {
                    let verdict = verdict(job).unwrap_or_default();
                    let message = format!("Saw completed job: {}, condition: {verdict}", name(&job.metadata));
                    self.events.event(cron, EventType::Normal, "SawCompletedJob", message);
                    false
                }
                Some(_) => true,
                None => {
                    let message = format!("Active job went missing: {}", reference.name.as_deref().unwrap_or(""));
                    self.events.event(cron, EventType::Normal, "MissingJob", message);
                    false
                }
            }
        });
        for job in jobs.iter().filter(|job| !is_finished(job) && !is_deleting(&job.metadata)) {
            if !active.iter().any(|r| r.uid.as_deref() == Some(uid(&job.metadata))) {
                active.push(reference(job));
            }
        }
        status.active = Some(active).filter(|active| !active.is_empty());
        let ends = jobs.iter().filter(|job| verdict(job) == Some("Complete"));
        let newest = ends.filter_map(|job| job.status.as_ref()?.completion_time.clone()).max_by_key(|t| t.0);
        if newest.as_ref().map(|t| t.0) > status.last_successful_time.as_ref().map(|t| t.0) {
            status.last_successful_time = newest;
        }
    }

    /// Makes the job of a time, once what stands in its way is gone.
    async fn start(
        &self,
        cron: &CronJob,
        start: &Start,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
    ) -> Result<(), Error> {
        for job in jobs.iter().filter(|job| start.replace && !is_finished(job)) {
            self.delete(cron, job).await?;
            let gone = |r: &ObjectReference| r.uid.as_deref() != Some(uid(&job.metadata));
            status.active.iter_mut().for_each(|active| active.retain(gone));
        }
        let api = self.world.api::<Job>(namespace(&cron.metadata));
        match api.create(&start.job).await {
            Ok(made) => {
                let message = format!("Created job {}", name(&made.metadata));
                self.events.event(cron, EventType::Normal, "SuccessfulCreate", message);
                status.active.get_or_insert_default().push(reference(&made));
            }
            // Made before, by us: the time was not noted any more.
            Err(error) if error.is_already_exists() => {
                let there = api.get(name(&start.job.metadata)).await?;
                if !controlled_by(&there.metadata, uid(&cron.metadata)) {
                    return Err(error);
                }
            }
            Err(error) if error.is_namespace_terminating() => return Ok(()),
            Err(error) => {
                let message = format!("Error creating job: {error}");
                self.events.event(cron, EventType::Warning, "FailedCreate", message);
                return Err(error);
            }
        }
        status.last_schedule_time = Some(Time(start.at));
        Ok(())
    }

    async fn write_status(&self, cron: &CronJob, status: CronJobStatus) -> Result<(), Error> {
        if cron.status.clone().unwrap_or_default() == status {
            return Ok(());
        }
        let changed = CronJob { status: Some(status), ..cron.clone() };
        let api = self.world.api::<CronJob>(namespace(&cron.metadata));
        absent_is_fine(api.update_status(&changed).await).map(drop)
    }
}

fn reference(job: &Job) -> ObjectReference {
    ObjectReference {
        api_version: Some("batch/v1".into()),
        kind: Some("Job".into()),
        name: job.metadata.name.clone(),
        namespace: job.metadata.namespace.clone(),
        uid: job.metadata.uid.clone(),
        resource_version: job.metadata.resource_version.clone(),
        field_path: None,
    }
}

#[async_trait]
impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(cron) = self.world.cron_jobs.get(key).filter(|c| !is_deleting(&c.metadata)) else {
            return Ok(Next::Settled);
        };
        let jobs = self.world.jobs.by_index(BY_OWNER, uid(&cron.metadata));
        let mut status = cron.status.clone().unwrap_or_default();
        self.follow_active(&cron, &jobs, &mut status);
        let Plan { start, forget, events, next } = plan(&cron, &status, &jobs, Timestamp::now());
        for job in &forget {
            self.delete(&cron, job).await?;
        }
        for (kind, reason, message) in events {
            self.events.event(&*cron, kind, reason, message);
        }
        let started = match &start {
            Some(start) => self.start(&cron, start, &jobs, &mut status).await,
            None => Ok(()),
        };
        self.write_status(&cron, status).await?;
        started?;
        Ok(Next::maybe(next))
    }
}
