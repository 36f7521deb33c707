//! Taints: a node keeps away pods that do not tolerate it
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).

use k8s_openapi::api::core::v1::{PodSpec, Taint, Toleration};

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
    spec.tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let same = |own: &Option<String>, other: &str| own.as_deref().is_none_or(|own| own.is_empty() || own == other);
    if !same(&toleration.effect, &taint.effect) || !same(&toleration.key, &taint.key) {
        return false;
    }
    let own = toleration.value.as_deref().unwrap_or_default();
    let theirs = taint.value.as_deref().unwrap_or_default();
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => own == theirs && toleration.key.as_deref().is_some_and(|key| !key.is_empty()),
        "Exists" => true,
        "Lt" => compared(theirs, own, |a, b| a < b),
        "Gt" => compared(theirs, own, |a, b| a > b),
        _ => false,
    }
}

fn compared(taint: &str, toleration: &str, holds: impl Fn(i64, i64) -> bool) -> bool {
    matches!((taint.parse(), toleration.parse()), (Ok(a), Ok(b)) if holds(a, b))
}
