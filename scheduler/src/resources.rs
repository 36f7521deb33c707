//! Amounts of resources, and what a pod asks for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use mainstay_api::quantity::Quantity;

/// What a container that asks for no CPU counts as in scores, in thousandths of a core.
const DEFAULT_MILLI_CPU: i64 = 100;
/// What a container that asks for no memory counts as in scores, in bytes.
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

type Wire = BTreeMap<String, WireQuantity>;

/// Amounts by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes of local storage.
    pub ephemeral_storage: i64,
    /// Pods, whatever they ask for.
    pub pods: i64,
    /// Everything else, such as devices, in units.
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a list such as `requests` or `allocatable`; what cannot be read counts as nothing.
    #[must_use]
    pub fn from_wire(list: &Wire) -> Self {
        let mut amounts = Self::default();
        for (name, quantity) in list {
            let Ok(quantity) = Quantity::parse(&quantity.0) else { continue };
            match name.as_str() {
                "cpu" => amounts.milli_cpu = quantity.milli_value(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.ephemeral_storage = quantity.value(),
                "pods" => amounts.pods = quantity.value(),
                _ => {
                    amounts.extended.insert(name.clone(), quantity.value());
                }
            }
        }
        amounts
    }

    /// What a node offers to pods.
    #[must_use]
    pub fn allocatable(node: &Node) -> Self {
        let status = node.status.as_ref();
        let list = status.and_then(|s| s.allocatable.as_ref().or(s.capacity.as_ref()));
        list.map(Self::from_wire).unwrap_or_default()
    }

    /// What a pod needs: the larger of what runs together and what its init containers need on the way, plus overhead.
    /// Init containers that restart always (sidecars) keep running and count to all that come after them
    /// (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>).
    #[must_use]
    pub fn of_pod(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        Self { pods: 1, ..sum_of(spec, Self::of_container) }
    }

    /// The same for scores, where a container that asks for nothing still counts for something.
    #[must_use]
    pub fn of_pod_for_scores(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        sum_of(spec, |container| {
            let mut request = Self::of_container(container);
            let asks = |name: &str| requests(container).is_some_and(|list| list.contains_key(name));
            if !asks("cpu") {
                request.milli_cpu = DEFAULT_MILLI_CPU;
            }
            if !asks("memory") {
                request.memory = DEFAULT_MEMORY;
            }
            request
        })
    }

    fn of_container(container: &Container) -> Self {
        requests(container).map(Self::from_wire).unwrap_or_default()
    }

    /// Adds another amount.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a.saturating_add(b));
    }

    /// Takes another amount away.
    pub fn remove(&mut self, other: &Self) {
        self.combine(other, |a, b| a.saturating_sub(b));
    }

    fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        self.pods = with(self.pods, other.pods);
        for (name, amount) in &other.extended {
            let own = self.extended.entry(name.clone()).or_default();
            *own = with(*own, *amount);
        }
    }

    /// The names of what does not fit into `free`, in Kubernetes' order: pods, then the named resources.
    #[must_use]
    pub fn exceeding(&self, free: &Self) -> Vec<String> {
        let mut exceeded = Vec::new();
        if self.pods > free.pods {
            exceeded.push("Too many pods".to_owned());
        }
        let named = [
            ("cpu", self.milli_cpu, free.milli_cpu),
            ("memory", self.memory, free.memory),
            ("ephemeral-storage", self.ephemeral_storage, free.ephemeral_storage),
        ];
        let extended = self
            .extended
            .iter()
            .map(|(name, wanted)| (name.as_str(), *wanted, free.extended.get(name).copied().unwrap_or_default()));
        for (name, wanted, free) in named.into_iter().chain(extended) {
            if wanted > 0 && wanted > free {
                exceeded.push(format!("Insufficient {name}"));
            }
        }
        exceeded
    }
}

fn requests(container: &Container) -> Option<&Wire> {
    container.resources.as_ref()?.requests.as_ref()
}

fn sum_of(spec: &PodSpec, of_container: impl Fn(&Container) -> Resources) -> Resources {
    let mut running = Resources::default();
    let mut peak = Resources::default();
    for init in spec.init_containers.iter().flatten() {
        let mut needed = of_container(init);
        if init.restart_policy.as_deref() == Some("Always") {
            running.add(&needed);
        } else {
            needed.add(&running);
            peak.raise_to(&needed);
        }
    }
    for container in &spec.containers {
        running.add(&of_container(container));
    }
    running.raise_to(&peak);
    if let Some(overhead) = &spec.overhead {
        running.add(&Resources::from_wire(overhead));
    }
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn init_containers_count_only_where_they_need_more() {
        let pod = pod(r#"{"initContainers":[{"name":"i","resources":{"requests":{"cpu":"3","memory":"1Mi"}}}],
            "containers":[{"name":"a","resources":{"requests":{"cpu":"1","memory":"64Mi"}}},
                          {"name":"b","resources":{"requests":{"cpu":"500m"}}}]}"#);
        let request = Resources::of_pod(&pod);
        assert_eq!((request.milli_cpu, request.memory, request.pods), (3000, 64 << 20, 1));
    }

    #[test]
    fn sidecars_add_to_everything_after_them() {
        let pod = pod(r#"{"initContainers":[
              {"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}},
              {"name":"i","resources":{"requests":{"cpu":"2"}}}],
            "containers":[{"name":"a","resources":{"requests":{"cpu":"1500m"}}}],"overhead":{"cpu":"100m"}}"#);
        assert_eq!(Resources::of_pod(&pod).milli_cpu, 3100);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let pod = pod(r#"{"containers":[{"name":"a","resources":{"requests":{"cpu":"2","example.com/gpu":"1"}}}]}"#);
        let free = Resources { milli_cpu: 1000, memory: 1, ..Resources::default() };
        let exceeded = Resources::of_pod(&pod).exceeding(&free);
        assert_eq!(exceeded, ["Too many pods", "Insufficient cpu", "Insufficient example.com/gpu"]);
    }

    #[test]
    fn scores_count_a_pod_that_asks_for_nothing() {
        let request = Resources::of_pod_for_scores(&pod(r#"{"containers":[{"name":"a"}]}"#));
        assert_eq!((request.milli_cpu, request.memory), (DEFAULT_MILLI_CPU, DEFAULT_MEMORY));
    }
}
