//! What quotas count of claims.

use std::collections::BTreeMap;

use k8s_openapi::api::resource::v1::{DeviceRequest, ResourceClaim};

/// Devices of a claim at the most.
const RESULTS_MAX: i64 = 32;

/// The devices that a claim may get, under all names that quotas have for their classes; `extended` says as which extended
/// resource a class is known.
pub fn cost(claim: &ResourceClaim, extended: impl Fn(&str) -> Option<String>) -> BTreeMap<String, i64> {
    let mut cost = BTreeMap::new();
    for (class, count) in of_classes(claim) {
        cost.extend(extended(class).map(|name| (format!("requests.{name}"), count)));
        cost.insert(format!("requests.deviceclass.resource.kubernetes.io/{class}"), count);
        cost.insert(format!("{class}.deviceclass.resource.k8s.io/devices"), count);
    }
    cost
}

fn of_classes(claim: &ResourceClaim) -> BTreeMap<&str, i64> {
    let mut all: BTreeMap<&str, i64> = BTreeMap::new();
    let requests = claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
    for (class, count) in requests.flat_map(of_request) {
        let sum = all.entry(class).or_default();
        *sum = sum.saturating_add(count);
    }
    all
}

/// Of alternatives, the one that takes most of a class.
fn of_request(request: &DeviceRequest) -> BTreeMap<&str, i64> {
    let exactly = request.exactly.iter().map(|one| (&one.device_class_name, &one.allocation_mode, one.count));
    let ways = request.first_available.iter().flatten();
    let all = exactly.chain(ways.map(|one| (&one.device_class_name, &one.allocation_mode, one.count)));
    let mut most = BTreeMap::new();
    for (class, mode, count) in all {
        let count = match mode.as_deref() {
            Some("All") => RESULTS_MAX,
            _ => count.unwrap_or(1),
        };
        let known = most.entry(class.as_str()).or_insert(count);
        *known = count.max(*known);
    }
    most
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_add_up_and_of_alternatives_the_largest_counts() {
        let ways = json!([{"name": "x", "deviceClassName": "gpu", "count": 2}, {"name": "y", "deviceClassName": "gpu", "count": 3},
            {"name": "z", "deviceClassName": "nic", "allocationMode": "All"}]);
        let claim: ResourceClaim =
            serde_json::from_value(json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
                {"name": "a", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 4}},
                {"name": "b", "firstAvailable": ways},
            ]}}}))
            .unwrap();
        let cost = cost(&claim, |class| (class == "gpu").then(|| "example.com/gpu".to_owned()));
        let expected = [
            ("gpu.deviceclass.resource.k8s.io/devices", 7),
            ("nic.deviceclass.resource.k8s.io/devices", 32),
            ("requests.deviceclass.resource.kubernetes.io/gpu", 7),
            ("requests.deviceclass.resource.kubernetes.io/nic", 32),
            ("requests.example.com/gpu", 7),
        ];
        assert_eq!(cost, BTreeMap::from(expected.map(|(name, count)| (name.to_owned(), count))));
    }
}
