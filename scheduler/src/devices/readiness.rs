//! Whether the devices of a claim are ready for a pod to be bound to their node (<https://kep.k8s.io/5007>).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::{AllocatedDeviceStatus, DeviceRequestAllocationResult, ResourceClaim};
use mainstay_api::devices;

/// So long after the allocation the devices have to be ready.
pub(crate) const BINDING_TIMEOUT: Duration = Duration::from_secs(600);

/// What the drivers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// All conditions hold, or there are none.
    Ready,
    /// Some do not hold yet.
    Waiting,
    /// One that must not hold does.
    Failed(String),
}

/// What drivers say of a claim's devices.
pub(crate) fn readiness(claim: &ResourceClaim) -> Readiness {
    if !devices::is_allocated(claim) {
        return Readiness::Waiting;
    }
    let mut ready = Readiness::Ready;
    for result in devices::results(claim).filter(|result| has_conditions(result)) {
        let Some(status) = status_of(claim, result) else {
            ready = Readiness::Waiting;
            continue;
        };
        if let Some(why) = failure(claim, result, status) {
            return Readiness::Failed(why);
        }
        let mut wanted = result.binding_conditions.iter().flatten();
        if !wanted.all(|kind| condition(status, kind).is_some_and(|condition| condition.status == "True")) {
            ready = Readiness::Waiting;
        }
    }
    ready
}

/// Whether a pod has to wait for a claim's devices at all.
pub(crate) fn may_wait(claim: &ResourceClaim) -> bool {
    devices::results(claim).any(has_conditions)
}

/// Whether the devices have had their time.
pub(crate) fn is_overdue(claim: &ResourceClaim, now: Timestamp) -> bool {
    let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let since = allocation.and_then(|allocation| allocation.allocation_timestamp.as_ref());
    let passed = since.and_then(|since| Duration::try_from(now.duration_since(since.0)).ok());
    may_wait(claim) && passed.is_some_and(|passed| passed > BINDING_TIMEOUT)
}

fn has_conditions(result: &DeviceRequestAllocationResult) -> bool {
    result.binding_conditions.as_ref().is_some_and(|conditions| !conditions.is_empty())
}

fn status_of<'a>(
    claim: &'a ResourceClaim,
    result: &DeviceRequestAllocationResult,
) -> Option<&'a AllocatedDeviceStatus> {
    let mut all = claim.status.iter().flat_map(|status| status.devices.iter().flatten());
    all.find(|of| (&of.driver, &of.pool, &of.device) == (&result.driver, &result.pool, &result.device))
}

fn condition<'a>(
    status: &'a AllocatedDeviceStatus,
    kind: &str,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn failure(
    claim: &ResourceClaim,
    result: &DeviceRequestAllocationResult,
    status: &AllocatedDeviceStatus,
) -> Option<String> {
    let kinds = result.binding_failure_conditions.iter().flatten();
    let mut holding = kinds.filter_map(|kind| condition(status, kind)).filter(|condition| condition.status == "True");
    let failed = holding.next()?;
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    Some(format!("claim {name} binding failed: reason={}, message={:?}", failed.reason, failed.message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(conditions: Value) -> ResourceClaim {
        let result = json!({"request": "r", "driver": "d", "pool": "p", "device": "a",
            "bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]});
        let said = json!({"driver": "d", "pool": "p", "device": "a", "conditions": conditions});
        let allocation = json!({"devices": {"results": [result]}, "allocationTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({
            "metadata": {"name": "c"}, "spec": {}, "status": {"allocation": allocation, "devices": [said]},
        }))
        .unwrap()
    }

    fn holds(kind: &str, status: &str) -> Value {
        json!([{"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    }

    #[test]
    fn devices_are_ready_when_their_drivers_say_so() {
        assert_eq!(readiness(&claim(json!([]))), Readiness::Waiting);
        assert_eq!(readiness(&claim(holds("ready", "False"))), Readiness::Waiting);
        assert_eq!(readiness(&claim(holds("ready", "True"))), Readiness::Ready);
        let failed = Readiness::Failed("claim c binding failed: reason=R, message=\"m\"".to_owned());
        assert_eq!(readiness(&claim(holds("failed", "True"))), failed);
    }

    #[test]
    fn devices_have_ten_minutes() {
        let claim = claim(json!([]));
        assert!(may_wait(&claim));
        assert!(!is_overdue(&claim, "2026-01-01T00:10:00Z".parse().unwrap()));
        assert!(is_overdue(&claim, "2026-01-01T00:10:01Z".parse().unwrap()));
    }
}
