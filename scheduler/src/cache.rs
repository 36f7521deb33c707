//! What the scheduler knows of the cluster: nodes, and the pods that are on them or about to be.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use mainstay_api::selector::LabelSelector;

use crate::devices::Devices;
use crate::pod::{Labels, PodInfo, has_node};
use crate::resources::Resources;
use crate::terms::PodTerm;

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

/// Nodes, their pods, the labels of namespaces, and devices. Pods that have been given a node count there at once ("assumed"),
/// before the API has confirmed it.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    /// Pods whose node is not known (yet), by that node's name.
    homeless: HashMap<String, BTreeMap<String, Arc<PodInfo>>>,
    /// Where each pod counts, by uid.
    places: HashMap<String, String>,
    namespaces: HashMap<String, Labels>,
    devices: Devices,
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

    /// A pod that counts on a node, but is not known to be bound to it.
    #[must_use]
    pub fn assumed(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        let node = self.places.get(uid)?;
        let pods = match self.nodes.get(node) {
            Some(info) => &info.pods,
            None => self.homeless.get(node)?,
        };
        pods.get(uid).filter(|pod| !has_node(&pod.pod))
    }

    /// Devices, and the claims of them.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The same, to be changed.
    pub fn devices_mut(&mut self) -> &mut Devices {
        &mut self.devices
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
        term.selects(pod.namespace(), pod.labels(), |namespace, selector: &LabelSelector| {
            self.namespaces.get(namespace).is_some_and(|labels| selector.matches(labels))
        })
    }
}

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
    fn pods_are_assumed_until_they_are_bound_wherever_their_node_is() {
        let mut cache = cache(vec![node("n1", &json!({}), &json!({}))], vec![]);
        cache.assume(Arc::new(PodInfo::new(Arc::new(pod("{}")))), "n1");
        assert!(cache.assumed("p").is_some());
        cache.remove_node("n1");
        assert!(cache.assumed("p").is_some());
        cache.set_pod(&Arc::new(pod(r#"{"nodeName":"n1"}"#)));
        assert!(cache.assumed("p").is_none());
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
}
