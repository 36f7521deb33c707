//! A pod as filters and scores see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::resources::Resources;
use crate::terms::Terms;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A pod with what filters and scores ask of it, computed once.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it needs.
    pub request: Resources,
    /// What it counts as in scores.
    pub score_request: Resources,
    /// Ports that it wants of its node: protocol, address, port.
    pub host_ports: Vec<HostPort>,
    /// Its rules about other pods.
    pub terms: Terms,
}

/// A port of the node that a pod occupies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    protocol: String,
    address: String,
    port: i32,
}

impl HostPort {
    /// Whether both cannot be on one node: an unspecified address takes the port on all.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let any = |address: &str| address.is_empty() || address == "0.0.0.0";
        let same_address = self.address == other.address || any(&self.address) || any(&other.address);
        self.port == other.port && self.protocol == other.protocol && same_address
    }
}

impl PodInfo {
    /// Computes what is asked later.
    #[must_use]
    pub fn new(pod: Arc<Pod>) -> Self {
        Self {
            request: Resources::of_pod(&pod),
            score_request: Resources::of_pod_for_scores(&pod),
            host_ports: host_ports(&pod),
            terms: Terms::of(&pod),
            pod,
        }
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        static NONE: Labels = Labels::new();
        self.pod.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    /// The uid of the controller that owns it.
    #[must_use]
    pub fn controller(&self) -> Option<&str> {
        let owners = self.pod.metadata.owner_references.as_ref()?;
        owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
    }

    /// Its priority; 0 where none is set.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default()
    }
}

/// Whether a pod has been given its node, as far as the API knows.
pub(crate) fn has_node(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|name| !name.is_empty())
}

fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            Some(HostPort { protocol, address: port.host_ip.clone().unwrap_or_default(), port: number })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_conflict_by_address() {
        let port = |address: &str| HostPort { protocol: "TCP".into(), address: address.into(), port: 80 };
        assert!(port("").conflicts_with(&port("10.0.0.1")));
        assert!(!port("10.0.0.1").conflicts_with(&port("10.0.0.2")));
    }
}
