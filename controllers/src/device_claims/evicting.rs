//! Deletes pods whose devices have NoExecute taints that their claims do not bear, or not for that long.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{DeviceRequestAllocationResult, DeviceTaint, ResourceClaim, ResourceSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_api::devices;
use mainstay_client::{DeleteOptions, Error, EventRecorder, EventType, Key, Patch, object_key};
use serde_json::json;

use super::claim_keys;
use crate::claim::absent_is_fine;
use crate::meta::{elapsed, name, namespace, states, uid};
use crate::pod::{is_active, node_name};
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_POOL, Informers, World};

/// Keys are claims.
pub(crate) struct DeviceEviction {
    world: World,
    events: EventRecorder,
}

impl DeviceEviction {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.device_claims.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, claims) = (queue.clone(), world.device_claims.clone());
        informers.device_slices.on_change(move |change| {
            for pool in states(change).into_iter().flat_map(slice_index) {
                for claim in claims.by_index(BY_POOL, &pool) {
                    keys.add(object_key(&*claim));
                }
            }
        });
        let keys = queue.clone();
        informers.pods.on_change(move |change| {
            let pod = change.object();
            for claim in claim_keys(pod).into_iter().filter(|_| !node_name(pod).is_empty()) {
                keys.add(claim);
            }
        });
        Self { world: world.clone(), events: world.recorder("device-taint-eviction") }
    }

    fn slices_of(&self, claim: &ResourceClaim) -> Vec<Arc<ResourceSlice>> {
        let pools: BTreeSet<String> = claim_index(claim).into_iter().collect();
        pools.iter().flat_map(|pool| self.world.device_slices.by_index(BY_POOL, pool)).collect()
    }

    async fn evict(&self, pod: &Pod) -> Result<(), Error> {
        let api = self.world.api::<Pod>(namespace(&pod.metadata));
        self.events.event(pod, EventType::Normal, "DeviceTaintManagerEviction", "Marking for deletion");
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByDeviceTaintManager",
            "message": "Device Taint manager: deleting due to NoExecute taint", "lastTransitionTime": Time(Timestamp::now()),
        });
        let patch = json!({"metadata": {"uid": uid(&pod.metadata)}, "status": {"conditions": [condition]}});
        absent_is_fine(api.patch_status(name(&pod.metadata), &Patch::Strategic(patch)).await)?;
        absent_is_fine(api.delete(name(&pod.metadata), &DeleteOptions::of_uid(uid(&pod.metadata))).await)?;
        Ok(())
    }
}

#[async_trait]
impl Controller for DeviceEviction {
    fn name(&self) -> &'static str {
        "device-taint-eviction"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(claim) = self.world.device_claims.get(key) else { return Ok(Next::Settled) };
        let Some(end) = end(&claim, &self.slices_of(&claim)) else { return Ok(Next::Settled) };
        let left = elapsed(&Time(Timestamp::now()), end);
        if !left.is_zero() {
            return Ok(Next::maybe(Some(left)));
        }
        for user in devices::users(&claim).filter(|user| user.resource == "pods") {
            let Some(pod) = self.world.pods.find(namespace(&claim.metadata), &user.name) else { continue };
            if uid(&pod.metadata) == user.uid && is_active(&pod) && !node_name(&pod).is_empty() {
                self.evict(&pod).await?;
            }
        }
        Ok(Next::Settled)
    }
}

/// Index values: the pools that a claim has devices of.
pub(crate) fn claim_index(claim: &ResourceClaim) -> Vec<String> {
    devices::results(claim).map(|result| pool(&result.driver, &result.pool)).collect()
}

/// Index values: the pool of a slice.
pub(crate) fn slice_index(slice: &ResourceSlice) -> Vec<String> {
    vec![pool(&slice.spec.driver, &slice.spec.pool.name)]
}

fn pool(driver: &str, name: &str) -> String {
    format!("{driver}/{name}")
}

/// When the users of a claim have to go; `None` if they may stay for good.
fn end(claim: &ResourceClaim, slices: &[Arc<ResourceSlice>]) -> Option<Timestamp> {
    let ends = |result: &DeviceRequestAllocationResult| {
        taints(result, slices).into_iter().filter_map(|taint| end_with(result, taint)).min()
    };
    devices::results(claim).filter_map(ends).min()
}

/// The NoExecute taints of an allocated device, as the newest slices of its pool tell them.
fn taints<'a>(result: &DeviceRequestAllocationResult, slices: &'a [Arc<ResourceSlice>]) -> Vec<&'a DeviceTaint> {
    let same_pool =
        |slice: &&Arc<ResourceSlice>| slice.spec.driver == result.driver && slice.spec.pool.name == result.pool;
    let newest = slices.iter().filter(same_pool).map(|slice| slice.spec.pool.generation).max();
    let current = slices.iter().filter(same_pool).filter(|slice| Some(slice.spec.pool.generation) == newest);
    let all = current.flat_map(|slice| slice.spec.devices.iter().flatten());
    let device = all.filter(|device| device.name == result.device).flat_map(|device| device.taints.iter().flatten());
    device.filter(|taint| taint.effect == "NoExecute").collect()
}

fn end_with(result: &DeviceRequestAllocationResult, taint: &DeviceTaint) -> Option<Timestamp> {
    let bearing: Vec<_> =
        result.tolerations.iter().flatten().filter(|toleration| devices::tolerates(toleration, taint)).collect();
    if bearing.iter().any(|toleration| toleration.toleration_seconds.is_none()) {
        return None;
    }
    let shortest = bearing.iter().filter_map(|toleration| toleration.toleration_seconds).min().unwrap_or(0).max(0);
    let since = taint.time_added.as_ref().map_or(Timestamp::UNIX_EPOCH, |since| since.0);
    // What is beyond all time is for good.
    since.checked_add(SignedDuration::from_secs(shortest)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn claim(tolerations: &Value) -> ResourceClaim {
        let result = json!({"request": "r", "driver": "d", "pool": "p", "device": "a", "tolerations": tolerations});
        serde_json::from_value(json!({
            "metadata": {"name": "c", "namespace": "n"}, "spec": {},
            "status": {"allocation": {"devices": {"results": [result]}}},
        }))
        .unwrap()
    }

    fn slice(generation: i64, taints: &Value) -> Arc<ResourceSlice> {
        let pool = json!({"name": "p", "generation": generation, "resourceSliceCount": 1});
        let spec = json!({"driver": "d", "pool": pool, "devices": [{"name": "a", "taints": taints}, {"name": "b"}]});
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap())
    }

    fn broken() -> Value {
        json!([{"key": "broken", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"},
            {"key": "soft", "effect": "NoSchedule", "timeAdded": "2025-01-01T00:00:00Z"}])
    }

    fn time(tolerations: &Value, slices: &[Arc<ResourceSlice>]) -> Option<String> {
        end(&claim(tolerations), slices).map(|time| time.to_string())
    }

    #[test]
    fn users_go_after_what_their_claim_bears() {
        let slices = [slice(1, &broken())];
        assert_eq!(time(&json!([]), &slices).as_deref(), Some("2026-01-01T00:00:00Z"));
        let forever = json!([{"key": "broken", "operator": "Exists"}]);
        assert_eq!(time(&forever, &slices), None);
        let limited = json!([{"key": "broken", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]);
        assert_eq!(time(&limited, &slices).as_deref(), Some("2026-01-01T00:00:30Z"));
        let other = json!([{"key": "other", "operator": "Exists"}]);
        assert_eq!(time(&other, &slices).as_deref(), Some("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn only_the_newest_slices_count() {
        assert_eq!(time(&json!([]), &[slice(1, &broken()), slice(2, &json!([]))]), None);
        assert_eq!(time(&json!([]), &[]), None);
        assert_eq!(claim_index(&claim(&json!([]))), slice_index(&slice(1, &json!([]))));
    }
}
