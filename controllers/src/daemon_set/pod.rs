//! A daemon set's pod for one node: the template, bound to the node by affinity, and bearing what ails the node.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration};

use crate::history::REVISION_LABEL;
use crate::meta::{annotation, controller_reference, name, namespace};
use crate::pod::{from_template, node_name};

const GENERATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";
/// Taints that follow from a node's state: daemons stay, and start, in spite of them.
const BORNE: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The revision that a pod was made from.
pub(super) fn hash(pod: &Pod) -> &str {
    pod.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).map_or("", String::as_str)
}

/// The pod for a node.
pub(super) fn for_node(set: &DaemonSet, node: &str, hash: &str) -> Option<Pod> {
    let template = &set.spec.as_ref()?.template;
    let (space, own) = (namespace(&set.metadata), name(&set.metadata));
    let mut pod = from_template(template, space, own, controller_reference(set));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.into(), hash.into());
    if let Some(generation) = annotation(&set.metadata, GENERATION) {
        labels.insert(GENERATION_LABEL.into(), generation.into());
    }
    let spec = pod.spec.get_or_insert_default();
    spec.tolerations = Some(tolerations(spec));
    bind(spec, node);
    Some(pod)
}

/// The pod's own and those that daemons have.
pub(super) fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut all = spec.tolerations.clone().unwrap_or_default();
    let network = (spec.host_network == Some(true)).then_some(NETWORK);
    for (key, effect) in BORNE.into_iter().chain(network) {
        let toleration = Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Toleration::default()
        };
        if !all.contains(&toleration) {
            all.push(toleration);
        }
    }
    all
}

/// The scheduler then has one node to choose from.
fn bind(spec: &mut PodSpec, node: &str) {
    let field =
        NodeSelectorRequirement { key: "metadata.name".into(), operator: "In".into(), values: Some(vec![node.into()]) };
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    let required = affinity.required_during_scheduling_ignored_during_execution.take().unwrap_or_default();
    let mut terms = required.node_selector_terms;
    if terms.is_empty() {
        terms.push(NodeSelectorTerm::default());
    }
    for term in &mut terms {
        term.match_fields = Some(vec![field.clone()]);
    }
    affinity.required_during_scheduling_ignored_during_execution = Some(NodeSelector { node_selector_terms: terms });
}

/// The node that a pod is on or is meant for.
pub(super) fn target(pod: &Pod) -> Option<String> {
    if !node_name(pod).is_empty() {
        return Some(node_name(pod).to_owned());
    }
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|t| t.match_fields.iter().flatten());
    let mut names = fields.filter(|f| f.key == "metadata.name" && f.operator == "In");
    names.find_map(|f| f.values.as_ref()?.first().cloned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_meant_for_its_node() {
        let set: DaemonSet = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "x"},
            "spec": {"selector": {}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}},
        }))
        .unwrap();
        let pod = for_node(&set, "n1", "h").unwrap();
        assert_eq!((target(&pod).as_deref(), hash(&pod)), (Some("n1"), "h"));
        assert_eq!(pod.spec.unwrap().tolerations.unwrap().len(), BORNE.len());
    }
}
