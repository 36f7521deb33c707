//! What the scheduler knows of the cluster: nodes, and the pods that are on them or about to be.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, PodAffinityTerm};
use mainstay_api::selector::LabelSelector;

use crate::resources::Resources;
use crate::terms::{PodTerm, Terms};

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

/// A node and what is on it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node.
    pub node: Arc<Node>,
    /// What it offers.
    pub allocatable: Resources,
    /// What its pods take.
    pub requested: Resources,
    /// What its pods count as in scores.
    pub score_requested: Resources,
    /// Its pods, by uid.
    pub pods: BTreeMap<String, Arc<PodInfo>>,
}

impl NodeInfo {
    fn new(node: Arc<Node>) -> Self {
        Self {
            allocatable: Resources::allocatable(&node),
            node,
            requested: Resources::default(),
            score_requested: Resources::default(),
            pods: BTreeMap::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.node.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        static NONE: Labels = Labels::new();
        self.node.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    /// What is left for further pods.
    #[must_use]
    pub fn free(&self) -> Resources {
        let mut free = self.allocatable.clone();
        free.remove(&self.requested);
        free
    }

    fn add(&mut self, pod: Arc<PodInfo>) {
        self.take(pod.uid());
        self.requested.add(&pod.request);
        self.score_requested.add(&pod.score_request);
        self.pods.insert(pod.uid().to_owned(), pod);
    }

    fn take(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(uid)?;
        self.requested.remove(&pod.request);
        self.score_requested.remove(&pod.score_request);
        Some(pod)
    }

    /// The same node without some of its pods.
    #[must_use]
    pub fn without(&self, uids: &[&str]) -> Self {
        let mut copy = self.clone();
        for uid in uids {
            copy.take(uid);
        }
        copy
    }
}

/// Nodes, their pods, and the labels of namespaces. Pods that have been given a node count there at once ("assumed"),
/// before the API has confirmed it.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    /// Pods whose node is not known (yet), by that node's name.
    homeless: HashMap<String, BTreeMap<String, Arc<PodInfo>>>,
    /// Where each pod counts, by uid.
    places: HashMap<String, String>,
    namespaces: HashMap<String, Labels>,
}

impl Cache {
    /// The nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values()
    }

    /// How many nodes there are.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(name)
    }

    /// The pods on all nodes, each with its node.
    pub fn pods(&self) -> impl Iterator<Item = (&NodeInfo, &PodInfo)> {
        self.nodes.values().flat_map(|node| node.pods.values().map(move |pod| (node, pod.as_ref())))
    }

    /// Adds or changes a node.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let mut info = NodeInfo::new(node);
        let pods = match self.nodes.remove(&name) {
            Some(old) => old.pods,
            None => self.homeless.remove(&name).unwrap_or_default(),
        };
        for pod in pods.into_values() {
            info.add(pod);
        }
        self.nodes.insert(name, info);
    }

    /// Forgets a node; its pods are kept in case it comes back.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.remove(name).filter(|info| !info.pods.is_empty()) {
            self.homeless.insert(name.to_owned(), info.pods);
        }
    }

    /// Counts a pod on the node that its spec names.
    pub fn set_pod(&mut self, pod: &Arc<Pod>) {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        self.place(Arc::new(PodInfo::new(pod.clone())), &node);
    }

    /// Counts a pod on a node that it is about to be bound to.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.place(pod, node);
    }

    fn place(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove_pod(pod.uid());
        self.places.insert(pod.uid().to_owned(), node.to_owned());
        match self.nodes.get_mut(node) {
            Some(info) => info.add(pod),
            None => {
                self.homeless.entry(node.to_owned()).or_default().insert(pod.uid().to_owned(), pod);
            }
        }
    }

    /// Forgets a pod. Returns whether it was known.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(node) = self.places.remove(uid) else { return false };
        if let Some(info) = self.nodes.get_mut(&node) {
            info.take(uid);
        }
        if let Some(pods) = self.homeless.get_mut(&node) {
            pods.remove(uid);
            if pods.is_empty() {
                self.homeless.remove(&node);
            }
        }
        true
    }

    /// Adds or changes a namespace's labels.
    pub fn set_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.to_owned(), labels);
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Whether a term about other pods speaks of this pod.
    #[must_use]
    pub fn matches(&self, term: &PodTerm, pod: &PodInfo) -> bool {
        term.selects(pod, |namespace, selector: &LabelSelector| {
            self.namespaces.get(namespace).is_some_and(|labels| selector.matches(labels))
        })
    }
}

/// A term of the API together with its weight, where it is a preference.
pub(crate) type Weighted<'a> = (i32, &'a PodAffinityTerm);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cache, node, pod};

    #[test]
    fn pods_count_where_they_are_and_stop_counting_when_gone() {
        let bound = pod(r#"{"nodeName":"n1","containers":[{"name":"c","resources":{"requests":{"cpu":"1"}}}]}"#);
        let mut cache = cache(vec![node("n1", &json!({}), &json!({}))], vec![bound]);
        assert_eq!(cache.node("n1").unwrap().free().milli_cpu, 3000);
        assert!(cache.remove_pod("p"));
        assert_eq!(cache.node("n1").unwrap().free().milli_cpu, 4000);
        assert!(!cache.remove_pod("p"));
    }

    #[test]
    fn a_pod_seen_before_its_node_counts_once_the_node_comes() {
        let mut cache = cache(vec![], vec![pod(r#"{"nodeName":"n1"}"#)]);
        cache.set_node(Arc::new(node("n1", &json!({}), &json!({}))));
        assert_eq!(cache.node("n1").unwrap().requested.pods, 1);
        cache.remove_node("n1");
        cache.set_node(Arc::new(node("n1", &json!({}), &json!({}))));
        assert_eq!(cache.node("n1").unwrap().requested.pods, 1);
    }

    #[test]
    fn ports_conflict_by_address() {
        let port = |address: &str| HostPort { protocol: "TCP".into(), address: address.into(), port: 80 };
        assert!(port("").conflicts_with(&port("10.0.0.1")));
        assert!(!port("10.0.0.1").conflicts_with(&port("10.0.0.2")));
    }
}
