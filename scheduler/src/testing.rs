//! Objects for tests, from their JSON.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::pod::PodInfo;

/// A pod named "p" in "default" with this spec.
pub(crate) fn pod(spec: &str) -> Pod {
    named_pod("p", &json!({}), spec)
}

/// A pod with a name and labels; its uid is its name.
pub(crate) fn named_pod(name: &str, labels: &Value, spec: &str) -> Pod {
    let mut spec: Value = serde_json::from_str(spec).unwrap();
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "c"}]);
    }
    let metadata = json!({"name": name, "namespace": "default", "uid": name, "labels": labels});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// A node with labels, room for 4 cores, 8 GiB and 110 pods, and further members of its spec.
pub(crate) fn node(name: &str, labels: &Value, spec: &Value) -> Node {
    let allocatable = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let object =
        json!({"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": allocatable}});
    serde_json::from_value(object).unwrap()
}

/// What the scheduler knows when there are these nodes and these pods on them.
pub(crate) fn cache(nodes: Vec<Node>, pods: Vec<Pod>) -> Cache {
    let mut cache = Cache::default();
    for node in nodes {
        cache.set_node(Arc::new(node));
    }
    for pod in pods {
        cache.set_pod(&Arc::new(pod));
    }
    cache
}

/// A pod as filters and scores see it.
pub(crate) fn info(pod: Pod) -> PodInfo {
    PodInfo::new(Arc::new(pod))
}
