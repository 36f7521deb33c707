//! Taints: a node keeps away pods that do not tolerate it
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).

use k8s_openapi::api::core::v1::{PodSpec, Taint};
use mainstay_api::placement;

use super::{Refusal, Rule};
use crate::cache::NodeInfo;

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

pub(super) fn check(spec: &PodSpec, node: &NodeInfo) -> Result<(), Refusal> {
    let hard = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    if taints(node).filter(hard).all(|taint| tolerated(spec, taint)) {
        return Ok(());
    }
    Err(Refusal::final_because(Rule::Taints, "node(s) had untolerated taint(s)"))
}

/// How many taints of the kind "rather not" the pod does not tolerate.
pub(crate) fn unwanted(spec: &PodSpec, node: &NodeInfo) -> usize {
    taints(node).filter(|taint| taint.effect == "PreferNoSchedule" && !tolerated(spec, taint)).count()
}

/// A cordoned node counts as one with this taint.
pub(super) fn tolerates_unschedulable(spec: &PodSpec) -> bool {
    let cordon = Taint { key: UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
    tolerated(spec, &cordon)
}

fn taints(node: &NodeInfo) -> impl Iterator<Item = &Taint> {
    node.node.spec.iter().flat_map(|spec| spec.taints.iter().flatten())
}

fn tolerated(spec: &PodSpec, taint: &Taint) -> bool {
    placement::tolerated(spec.tolerations.as_deref().unwrap_or_default(), taint)
}
