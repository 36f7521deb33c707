//! Keeps pods that have a name, a volume and a place in a line each.
//!
//! The plan is pure: which pods to make, to delete and to mend next, and the status. It is made anew at every change, so that
//! one step a time is enough.

mod identity;
mod input;
mod plan;
mod status;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use mainstay_client::{Change, DeleteOptions, Error, EventRecorder, EventType, Key, object_key};

use self::input::Input;
use self::plan::{Step, plan};
use crate::claim::{absent_is_fine, claim};
use crate::expectations::Expectations;
use crate::history::{self, History, Wanted};
use crate::meta::{
    controller_of, controller_reference, is_deleting, name, namespace, orphans_of, owner_key, selector, selects,
    states, uid,
};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_OWNER, Informers, World};

/// The label of a revision that holds its hash.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

pub(crate) struct StatefulSets {
    world: World,
    events: EventRecorder,
    expected: Arc<Expectations>,
}

impl StatefulSets {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let expected = Arc::new(Expectations::default());
        let keys = queue.clone();
        informers.stateful_sets.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, pending, sets) = (queue.clone(), expected.clone(), world.stateful_sets.clone());
        informers.pods.on_change(move |change| {
            for pod in states(change) {
                let Some(owner) = owner_key::<StatefulSet>(&pod.metadata) else {
                    // Only who has no controller may be adopted.
                    if controller_of(&pod.metadata).is_some() {
                        continue;
                    }
                    let matching = |set: &&Arc<StatefulSet>| {
                        set.spec.as_ref().is_some_and(|s| selects(&selector(&s.selector), &pod.metadata))
                            && identity::ordinal(set, name(&pod.metadata)).is_some()
                    };
                    let sets = sets.in_namespace(namespace(&pod.metadata));
                    for set in sets.iter().filter(matching) {
                        keys.add(object_key(&**set));
                    }
                    continue;
                };
                if matches!(change, Change::Deleted(_)) {
                    pending.gone(&owner, pod);
                }
                keys.add(owner);
            }
        });
        StatefulSets { world: world.clone(), events: world.recorder("statefulset-controller"), expected }
    }

    /// The set's pods: those that it owns or may adopt, and whose names are of its line.
    async fn pods_of(&self, set: &StatefulSet) -> Result<Vec<Arc<Pod>>, Error> {
        let Some(spec) = &set.spec else { return Ok(Vec::new()) };
        let meta = &set.metadata;
        let mut candidates = self.world.pods.by_index(BY_OWNER, uid(meta));
        candidates.extend(self.world.pods.by_index(BY_OWNER, &orphans_of(namespace(meta))));
        candidates.retain(|pod| identity::ordinal(set, name(&pod.metadata)).is_some());
        let claim = claim(uid(meta), is_deleting(meta), &selector(&spec.selector), candidates);
        claim.settle(&self.world.api(namespace(meta)), &controller_reference(set)).await
    }

    async fn history(&self, set: &StatefulSet) -> Result<Option<History>, Error> {
        let Some(spec) = &set.spec else { return Ok(None) };
        let status = set.status.clone().unwrap_or_default();
        let wanted = Wanted {
            owner: set,
            selector: &selector(&spec.selector),
            template: &spec.template,
            labels: spec.selector.match_labels.clone().unwrap_or_default(),
            hash_label: HASH_LABEL,
            collisions: status.collision_count.unwrap_or(0),
        };
        history::follow(&self.world, &wanted).await.map(Some)
    }

    async fn take(&self, key: &Key, set: &StatefulSet, step: &Step) -> Result<(), Error> {
        match step {
            Step::Claim { claim, pod } => self.make_claim(set, claim, pod).await,
            Step::Create(pod) => self.create(key, set, pod).await,
            Step::Mend(pod) => self.world.api::<Pod>(&key.namespace).update(pod).await.map(drop),
            Step::Delete { pod, why } => {
                if let Some((reason, message)) = why {
                    self.events.event(set, EventType::Warning, reason, message.clone());
                }
                self.delete(key, set, pod).await
            }
        }
    }

    async fn make_claim(&self, set: &StatefulSet, claim: &PersistentVolumeClaim, pod: &str) -> Result<(), Error> {
        let (claim_name, set_name) = (name(&claim.metadata), name(&set.metadata));
        let api = self.world.api::<PersistentVolumeClaim>(namespace(&set.metadata));
        match api.create(claim).await {
            Ok(_) => {
                let message = format!("create Claim {claim_name} Pod {pod} in StatefulSet {set_name} success");
                self.events.event(set, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => {
                let message =
                    format!("create Claim {claim_name} for Pod {pod} in StatefulSet {set_name} failed error: {error}");
                self.events.event(set, EventType::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn create(&self, key: &Key, set: &StatefulSet, pod: &Pod) -> Result<(), Error> {
        let (pod_name, set_name) = (name(&pod.metadata), name(&set.metadata));
        match self.world.api::<Pod>(&key.namespace).create(pod).await {
            Ok(made) => {
                self.expected.created(key, &made);
                let message = format!("create Pod {pod_name} in StatefulSet {set_name} successful");
                self.events.event(set, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let message = format!("create Pod {pod_name} in StatefulSet {set_name} failed error: {error}");
                self.events.event(set, EventType::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn delete(&self, key: &Key, set: &StatefulSet, pod: &Pod) -> Result<(), Error> {
        let (pod_name, set_name) = (name(&pod.metadata), name(&set.metadata));
        let api = self.world.api::<Pod>(&key.namespace);
        match absent_is_fine(api.delete(pod_name, &DeleteOptions::of_uid(uid(&pod.metadata))).await) {
            Ok(_) => {
                self.expected.deleted(key, pod);
                let message = format!("delete Pod {pod_name} in StatefulSet {set_name} successful");
                self.events.event(set, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) => {
                let message = format!("delete Pod {pod_name} in StatefulSet {set_name} failed error: {error}");
                self.events.event(set, EventType::Warning, "FailedDelete", message);
                Err(error)
            }
        }
    }

    async fn write_status(&self, set: &StatefulSet, status: StatefulSetStatus) -> Result<(), Error> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let changed = StatefulSet { status: Some(status), ..set.clone() };
        let api = self.world.api::<StatefulSet>(namespace(&set.metadata));
        absent_is_fine(api.update_status(&changed).await).map(drop)
    }
}

#[async_trait]
impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.world.stateful_sets.get(key) else { return Ok(Next::Settled) };
        let settled = self.expected.settled(key, &self.world.pods);
        let pods = self.pods_of(&set).await?;
        let Some(history) = self.history(&set).await? else { return Ok(Next::Settled) };
        let claims = self.world.claims.in_namespace(&key.namespace);
        let input = Input { set: &set, pods: &pods, claims: &claims, history: &history, now: Timestamp::now() };
        let plan = plan(&input);
        let mut acted = Ok(());
        if settled && !is_deleting(&set.metadata) {
            for step in &plan.steps {
                acted = self.take(key, &set, step).await;
                if acted.is_err() {
                    break;
                }
            }
        }
        let status = plan.status;
        let used = |revision: &k8s_openapi::api::apps::v1::ControllerRevision| {
            let own = name(&revision.metadata);
            let by_pod = |pod: &Arc<Pod>| identity::revision(pod) == Some(own);
            status.current_revision.as_deref() == Some(own)
                || status.update_revision.as_deref() == Some(own)
                || pods.iter().any(by_pod)
        };
        let limit = set.spec.as_ref().and_then(|s| s.revision_history_limit);
        history::forget(&self.world, &history, limit, used).await?;
        self.write_status(&set, status).await?;
        acted?;
        Ok(Next::maybe(plan.next_available))
    }
}
