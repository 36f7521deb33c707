//! The claims, classes and offers that there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{AllocationResult, DeviceClass, ResourceClaim, ResourceSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_api::devices::{self, PodClaim};

use super::obstacle::Obstacle;
use super::selectors::Selectors;

/// What the scheduler knows of claims, and of the devices that there are.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// By namespace/name.
    claims: HashMap<String, Arc<ResourceClaim>>,
    classes: BTreeMap<String, Arc<DeviceClass>>,
    pub(super) slices: BTreeMap<String, Arc<ResourceSlice>>,
    /// What was decided but is not seen in the claims yet, by their uids.
    pub(super) promised: HashMap<String, AllocationResult>,
    /// When decisions are made.
    pub(super) now: Timestamp,
    pub(super) selectors: Selectors,
}

/// Namespace and name as in a path.
pub(crate) fn key(meta: &ObjectMeta) -> String {
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

pub(super) fn uid(claim: &ResourceClaim) -> &str {
    claim.metadata.uid.as_deref().unwrap_or_default()
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

    /// The class of this name.
    pub(super) fn class(&self, name: &str) -> Option<&DeviceClass> {
        self.classes.get(name).map(AsRef::as_ref)
    }

    /// The allocations that there are, those that are only promised included.
    pub(super) fn allocations(&self) -> impl Iterator<Item = &AllocationResult> {
        let known = self.claims.values().filter_map(|claim| claim.status.as_ref()?.allocation.as_ref());
        known.chain(self.promised.values())
    }

    /// The claims of a pod.
    pub(super) fn claims_of(&self, pod: &Pod) -> Result<Vec<&Arc<ResourceClaim>>, Obstacle> {
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
