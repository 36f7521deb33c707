//! Takes pods that are done off the claims that they used. A claim that nobody uses any longer gives its devices back; one
//! that was made for a pod goes with it.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference};
use mainstay_api::devices::{self, FINALIZER};
use mainstay_client::{DeleteOptions, Error, Key, object_key};

use super::{claim_keys, is_done};
use crate::claim::absent_is_fine;
use crate::meta::{controller_of, is_deleting, name, namespace, owner_key, states, uid};
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

/// Keys are claims.
pub(crate) struct ClaimReleaser {
    world: World,
}

impl ClaimReleaser {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.device_claims.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let keys = queue.clone();
        informers.pods.on_change(move |change| {
            let gone = matches!(change, mainstay_client::Change::Deleted(_));
            let done = gone || is_done(change.object());
            for claim in states(change).into_iter().filter(|_| done).flat_map(claim_keys) {
                keys.add(claim);
            }
        });
        Self { world: world.clone() }
    }

    /// Whether a user still needs the claim. A pod that is not known is asked for: it may be too new to be known.
    async fn needs(&self, claim: &ResourceClaim, user: &ResourceClaimConsumerReference) -> Result<bool, Error> {
        if user.resource != "pods" || user.api_group.as_deref().is_some_and(|group| !group.is_empty()) {
            return Ok(true);
        }
        let place = namespace(&claim.metadata);
        if let Some(pod) = self.world.pods.find(place, &user.name) {
            return Ok(uid(&pod.metadata) == user.uid && !is_done(&pod));
        }
        let pod = self.world.api::<Pod>(place).get_opt(&user.name).await?;
        Ok(pod.is_some_and(|pod| uid(&pod.metadata) == user.uid && !is_done(&pod)))
    }

    /// Writes who uses the claim; the devices of one that nobody uses go back, and the finalizer with them.
    async fn release(&self, claim: &ResourceClaim, users: &[ResourceClaimConsumerReference]) -> Result<(), Error> {
        let api = self.world.api::<ResourceClaim>("");
        let mut latest = claim.clone();
        if let Some(changed) = released(claim, users) {
            let Some(written) = absent_is_fine(api.update_status(&changed).await)? else { return Ok(()) };
            latest = written;
        }
        if !ends(claim, users) || devices::is_allocated(&latest) {
            return Ok(());
        }
        latest.metadata.finalizers.iter_mut().for_each(|all| all.retain(|finalizer| finalizer != FINALIZER));
        absent_is_fine(api.update(&latest).await).map(drop)
    }

    /// A claim that was made for a pod is of no use once the pod is done.
    async fn delete_if_useless(&self, claim: &ResourceClaim) -> Result<(), Error> {
        let (Some(owner), Some(pod)) = (controller_of(&claim.metadata), owner_key::<Pod>(&claim.metadata)) else {
            return Ok(());
        };
        let Some(pod) = self.world.pods.get(&pod) else { return Ok(()) };
        if is_deleting(&claim.metadata) || uid(&pod.metadata) == owner.uid && !is_done(&pod) {
            return Ok(());
        }
        let api = self.world.api::<ResourceClaim>(namespace(&claim.metadata));
        let options = DeleteOptions::of_uid(uid(&claim.metadata));
        absent_is_fine(api.delete(name(&claim.metadata), &options).await).map(drop)
    }
}

#[async_trait]
impl Controller for ClaimReleaser {
    fn name(&self) -> &'static str {
        "resource-claim-users"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(claim) = self.world.device_claims.get(key) else { return Ok(Next::Settled) };
        let mut users = Vec::new();
        for user in devices::users(&claim) {
            if self.needs(&claim, user).await? {
                users.push(user.clone());
            }
        }
        self.release(&claim, &users).await?;
        if users.is_empty() {
            self.delete_if_useless(&claim).await?;
        }
        Ok(Next::Settled)
    }
}

fn has_finalizer(claim: &ResourceClaim) -> bool {
    claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Whether a claim that the scheduler allocated gives its devices back: its last user leaves, or nobody uses it and it is
/// to go. One that has no user yet keeps them.
fn ends(claim: &ResourceClaim, users: &[ResourceClaimConsumerReference]) -> bool {
    let leaves = devices::users(claim).next().is_some();
    has_finalizer(claim) && users.is_empty() && (leaves || is_deleting(&claim.metadata))
}

/// The claim with the users that are left, if that changes it.
fn released(claim: &ResourceClaim, users: &[ResourceClaimConsumerReference]) -> Option<ResourceClaim> {
    let deallocates = ends(claim, users) && devices::is_allocated(claim);
    if users.len() == devices::users(claim).count() && !deallocates {
        return None;
    }
    let mut changed = claim.clone();
    let status = changed.status.get_or_insert_default();
    status.reserved_for = Some(users.to_vec()).filter(|users| !users.is_empty());
    if deallocates {
        status.allocation = None;
    }
    Some(changed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(finalizer: bool, deleting: bool, users: &[&str]) -> ResourceClaim {
        let users: Vec<Value> = users.iter().map(|uid| json!({"resource": "pods", "name": uid, "uid": uid})).collect();
        let mut claim = json!({
            "metadata": {"name": "c", "namespace": "n"}, "spec": {}, "status": {"allocation": {}, "reservedFor": users},
        });
        if finalizer {
            claim["metadata"]["finalizers"] = json!([FINALIZER]);
        }
        if deleting {
            claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(claim).unwrap()
    }

    fn left(claim: &ResourceClaim, count: usize) -> Vec<ResourceClaimConsumerReference> {
        devices::users(claim).take(count).cloned().collect()
    }

    #[test]
    fn the_last_user_takes_the_devices_along() {
        let two = claim(true, false, &["a", "b"]);
        assert!(released(&two, &left(&two, 2)).is_none());
        let one = released(&two, &left(&two, 1)).unwrap();
        assert!(
            devices::is_allocated(&one) && devices::is_reserved_for(&one, "a") && !devices::is_reserved_for(&one, "b")
        );
        assert!(!ends(&two, &left(&two, 1)));
        let none = released(&two, &[]).unwrap();
        assert!(!devices::is_allocated(&none) && none.status.unwrap().reserved_for.is_none());
        assert!(ends(&two, &[]));
    }

    #[test]
    fn what_nobody_used_yet_stays_until_it_is_deleted() {
        let fresh = claim(true, false, &[]);
        assert!(released(&fresh, &[]).is_none() && !ends(&fresh, &[]));
        let going = claim(true, true, &[]);
        assert!(!devices::is_allocated(&released(&going, &[]).unwrap()));
    }

    #[test]
    fn others_deallocate_what_they_allocated() {
        let foreign = claim(false, false, &["a"]);
        assert!(devices::is_allocated(&released(&foreign, &[]).unwrap()));
        assert!(!ends(&foreign, &[]));
    }
}
