//! What a verdict changes about a node: its condition, its taints, its pods.

use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

use super::liveness::Verdict;
use super::taints::{current_taints, is_lifecycle, taints};

/// Set here and taken back here; a condition with another reason is the agent's.
const SILENT: &str = "NodeStatusUnknown";
/// The kubelet's reason; with this message it is set here and taken back here, with more words it is the agent's.
const NOT_READY_REASON: &str = "KubeletNotReady";
const RUNTIME_DOWN: &str = "container runtime is down";

/// What is to change about a node.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) condition: Option<NodeCondition>,
    pub(super) taints: Option<Vec<Taint>>,
    /// Whether its pods are taken out of service.
    pub(super) give_up_pods: bool,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.condition.is_none() && self.taints.is_none()
    }
}

/// What follows from a verdict. `all_down`: no node is ready.
pub(super) fn plan(node: &Node, verdict: Verdict, all_down: bool) -> Plan {
    let condition = condition(node, verdict);
    let status = condition.as_ref().map_or_else(|| ready_status(node).to_owned(), |c| c.status.clone());
    let for_good = match verdict {
        Verdict::Silent { for_good } => for_good,
        Verdict::Unsure => false,
        Verdict::Well | Verdict::RuntimeDown => status != "True",
    };
    // If nobody is heard, the fault is rather here: nothing is evicted then.
    let taints = taints(node, &status, (for_good && !all_down).then_some(true).or(keep(node, verdict)));
    // Nobody may send anything to pods that nobody looks after.
    let unattended = match verdict {
        Verdict::Silent { for_good } => for_good,
        Verdict::Unsure => false,
        Verdict::Well | Verdict::RuntimeDown => status == "False",
    };
    Plan { condition, taints, give_up_pods: !all_down && unattended }
}

/// While unsure, an eviction taint that is there stays.
fn keep(node: &Node, verdict: Verdict) -> Option<bool> {
    let there = current_taints(node).iter().any(|t| is_lifecycle(t) && t.effect == "NoExecute");
    (matches!(verdict, Verdict::Unsure) && there).then_some(true)
}

fn condition(node: &Node, verdict: Verdict) -> Option<NodeCondition> {
    let current = ready(node);
    let reason = current.and_then(|c| c.reason.as_deref()).unwrap_or("");
    let message = current.and_then(|c| c.message.as_deref()).unwrap_or("");
    let make = |status: &str, reason: &str, message: &str| {
        Some(NodeCondition {
            type_: "Ready".into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            ..Default::default()
        })
    };
    match verdict {
        Verdict::Silent { .. } if reason != SILENT => make("Unknown", SILENT, "Kubelet stopped posting node status."),
        Verdict::RuntimeDown if current.is_some_and(|c| c.status == "True") || reason == SILENT => {
            make("False", NOT_READY_REASON, RUNTIME_DOWN)
        }
        Verdict::Well if reason == SILENT || (reason == NOT_READY_REASON && message == RUNTIME_DOWN) => {
            make("True", "KubeletReady", "kubelet is posting ready status")
        }
        _ => None,
    }
}

pub(super) fn ready(node: &Node) -> Option<&NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")
}

/// "True", "False" or "Unknown"; a node that has said nothing yet is not ready.
pub(super) fn ready_status(node: &Node) -> &str {
    ready(node).map_or("False", |c| c.status.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::taints::{NOT_READY, UNREACHABLE};
    use super::*;

    fn node(ready: &str, reason: &str, taints: &[(&str, &str)]) -> Node {
        let taints: Vec<_> = taints.iter().map(|(k, e)| json!({"key": k, "effect": e})).collect();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready, "reason": reason}]},
        }))
        .unwrap()
    }

    fn keys(plan: &Plan) -> Vec<(String, String)> {
        plan.taints.iter().flatten().map(|t| (t.key.clone(), t.effect.clone())).collect()
    }

    #[test]
    fn a_silent_node_becomes_unknown_and_its_pods_are_to_go() {
        let plan = plan(&node("True", "KubeletReady", &[]), Verdict::Silent { for_good: true }, false);
        assert_eq!(plan.condition.as_ref().map(|c| c.status.as_str()), Some("Unknown"));
        let expected = [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")];
        assert_eq!(keys(&plan), expected.map(|(k, e)| (k.to_owned(), e.to_owned())));
    }

    #[test]
    fn nothing_is_evicted_when_no_node_is_heard() {
        let plan = plan(&node("Unknown", SILENT, &[]), Verdict::Silent { for_good: true }, true);
        assert_eq!(keys(&plan), [(UNREACHABLE.to_owned(), "NoSchedule".to_owned())]);
    }

    #[test]
    fn a_node_that_is_heard_again_is_ready_and_clean() {
        let plan =
            plan(&node("Unknown", SILENT, &[(UNREACHABLE, "NoExecute"), ("mine", "NoSchedule")]), Verdict::Well, false);
        assert_eq!(plan.condition.as_ref().map(|c| c.status.as_str()), Some("True"));
        assert_eq!(keys(&plan), [("mine".to_owned(), "NoSchedule".to_owned())]);
    }

    #[test]
    fn the_agents_own_reasons_are_left_alone() {
        let plan = plan(
            &node("False", "KubeletNotReady", &[(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
            Verdict::Well,
            false,
        );
        assert!(plan.is_empty());
    }

    #[test]
    fn pods_go_out_of_service_when_the_agent_itself_says_that_it_is_not_ready() {
        let down = plan(&node("False", NOT_READY_REASON, &[]), Verdict::Well, false);
        assert!(down.condition.is_none() && down.give_up_pods);
        assert_eq!(keys(&down).len(), 2);
        let well = plan(&node("True", "KubeletReady", &[]), Verdict::Well, false);
        assert!(well.is_empty() && !well.give_up_pods);
    }
}
