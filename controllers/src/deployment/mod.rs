//! Rolls templates out over replica sets.

mod revision;
mod rollout;
mod status;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use mainstay_client::{DeleteOptions, Error, EventRecorder, EventType, Key, Patch, object_key};
use serde_json::json;

pub(crate) use self::revision::hash_of;
use self::revision::{DESIRED, MAX, REVISION, find_new, new_set, present_annotations, same_template};
pub(crate) use self::rollout::scaled;
use self::rollout::{Resize, Sets, is_recreate, is_rescaled, limits, new_size, rescale, roll, size, wanted};
use self::status::{find, progressing, set_condition};

use crate::claim::{absent_is_fine, claim};
use crate::meta::{
    annotation, controller_reference, created, is_deleting, name, namespace, orphans_of, owner_key, selector, selects,
    states, uid,
};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_OWNER, Informers, World};

pub(crate) struct Deployments {
    world: World,
    events: EventRecorder,
}

impl Deployments {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.deployments.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, deployments) = (queue.clone(), world.deployments.clone());
        informers.replica_sets.on_change(move |change| {
            for set in states(change) {
                if let Some(owner) = owner_key::<Deployment>(&set.metadata) {
                    keys.add(owner);
                    continue;
                }
                for deployment in deployments.in_namespace(namespace(&set.metadata)) {
                    if deployment.spec.as_ref().is_some_and(|s| selects(&selector(&s.selector), &set.metadata)) {
                        keys.add(object_key(&*deployment));
                    }
                }
            }
        });
        // Recreate waits for the last old pod, which no replica set tells of.
        let (keys, sets) = (queue.clone(), world.replica_sets.clone());
        informers.pods.on_change(move |change| {
            let set = owner_key::<ReplicaSet>(&change.object().metadata).and_then(|key| sets.get(&key));
            let owner = set.and_then(|set| owner_key::<Deployment>(&set.metadata));
            if let (mainstay_client::Change::Deleted(_), Some(owner)) = (change, owner) {
                keys.add(owner);
            }
        });
        Deployments { world: world.clone(), events: world.recorder("deployment-controller") }
    }

    async fn sets_of(&self, deployment: &Deployment) -> Result<Vec<Arc<ReplicaSet>>, Error> {
        let Some(spec) = &deployment.spec else { return Ok(Vec::new()) };
        let meta = &deployment.metadata;
        let mut candidates = self.world.replica_sets.by_index(BY_OWNER, uid(meta));
        candidates.extend(self.world.replica_sets.by_index(BY_OWNER, &orphans_of(namespace(meta))));
        let claim = claim(uid(meta), is_deleting(meta), &selector(&spec.selector), candidates);
        claim.settle(&self.world.api(namespace(meta)), &controller_reference(deployment)).await
    }

    /// The set of the present template, made or brought up to date; the deployment's revision follows it.
    async fn present_set(&self, deployment: &Deployment, sets: &Sets) -> Result<Option<Arc<ReplicaSet>>, Error> {
        let newest = sets.old.iter().map(|s| revision::revision(&s.metadata)).max().unwrap_or(0) + 1;
        let set = match &sets.new {
            Some(set) => Some(self.update_present(deployment, set, newest).await?),
            None => self.create_present(deployment, sets, newest).await?,
        };
        if let Some(set) = &set {
            self.note_revision(deployment, set).await?;
        }
        Ok(set)
    }

    async fn update_present(
        &self,
        deployment: &Deployment,
        set: &Arc<ReplicaSet>,
        newest: i64,
    ) -> Result<Arc<ReplicaSet>, Error> {
        let mut changed = (**set).clone();
        changed.metadata.annotations = Some(present_annotations(deployment, set, newest));
        if let (Some(spec), Some(from)) = (&mut changed.spec, &deployment.spec) {
            spec.min_ready_seconds = from.min_ready_seconds.or(spec.min_ready_seconds);
        }
        if changed == **set {
            return Ok(set.clone());
        }
        self.world.api::<ReplicaSet>(namespace(&set.metadata)).update(&changed).await.map(Arc::new)
    }

    async fn create_present(
        &self,
        deployment: &Deployment,
        sets: &Sets,
        newest: i64,
    ) -> Result<Option<Arc<ReplicaSet>>, Error> {
        let max = wanted(deployment) + limits(deployment).0;
        let set = new_set(deployment, new_size(deployment, sets, 0), max, newest);
        let api = self.world.api::<ReplicaSet>(namespace(&deployment.metadata));
        match api.create(&set).await {
            Ok(made) => {
                self.note_scaled(deployment, &made, 0, size(&made));
                Ok(Some(Arc::new(made)))
            }
            Err(error) if error.is_namespace_terminating() => Ok(None),
            Err(error) if error.is_already_exists() => self.collision(deployment, &set).await,
            Err(error) => {
                let message = format!("Failed to create new replica set {:?}: {error}", name(&set.metadata));
                self.report_failure(deployment, "FailedCreate", "ReplicaSetCreateError", message).await?;
                Err(error)
            }
        }
    }

    /// The name is taken: by our own set that the informer does not show yet, or by another one of the same hash.
    async fn collision(&self, deployment: &Deployment, set: &ReplicaSet) -> Result<Option<Arc<ReplicaSet>>, Error> {
        let api = self.world.api::<ReplicaSet>(namespace(&deployment.metadata));
        let there = api.get(name(&set.metadata)).await?;
        let templates = (there.spec.as_ref().and_then(|s| s.template.as_ref()), deployment.spec.as_ref());
        let same = matches!(templates, (Some(theirs), Some(ours)) if same_template(theirs, &ours.template));
        if same && crate::meta::controlled_by(&there.metadata, uid(&deployment.metadata)) {
            return Ok(Some(Arc::new(there)));
        }
        let mut changed = deployment.clone();
        let status = changed.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        self.world.api::<Deployment>(namespace(&deployment.metadata)).update_status(&changed).await?;
        // The changed status brings the key back, with another name for the set.
        Ok(None)
    }

    async fn report_failure(
        &self,
        deployment: &Deployment,
        event: &str,
        reason: &str,
        message: String,
    ) -> Result<(), Error> {
        self.events.event(deployment, EventType::Warning, event, message.clone());
        let mut changed = deployment.clone();
        set_condition(changed.status.get_or_insert_default(), progressing("False", reason, message), Timestamp::now());
        if changed != *deployment {
            self.world.api::<Deployment>(namespace(&deployment.metadata)).update_status(&changed).await?;
        }
        Ok(())
    }

    async fn note_revision(&self, deployment: &Deployment, set: &ReplicaSet) -> Result<(), Error> {
        let revision = annotation(&set.metadata, REVISION).unwrap_or("");
        if revision.is_empty() || annotation(&deployment.metadata, REVISION) == Some(revision) {
            return Ok(());
        }
        let patch = json!({"metadata": {"annotations": {REVISION: revision}}});
        let api = self.world.api::<Deployment>(namespace(&deployment.metadata));
        api.patch(name(&deployment.metadata), &Patch::Merge(patch)).await.map(|_| ())
    }

    async fn resize(&self, deployment: &Deployment, resizes: &[Resize]) -> Result<(), Error> {
        for resize in resizes {
            let mut set = (*resize.set).clone();
            let from = size(&set);
            note_size(deployment, &mut set);
            set.spec.get_or_insert_default().replicas = Some(resize.to);
            self.world.api::<ReplicaSet>(namespace(&set.metadata)).update(&set).await?;
            self.note_scaled(deployment, &set, from, resize.to);
        }
        Ok(())
    }

    /// Keeps the annotations that later scaling goes by.
    async fn note_sizes(&self, deployment: &Deployment, sets: &Sets, resized: &[Resize]) -> Result<(), Error> {
        let untouched = |set: &&Arc<ReplicaSet>| size(set) > 0 && !resized.iter().any(|r| r.set == **set);
        for set in sets.all().filter(untouched) {
            let mut changed = (**set).clone();
            note_size(deployment, &mut changed);
            if changed != **set {
                self.world.api::<ReplicaSet>(namespace(&set.metadata)).update(&changed).await?;
            }
        }
        Ok(())
    }

    fn note_scaled(&self, deployment: &Deployment, set: &ReplicaSet, from: i32, to: i32) {
        if from == to {
            return;
        }
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {from} to {to}", name(&set.metadata));
        self.events.event(deployment, EventType::Normal, "ScalingReplicaSet", message);
    }

    /// All old pods must be gone before the first new one is made.
    async fn recreate(&self, deployment: &Deployment, mut sets: Sets) -> Result<Sets, Error> {
        let zero = |s: &Arc<ReplicaSet>| Resize { set: s.clone(), to: 0 };
        let shrink: Vec<Resize> = sets.old.iter().filter(|s| size(s) > 0).map(zero).collect();
        if !shrink.is_empty() {
            self.resize(deployment, &shrink).await?;
            return Ok(sets);
        }
        let runs = |set: &Arc<ReplicaSet>| {
            let pods = self.world.pods.by_index(BY_OWNER, uid(&set.metadata));
            pods.iter().any(|p| !crate::pod::is_finished(p))
        };
        let pods_left = |s: &Arc<ReplicaSet>| s.status.as_ref().is_some_and(|s| s.replicas > 0);
        if sets.old.iter().any(|s| runs(s) || pods_left(s)) {
            return Ok(sets);
        }
        sets.new = self.present_set(deployment, &sets).await?;
        if let Some(new) = sets.new.as_ref().filter(|s| size(s) != wanted(deployment)) {
            self.resize(deployment, &[Resize { set: new.clone(), to: wanted(deployment) }]).await?;
        }
        Ok(sets)
    }

    async fn roll(&self, deployment: &Deployment, mut sets: Sets) -> Result<Sets, Error> {
        sets.new = self.present_set(deployment, &sets).await?;
        let resizes = roll(deployment, &sets);
        self.resize(deployment, &resizes).await?;
        Ok(sets)
    }

    async fn forget_history(&self, deployment: &Deployment, sets: &Sets) -> Result<(), Error> {
        let limit = deployment.spec.as_ref().and_then(|s| s.revision_history_limit);
        let Some(limit) = limit.and_then(|l| usize::try_from(l).ok()) else { return Ok(()) };
        let empty = |set: &&Arc<ReplicaSet>| {
            let status = set.status.clone().unwrap_or_default();
            let seen = status.observed_generation >= set.metadata.generation;
            size(set) == 0 && status.replicas == 0 && seen && !is_deleting(&set.metadata)
        };
        let mut old: Vec<&Arc<ReplicaSet>> = sets.old.iter().filter(empty).collect();
        old.sort_by_key(|s| revision::revision(&s.metadata));
        let api = self.world.api::<ReplicaSet>(namespace(&deployment.metadata));
        for set in old.iter().take(old.len().saturating_sub(limit)) {
            let options = DeleteOptions::of_uid(uid(&set.metadata));
            absent_is_fine(api.delete(name(&set.metadata), &options).await)?;
        }
        Ok(())
    }

    async fn write_status(&self, deployment: &Deployment, sets: &Sets) -> Result<Option<Duration>, Error> {
        let (status, recheck) = status::status(deployment, sets, Timestamp::now());
        if deployment.status.as_ref() == Some(&status) {
            return Ok(recheck);
        }
        let mut changed = deployment.clone();
        changed.status = Some(status);
        let api = self.world.api::<Deployment>(namespace(&deployment.metadata));
        // Its own revision note may just have moved the resource version; status is only written here.
        changed.metadata.resource_version = None;
        absent_is_fine(api.update_status(&changed).await)?;
        Ok(recheck)
    }

    /// Says in the conditions whether the deployment is paused; true if that was written and the change will bring the key back.
    async fn note_pause(&self, deployment: &Deployment) -> Result<bool, Error> {
        let paused = is_paused(deployment);
        let limited = deployment.spec.as_ref().is_some_and(|s| s.progress_deadline_seconds.is_some());
        let reason = deployment.status.as_ref().and_then(|s| find(s, "Progressing")?.reason.as_deref());
        let noted = reason == Some("DeploymentPaused");
        if !limited || reason == Some("ProgressDeadlineExceeded") || paused == noted {
            return Ok(false);
        }
        let condition = if paused {
            progressing("Unknown", "DeploymentPaused", "Deployment is paused".into())
        } else {
            progressing("Unknown", "DeploymentResumed", "Deployment is resumed".into())
        };
        let mut changed = deployment.clone();
        set_condition(changed.status.get_or_insert_default(), condition, Timestamp::now());
        self.world.api::<Deployment>(namespace(&deployment.metadata)).update_status(&changed).await?;
        Ok(true)
    }
}

fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|s| s.paused) == Some(true)
}

fn note_size(deployment: &Deployment, set: &mut ReplicaSet) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.into(), wanted(deployment).to_string());
    annotations.insert(MAX.into(), (wanted(deployment) + limits(deployment).0).to_string());
}

/// The new set and the old ones, oldest first.
fn sort(deployment: &Deployment, mut all: Vec<Arc<ReplicaSet>>) -> Sets {
    all.sort_by_key(|s| (created(&s.metadata), name(&s.metadata).to_owned()));
    let new = find_new(deployment, &all);
    let is_new = |set: &Arc<ReplicaSet>| new.as_ref().is_some_and(|n| uid(&n.metadata) == uid(&set.metadata));
    let old = all.iter().filter(|s| !is_new(s)).cloned().collect();
    Sets { new, old }
}

#[async_trait]
impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(deployment) = self.world.deployments.get(key) else { return Ok(Next::Settled) };
        let sets = sort(&deployment, self.sets_of(&deployment).await?);
        if is_deleting(&deployment.metadata) {
            return self.write_status(&deployment, &sets).await.map(Next::maybe);
        }
        if self.note_pause(&deployment).await? {
            return Ok(Next::Settled);
        }
        let sets = if is_paused(&deployment) || is_rescaled(&deployment, &sets) {
            let resizes = rescale(&deployment, &sets);
            self.resize(&deployment, &resizes).await?;
            self.note_sizes(&deployment, &sets, &resizes).await?;
            if is_paused(&deployment) {
                self.forget_history(&deployment, &sets).await?;
            }
            sets
        } else if is_recreate(&deployment) {
            self.recreate(&deployment, sets).await?
        } else {
            self.roll(&deployment, sets).await?
        };
        let recheck = self.write_status(&deployment, &sets).await?;
        let complete = deployment.status.as_ref().is_some_and(|s| status::is_complete(&deployment, s));
        if complete {
            self.forget_history(&deployment, &sets).await?;
        }
        Ok(Next::maybe(recheck))
    }
}
