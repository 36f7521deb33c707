//! The taints that a node's state asks for.

use k8s_openapi::api::core::v1::{Node, Taint};

pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// A condition, its status, and the taint that follows from it.
const PRESSURES: [(&str, &str, &str); 4] = [
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

pub(super) fn current_taints(node: &Node) -> Vec<Taint> {
    node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default()
}

/// Says that the node is not ready.
pub(super) fn is_lifecycle(taint: &Taint) -> bool {
    taint.key == NOT_READY || taint.key == UNREACHABLE
}

/// The node's taints if they are to change. `evict`: whether its pods are to go.
pub(super) fn taints(node: &Node, ready: &str, evict: Option<bool>) -> Option<Vec<Taint>> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let key = match ready {
        "True" => None,
        "Unknown" => Some(UNREACHABLE),
        _ => Some(NOT_READY),
    };
    if let Some(key) = key {
        wanted.push((key, "NoSchedule"));
        if evict == Some(true) {
            wanted.push((key, "NoExecute"));
        }
    }
    wanted.extend(pressures(node).into_iter().map(|key| (key, "NoSchedule")));
    if node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        wanted.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    let old = current_taints(node);
    let mut new: Vec<Taint> = old.iter().filter(|t| !is_managed(t) || wanted.contains(&of(t))).cloned().collect();
    for (key, effect) in wanted {
        if !new.iter().any(|t| of(t) == (key, effect)) {
            new.push(Taint { key: key.into(), effect: effect.into(), ..Default::default() });
        }
    }
    (new != old).then_some(new)
}

fn of(taint: &Taint) -> (&str, &str) {
    (taint.key.as_str(), taint.effect.as_str())
}

/// Taints that follow from the node's state; all others are somebody's decision.
fn is_managed(taint: &Taint) -> bool {
    let by_condition = PRESSURES.iter().any(|(_, _, key)| *key == taint.key);
    let cordon = taint.key == "node.kubernetes.io/unschedulable";
    is_lifecycle(taint) || ((by_condition || cordon) && taint.effect == "NoSchedule")
}

fn pressures(node: &Node) -> Vec<&'static str> {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let holds =
        |kind: &str, status: &str| conditions.into_iter().flatten().any(|c| c.type_ == kind && c.status == status);
    PRESSURES.iter().filter(|(kind, status, _)| holds(kind, status)).map(|(_, _, key)| *key).collect()
}
