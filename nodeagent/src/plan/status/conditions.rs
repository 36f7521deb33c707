//! The pod's conditions. Those of others (the scheduler, readiness gates) pass through untouched.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{StatusInput, whole_second};

/// What a condition says.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn holds(kind: &'static str, reason: Option<&'static str>) -> Self {
        Verdict { kind, holds: true, reason, message: None }
    }

    fn fails(kind: &'static str, reason: &'static str, message: Option<String>) -> Self {
        Verdict { kind, holds: false, reason: Some(reason), message }
    }
}

/// All conditions, with the time of a change where the verdict changed.
pub(super) fn conditions(
    input: &StatusInput,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    phase: &str,
) -> Vec<PodCondition> {
    let lasting: Vec<_> = init.iter().filter(|c| super::is_sidecar_status(input, c)).chain(main).cloned().collect();
    let containers = containers_ready(&lasting, phase);
    let ready = ready(input, &containers);
    let verdicts = [sandbox_ready(input), initialized(input, init, main, phase), ready, containers];
    let mut all: Vec<_> = verdicts.into_iter().map(|v| condition(input, v)).collect();
    let ours: Vec<_> = all.iter().map(|c| c.type_.clone()).collect();
    let others = input.known().and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    all.extend(others.filter(|c| !ours.contains(&c.type_)).cloned());
    all
}

fn condition(input: &StatusInput, verdict: Verdict) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let known = input.known().and_then(|s| s.conditions.as_ref()?.iter().find(|c| c.type_ == verdict.kind));
    let since = known.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    PodCondition {
        type_: verdict.kind.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        last_transition_time: Some(since.unwrap_or_else(|| Time(whole_second(input.now)))),
        observed_generation: input.pod.metadata.generation,
        last_probe_time: None,
    }
}

fn sandbox_ready(input: &StatusInput) -> Verdict {
    let up =
        input.runtime.ready_sandbox().is_some_and(|s| input.spec().host_network == Some(true) || !s.ips.is_empty());
    Verdict { kind: "PodReadyToStartContainers", holds: up, reason: None, message: None }
}

fn initialized(input: &StatusInput, init: &[ContainerStatus], main: &[ContainerStatus], phase: &str) -> Verdict {
    let kind = "Initialized";
    if phase == "Succeeded" {
        return Verdict::holds(kind, Some("PodCompleted"));
    }
    let begun = main.iter().any(|c| c.container_id.is_some());
    let open = names(init, |c| !super::is_through(input, c));
    if open.is_empty() || begun {
        return Verdict::holds(kind, None);
    }
    Verdict::fails(kind, "ContainersNotInitialized", Some(format!("containers with incomplete status: [{open}]")))
}

fn containers_ready(main: &[ContainerStatus], phase: &str) -> Verdict {
    let kind = "ContainersReady";
    match phase {
        "Succeeded" => return Verdict::fails(kind, "PodCompleted", None),
        "Failed" => return Verdict::fails(kind, "PodFailed", None),
        _ => {}
    }
    let unready = names(main, |c| !c.ready);
    if unready.is_empty() {
        return Verdict::holds(kind, None);
    }
    Verdict::fails(kind, "ContainersNotReady", Some(format!("containers with unready status: [{unready}]")))
}

fn ready(input: &StatusInput, containers: &Verdict) -> Verdict {
    let kind = "Ready";
    if !containers.holds {
        return Verdict { kind, holds: false, reason: containers.reason, message: containers.message.clone() };
    }
    let conditions = input.known().and_then(|s| s.conditions.as_deref()).unwrap_or(&[]);
    let mut open = Vec::new();
    for gate in input.spec().readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match conditions.iter().find(|c| &c.type_ == kind) {
            None => open.push(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
            Some(c) if c.status != "True" => {
                open.push(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", c.status));
            }
            Some(_) => {}
        }
    }
    if open.is_empty() {
        return Verdict::holds(kind, None);
    }
    Verdict::fails(kind, "ReadinessGatesNotReady", Some(open.join(", ")))
}

fn names(statuses: &[ContainerStatus], which: impl Fn(&ContainerStatus) -> bool) -> String {
    let names: Vec<_> = statuses.iter().filter(|c| which(c)).map(|c| c.name.as_str()).collect();
    names.join(" ")
}
