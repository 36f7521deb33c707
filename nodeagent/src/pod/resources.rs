//! Requests and limits as cgroup settings.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use mainstay_api::quantity::Quantity;
use mainstay_proto::cri::LinuxContainerResources;

use crate::plan::{Qos, qos_of};

/// The scheduling period of CPU quotas, in microseconds.
const PERIOD: i64 = 100_000;
/// Smallest weight and quota that the kernel takes.
const MIN_SHARES: i64 = 2;
const MIN_QUOTA: i64 = 1_000;

/// A named request or limit, in thousandths for CPU.
fn amount(container: &Container, limit: bool, key: &str) -> Option<Quantity> {
    let resources = container.resources.as_ref()?;
    let map = if limit { resources.limits.as_ref() } else { resources.requests.as_ref() };
    Quantity::parse(&map?.get(key)?.0).ok()
}

/// What the runtime is to enforce for a container.
pub(crate) fn linux_resources(spec: &PodSpec, container: &Container, node_memory: u64) -> LinuxContainerResources {
    let cpu_limit = amount(container, true, "cpu").map_or(0, |q| q.milli_value());
    let cpu_request = amount(container, false, "cpu").map_or(cpu_limit, |q| q.milli_value());
    let memory = amount(container, true, "memory").map_or(0, |q| q.value());
    LinuxContainerResources {
        cpu_shares: (cpu_request * 1024 / 1000).max(MIN_SHARES),
        cpu_period: if cpu_limit > 0 { PERIOD } else { 0 },
        cpu_quota: if cpu_limit > 0 { (cpu_limit * PERIOD / 1000).max(MIN_QUOTA) } else { 0 },
        memory_limit_in_bytes: memory,
        memory_swap_limit_in_bytes: memory,
        oom_score_adj: oom_score(spec, container, node_memory),
        ..LinuxContainerResources::default()
    }
}

/// Who dies first when the node is out of memory: BestEffort, then who asked for least.
fn oom_score(spec: &PodSpec, container: &Container, node_memory: u64) -> i64 {
    match qos_of(spec) {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let request = amount(container, false, "memory").map_or(0, |q| q.value());
            let capacity = i64::try_from(node_memory).unwrap_or(i64::MAX).max(1);
            let share = i128::from(request) * 1000 / i128::from(capacity);
            (1000 - i64::try_from(share).unwrap_or(1000)).clamp(3, 999)
        }
    }
}

/// The cgroup that holds a pod's containers.
pub(crate) fn cgroup_parent(root: &str, spec: &PodSpec, uid: &str) -> String {
    match qos_of(spec) {
        Qos::Guaranteed => format!("{root}/pod{uid}"),
        Qos::Burstable => format!("{root}/burstable/pod{uid}"),
        Qos::BestEffort => format!("{root}/besteffort/pod{uid}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(resources: serde_json::Value) -> PodSpec {
        serde_json::from_value(json!({"containers": [{"name": "c", "resources": resources}]})).unwrap()
    }

    #[test]
    fn limits_become_quota_and_memory() {
        let spec =
            spec(json!({"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1500m", "memory": "128Mi"}}));
        let set = linux_resources(&spec, &spec.containers[0], 1 << 30);
        assert_eq!((set.cpu_shares, set.cpu_quota, set.cpu_period), (256, 150_000, 100_000));
        assert_eq!((set.memory_limit_in_bytes, set.oom_score_adj), (128 << 20, 938));
    }

    #[test]
    fn a_pod_without_requests_is_best_effort() {
        let spec = spec(json!({}));
        let set = linux_resources(&spec, &spec.containers[0], 1 << 30);
        assert_eq!((set.cpu_shares, set.cpu_quota, set.oom_score_adj), (2, 0, 1000));
        assert_eq!(cgroup_parent("/n/kubepods", &spec, "u"), "/n/kubepods/besteffort/podu");
    }

    #[test]
    fn equal_requests_and_limits_are_guaranteed() {
        let spec =
            spec(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}));
        assert_eq!(qos_of(&spec).as_str(), "Guaranteed");
    }
}
