use serde_json::json;

use super::testing::{Asking, judged};
use super::*;
use crate::strategy::testing::Objects;

#[test]
fn labels_of_kubernetes_are_not_the_agents() {
    for own in ["disk", "example.com/x", "kubernetes.io/hostname", "node.kubernetes.io/x", "a.kubelet.kubernetes.io/x"]
    {
        assert!(is_own(own), "{own}");
    }
    for other in ["kubernetes.io/x", "x.k8s.io/y", "node-restriction.kubernetes.io/z"] {
        assert!(!is_own(other), "{other}");
    }
    let labels = |value: Value| value.as_object().cloned();
    let (new, old) = (labels(json!({"kubernetes.io/a": "1", "b": "2"})), labels(json!({"x.k8s.io/y": "3"})));
    assert_eq!(not_own(new.as_ref(), old.as_ref()), ["kubernetes.io/a", "x.k8s.io/y"]);
}

#[test]
fn a_reference_is_found_wherever_it_is() {
    let spec = json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s"}}}]}]});
    assert!(mentions(&spec, &["secretKeyRef"]));
    assert!(!mentions(&spec, &["configMapKeyRef"]));
}

#[test]
fn what_is_not_there_is_told_as_such() {
    let evicts = |objects: Objects| {
        judged(&Asking {
            place: ("", "pods", "eviction"),
            operation: Operation::Create,
            name: "p",
            object: json!({"metadata": {"name": "p"}}),
            objects,
        })
    };
    assert_eq!(evicts(Objects::default()), Err(Refusal::Missing("pod", "p".to_owned())));
    let pod = |node: &str| json!({"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": node}});
    assert_eq!(evicts(Objects(vec![("", "pods", pod("n"))])), Ok(()));
    let why = "node n can only evict pods with spec.nodeName set to itself".to_owned();
    assert_eq!(evicts(Objects(vec![("", "pods", pod("m"))])), Err(Refusal::Forbidden(why)));
}

#[test]
fn a_mirror_pod_is_owned_by_the_node_that_there_is() {
    let makes = |objects: Objects| {
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1", "controller": true});
        judged(&Asking {
            place: ("", "pods", ""),
            operation: Operation::Create,
            name: "p",
            object: json!({
                "metadata": {"name": "p", "annotations": {MIRROR: "x"}, "ownerReferences": [owner]},
                "spec": {"nodeName": "n"},
            }),
            objects,
        })
    };
    assert_eq!(makes(Objects::default()), Err(Refusal::Missing("node", "n".to_owned())));
    let node = |uid: &str| Objects(vec![("", "nodes", json!({"metadata": {"name": "n", "uid": uid}}))]);
    assert_eq!(makes(node("1")), Ok(()));
    let why = "node n UID mismatch: expected 1 got 2".to_owned();
    assert_eq!(makes(node("2")), Err(Refusal::Forbidden(why)));
}
