//! The next steps for a stateful set.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::input::{Input, runs};
use super::{identity, status};
use crate::meta::{is_deleting, name, namespace};
use crate::pod::{is_finished, phase, until_available};

/// One thing to do.
#[derive(Debug)]
pub(super) enum Step {
    /// A volume claim for a pod.
    Claim { claim: Box<PersistentVolumeClaim>, pod: String },
    /// A pod that is missing.
    Create(Box<Pod>),
    /// A pod whose labels say something else than who it is.
    Mend(Box<Pod>),
    /// A pod to delete, with the event that says why if that is not plain.
    Delete { pod: Arc<Pod>, why: Option<(&'static str, String)> },
}

pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) status: StatefulSetStatus,
    /// A pod becomes available after this time.
    pub(super) next_available: Option<Duration>,
}

/// What to do next.
pub(super) fn plan(input: &Input) -> Plan {
    let mut steps = Vec::new();
    let go_on = fill(input, &mut steps) && shrink(input, &mut steps);
    if go_on && input.rolls() {
        roll(input, &mut steps);
    }
    let waits = input.pods.iter().filter(|pod| runs(pod));
    let waits = waits.filter_map(|pod| until_available(pod, input.min_ready(), input.now));
    let next_available = waits.filter(|wait| !wait.is_zero()).min();
    Plan { steps, status: status::of(input), next_available }
}

/// Makes what is missing; false if the line has to wait for somebody.
fn fill(input: &Input, steps: &mut Vec<Step>) -> bool {
    for number in input.start()..input.end() {
        let waits = match input.in_place(number) {
            None => {
                create(input, number, steps);
                true
            }
            Some(pod) if is_finished(pod) => {
                if !is_deleting(&pod.metadata) {
                    steps.push(Step::Delete { pod: pod.clone(), why: Some(finished(input.set, pod)) });
                }
                true
            }
            Some(pod) => {
                steps.extend(identity::mended(input.set, pod).map(|pod| Step::Mend(Box::new(pod))));
                is_deleting(&pod.metadata) || !input.is_available(pod)
            }
        };
        if waits && input.one_by_one() {
            return false;
        }
    }
    true
}

fn finished(set: &StatefulSet, pod: &Pod) -> (&'static str, String) {
    let (kind, reason) = match phase(pod) {
        "Failed" => ("failed", "RecreatingFailedPod"),
        _ => ("terminated", "RecreatingTerminatedPod"),
    };
    let (space, set) = (namespace(&set.metadata), name(&set.metadata));
    (reason, format!("StatefulSet {space}/{set} is recreating {kind} Pod {}", name(&pod.metadata)))
}

fn create(input: &Input, number: i32, steps: &mut Vec<Step>) {
    let Some(pod) = identity::pod(input.set, number, input.revision_for(number)) else { return };
    for claim in identity::claims(input.set, number) {
        let there = input.claims.iter().any(|known| name(&known.metadata) == name(&claim.metadata));
        if !there {
            steps.push(Step::Claim { claim: Box::new(claim), pod: name(&pod.metadata).to_owned() });
        }
    }
    steps.push(Step::Create(Box::new(pod)));
}

/// Deletes pods beyond the line, the last first; false if one has to go before the next.
fn shrink(input: &Input, steps: &mut Vec<Step>) -> bool {
    let number = |pod: &Pod| identity::ordinal(input.set, name(&pod.metadata)).unwrap_or(0);
    let beyond = |pod: &&Arc<Pod>| !(input.start()..input.end()).contains(&number(pod));
    let mut condemned: Vec<&Arc<Pod>> = input.pods.iter().filter(beyond).collect();
    condemned.sort_by_key(|pod| std::cmp::Reverse(number(pod)));
    for pod in condemned {
        if !is_deleting(&pod.metadata) {
            steps.push(Step::Delete { pod: pod.clone(), why: None });
        }
        if input.one_by_one() {
            return false;
        }
    }
    true
}

/// Deletes pods of older revisions, the last first, as many as may be missing.
fn roll(input: &Input, steps: &mut Vec<Step>) {
    let line = input.start()..input.end();
    let missing =
        |number: i32| input.in_place(number).is_none_or(|p| is_deleting(&p.metadata) || !input.is_available(p));
    let allowed = input.max_unavailable();
    let mut unavailable = line.clone().filter(|number| missing(*number)).count();
    let first = input.start().saturating_add(input.partition());
    for number in (first.max(line.start)..line.end).rev() {
        let Some(pod) = input.in_place(number) else { continue };
        let old = !input.is_updated(pod) && !is_deleting(&pod.metadata);
        let ill = missing(number);
        if old && (ill || unavailable < allowed) {
            steps.push(Step::Delete { pod: pod.clone(), why: None });
            unavailable += usize::from(!ill);
        }
        if unavailable >= allowed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ControllerRevision;
    use serde_json::{Value, json};

    use super::*;
    use crate::history::{History, data};
    use crate::meta::controller_reference;

    fn set(replicas: i32, more: Value) -> StatefulSet {
        let mut value = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "web", "namespace": "x", "uid": "u", "generation": 2},
            "spec": {"replicas": replicas, "serviceName": "svc", "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]},
            "status": {"replicas": 0, "currentRevision": "web-1"},
        });
        for (key, field) in more.as_object().into_iter().flatten() {
            value["spec"][key] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn revision(name: &str, number: i64, set: &StatefulSet) -> Arc<ControllerRevision> {
        let mut revision = ControllerRevision { revision: number, ..ControllerRevision::default() };
        revision.metadata.name = Some(name.into());
        revision.data =
            Some(k8s_openapi::apimachinery::pkg::runtime::RawExtension(data(&set.spec.as_ref().unwrap().template)));
        Arc::new(revision)
    }

    fn pod(set: &StatefulSet, number: i32, of: &str, ready: bool) -> Arc<Pod> {
        let ready = if ready { "True" } else { "False" };
        let mut pod: Pod = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("web-{number}"), "namespace": "x",
                "labels": {"app": "web", "controller-revision-hash": of, "apps.kubernetes.io/pod-index": number.to_string(),
                    "statefulset.kubernetes.io/pod-name": format!("web-{number}")}},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap();
        pod.metadata.owner_references = Some(vec![controller_reference(set)]);
        Arc::new(pod)
    }

    fn steps(set: &StatefulSet, pods: &[Arc<Pod>], present: &str) -> Vec<String> {
        let all = vec![revision("web-1", 1, set), revision("web-2", 2, set)];
        let present = all.iter().find(|r| name(&r.metadata) == present).unwrap().clone();
        let history = History { all, present, collisions: None };
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let plan = plan(&Input { set, pods, claims: &[], history: &history, now });
        let word = |step: &Step| match step {
            Step::Claim { claim, .. } => format!("claim {}", name(&claim.metadata)),
            Step::Create(pod) => format!("create {} {}", name(&pod.metadata), identity::revision(pod).unwrap()),
            Step::Mend(pod) => format!("mend {}", name(&pod.metadata)),
            Step::Delete { pod, .. } => format!("delete {}", name(&pod.metadata)),
        };
        plan.steps.iter().map(word).collect()
    }

    #[test]
    fn pods_are_made_one_after_the_other() {
        let set = set(3, json!({}));
        assert_eq!(steps(&set, &[], "web-1"), ["claim data-web-0", "create web-0 web-1"]);
        let first = pod(&set, 0, "web-1", false);
        assert!(steps(&set, std::slice::from_ref(&first), "web-1").is_empty(), "the first is not ready yet");
        let ready = pod(&set, 0, "web-1", true);
        assert_eq!(steps(&set, &[ready], "web-1"), ["claim data-web-1", "create web-1 web-1"]);
    }

    #[test]
    fn in_parallel_nobody_waits() {
        let set = set(2, json!({"podManagementPolicy": "Parallel", "volumeClaimTemplates": []}));
        assert_eq!(steps(&set, &[], "web-1"), ["create web-0 web-1", "create web-1 web-1"]);
    }

    #[test]
    fn the_last_goes_first() {
        let set = set(1, json!({}));
        let pods = [pod(&set, 0, "web-1", true), pod(&set, 1, "web-1", true), pod(&set, 2, "web-1", true)];
        assert_eq!(steps(&set, &pods, "web-1"), ["delete web-2"]);
    }

    #[test]
    fn an_update_rolls_from_the_end_down_to_the_partition() {
        let plain = set(3, json!({}));
        let pods = [pod(&plain, 0, "web-1", true), pod(&plain, 1, "web-1", true), pod(&plain, 2, "web-1", true)];
        assert_eq!(steps(&plain, &pods, "web-2"), ["delete web-2"]);
        let pods = [pod(&plain, 0, "web-1", true), pod(&plain, 1, "web-1", true), pod(&plain, 2, "web-2", true)];
        assert_eq!(steps(&plain, &pods, "web-2"), ["delete web-1"]);
        let held = set(3, json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}));
        assert!(steps(&held, &pods, "web-2").is_empty());
        let manual = set(3, json!({"updateStrategy": {"type": "OnDelete"}}));
        assert!(steps(&manual, &pods, "web-2").is_empty());
    }

    #[test]
    fn a_missing_pod_below_the_partition_comes_back_as_it_was() {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        let set = set(2, json!({"updateStrategy": strategy, "volumeClaimTemplates": []}));
        assert_eq!(steps(&set, &[], "web-2"), ["create web-0 web-1"]);
        let first = pod(&set, 0, "web-1", true);
        assert_eq!(steps(&set, &[first], "web-2"), ["create web-1 web-2"]);
    }
}
