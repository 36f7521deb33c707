//! Devices (<https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>): which of those that
//! drivers offer a pod's claims get on a node. All pure; what is decided is written by the binder.

mod allocate;
mod capacity;
mod constraint;
mod counters;
mod offers;
mod outcome;
mod readiness;
mod request;
mod selectors;
mod taken;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{AllocationResult, DeviceClass, ResourceClaim, ResourceSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_api::devices::{self, PodClaim};

pub(crate) use readiness::{BINDING_TIMEOUT, Readiness, is_overdue, may_wait, readiness};
use selectors::Selectors;
pub(crate) use wanted::{Obstacle, Wanted};

/// A claim of a pod that is about to be bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The claim as it was known.
    pub claim: Arc<ResourceClaim>,
    /// The devices that it gets, if it has none yet.
    pub allocation: Option<AllocationResult>,
}

/// What the scheduler knows of claims, and of the devices that there are.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// By namespace/name.
    claims: HashMap<String, Arc<ResourceClaim>>,
    classes: BTreeMap<String, Arc<DeviceClass>>,
    slices: BTreeMap<String, Arc<ResourceSlice>>,
    /// What was decided but is not seen in the claims yet, by their uids.
    promised: HashMap<String, AllocationResult>,
    /// When decisions are made.
    now: Timestamp,
    selectors: Selectors,
}

/// Namespace and name as in a path.
pub(crate) fn key(meta: &ObjectMeta) -> String {
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn uid(claim: &ResourceClaim) -> &str {
    claim.metadata.uid.as_deref().unwrap_or_default()
}

impl Assignment {
    /// Names the shares of devices that several claims may have.
    pub(crate) fn name_shares(&mut self, mut name: impl FnMut() -> String) {
        let devices = self.allocation.iter_mut().filter_map(|allocation| allocation.devices.as_mut());
        for result in devices.flat_map(|devices| devices.results.iter_mut().flatten()) {
            if let Some(id) = &mut result.share_id {
                *id = name();
            }
        }
    }
}

impl Devices {
    /// Adds or changes a claim; whether that may matter to a pod that waits.
    pub fn set_claim(&mut self, claim: Arc<ResourceClaim>) -> bool {
        let old = self.claims.insert(key(&claim.metadata), claim.clone());
        if let Some(old) = old.as_ref().filter(|old| uid(old) != uid(&claim)) {
            self.promised.remove(uid(old));
        }
        if devices::is_allocated(&claim) {
            self.promised.remove(uid(&claim));
        }
        let state = |claim: &ResourceClaim| (claim.status.clone(), claim.metadata.deletion_timestamp.clone());
        old.is_none_or(|old| uid(&old) != uid(&claim) || state(&old) != state(&claim))
    }

    /// Forgets a claim, by namespace/name; whether it had devices.
    pub fn remove_claim(&mut self, key: &str) -> bool {
        let Some(old) = self.claims.remove(key) else { return false };
        self.promised.remove(uid(&old)).is_some() || devices::is_allocated(&old)
    }

    /// Adds or changes a class, or forgets it.
    pub fn set_class(&mut self, name: &str, class: Option<Arc<DeviceClass>>) {
        match class {
            Some(class) => drop(self.classes.insert(name.to_owned(), class)),
            None => drop(self.classes.remove(name)),
        }
    }

    /// Adds or changes what a driver offers, or forgets it.
    pub fn set_slice(&mut self, name: &str, slice: Option<Arc<ResourceSlice>>) {
        match slice {
            Some(slice) => drop(self.slices.insert(name.to_owned(), slice)),
            None => drop(self.slices.remove(name)),
        }
    }

    /// Decisions are made at this time from now on.
    pub fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The devices count as the claim's from now on, before the API has confirmed it.
    pub fn promise(&mut self, uid: &str, allocation: AllocationResult) {
        self.promised.insert(uid.to_owned(), allocation);
    }

    /// The claim of this uid does not get what was promised. Whether anything was.
    pub fn withdraw(&mut self, uid: &str) -> bool {
        self.promised.remove(uid).is_some()
    }

    fn class(&self, name: &str) -> Option<&DeviceClass> {
        self.classes.get(name).map(AsRef::as_ref)
    }

    /// The allocations that there are, those that are only promised included.
    fn allocations(&self) -> impl Iterator<Item = &AllocationResult> {
        let known = self.claims.values().filter_map(|claim| claim.status.as_ref()?.allocation.as_ref());
        known.chain(self.promised.values())
    }

    /// The claims of a pod.
    fn claims_of(&self, pod: &Pod) -> Result<Vec<&Arc<ResourceClaim>>, Obstacle> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut found: Vec<&Arc<ResourceClaim>> = Vec::new();
        for entry in devices::entries(pod) {
            let (name, own) = match devices::pod_claim(pod, entry) {
                PodClaim::NotNeeded => continue,
                PodClaim::NotMade => return Err(Obstacle::NotYet),
                PodClaim::Named { name, own } => (name, own),
            };
            let Some(claim) = self.claims.get(&format!("{namespace}/{name}")) else { return Err(Obstacle::NotYet) };
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(Obstacle::Never(format!("resourceclaim {name:?} is being deleted")));
            }
            if own && !devices::is_for(claim, pod) {
                let pod = key(&pod.metadata);
                let why = format!("ResourceClaim {namespace}/{name} was not created for pod {pod} (pod is not owner)");
                return Err(Obstacle::Never(why));
            }
            // Two entries may stand for one claim.
            if !found.iter().any(|known| Arc::ptr_eq(known, claim)) {
                found.push(claim);
            }
        }
        Ok(found)
    }
}
