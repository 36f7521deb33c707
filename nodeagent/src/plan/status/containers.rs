//! The status of each container.

use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{StatusInput, whole_second};
use crate::plan::{ephemeral, is_sidecar};
use crate::runtime::{Container, State};

/// Of the init containers, in order.
pub(super) fn init_statuses(input: &StatusInput) -> Vec<ContainerStatus> {
    let specs = input.spec().init_containers.as_deref().unwrap_or(&[]);
    specs
        .iter()
        .map(|spec| {
            let mut status = status(input, spec, "PodInitializing");
            let latest = input.runtime.latest(&spec.name);
            if is_sidecar(spec) {
                judge(input, spec, &mut status);
                return status;
            }
            status.ready = latest.map_or_else(|| init_known_ready(input, &spec.name), Container::succeeded);
            status.started = Some(latest.is_some_and(|c| c.state == State::Running));
            status
        })
        .collect()
}

/// An init container that the runtime has forgotten keeps the verdict it had.
fn init_known_ready(input: &StatusInput, name: &str) -> bool {
    let known = input.known().and_then(|s| s.init_container_statuses.as_ref());
    known.is_some_and(|all| all.iter().any(|c| c.name == name && c.ready))
}

/// Of the main containers, in order.
pub(super) fn main_statuses(input: &StatusInput) -> Vec<ContainerStatus> {
    let init = input.spec().init_containers.as_deref().unwrap_or(&[]);
    let plain = init.iter().filter(|c| !is_sidecar(c));
    let through = plain.into_iter().all(|c| input.runtime.latest(&c.name).is_some_and(Container::succeeded));
    let default = if init.is_empty() || through { "ContainerCreating" } else { "PodInitializing" };
    input
        .spec()
        .containers
        .iter()
        .map(|spec| {
            let mut status = status(input, spec, default);
            judge(input, spec, &mut status);
            status
        })
        .collect()
}

/// Of the ephemeral containers, in order; nobody waits for them.
pub(super) fn ephemeral_statuses(input: &StatusInput) -> Vec<ContainerStatus> {
    let names = input.spec().ephemeral_containers.iter().flatten().map(|c| c.name.as_str());
    let specs = names.filter_map(|name| ephemeral(input.pod, name));
    specs.map(|spec| status(input, &spec, "ContainerCreating")).collect()
}

/// Sets `started` and `ready` from the probes' verdicts; without a probe, running is enough.
fn judge(input: &StatusInput, spec: &Spec, status: &mut ContainerStatus) {
    let running = input.runtime.latest(&spec.name).filter(|c| c.state == State::Running);
    let health = running.and_then(|c| input.memory.health(&c.id)).unwrap_or_default();
    let started = running.is_some() && (spec.startup_probe.is_none() || health.startup == Some(true));
    let ready = started && (spec.readiness_probe.is_none() || health.ready == Some(true));
    status.started = Some(started);
    status.ready = ready;
}

fn status(input: &StatusInput, spec: &Spec, default_reason: &'static str) -> ContainerStatus {
    let mut runs = input.runtime.named(&spec.name).filter(|c| c.state != State::Created);
    let latest = runs.next();
    let known = known_status(input, &spec.name);
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: latest.map_or_else(|| spec.image.clone().unwrap_or_default(), |c| c.image.clone()),
        image_id: latest.map(|c| c.image_id.clone()).unwrap_or_default(),
        container_id: latest.map(|c| container_id(&c.id)),
        restart_count: latest
            .map_or(known.map_or(0, |k| k.restart_count), |c| i32::try_from(c.attempt).unwrap_or(i32::MAX)),
        resources: spec.resources.clone().filter(|r| r.requests.is_some() || r.limits.is_some()),
        allocated_resources: spec.resources.as_ref().and_then(|r| r.requests.clone()),
        volume_mounts: volume_mounts(spec),
        ..ContainerStatus::default()
    };
    let last = runs.find(|c| c.state == State::Exited).map(terminated);
    status.last_state = last.or_else(|| known.and_then(|k| k.last_state.clone()));
    status.state = Some(state(input, spec, latest, default_reason, &mut status.last_state));
    status.last_state.get_or_insert_default();
    status
}

fn known_status<'a>(input: &'a StatusInput, name: &str) -> Option<&'a ContainerStatus> {
    let known = input.known()?;
    let all = known.container_statuses.iter().chain(known.init_container_statuses.iter());
    let all = all.chain(known.ephemeral_container_statuses.iter());
    all.flatten().find(|c| c.name == name)
}

fn state(
    input: &StatusInput,
    spec: &Spec,
    latest: Option<&Container>,
    default_reason: &'static str,
    last: &mut Option<ContainerState>,
) -> ContainerState {
    let waiting = input.memory.waiting.get(&spec.name);
    match latest {
        Some(c) if c.alive() => running(c),
        Some(c) if waiting.is_some() && input.pod.metadata.deletion_timestamp.is_none() => {
            *last = Some(terminated(c));
            waiting_state(waiting.map_or(default_reason, |w| w.reason), waiting.map(|w| w.message.clone()))
        }
        Some(c) => terminated(c),
        None => match waiting {
            Some(w) => waiting_state(w.reason, Some(w.message.clone())),
            None => forgotten(input, spec).unwrap_or_else(|| waiting_state(default_reason, None)),
        },
    }
}

/// A container that had ended when the runtime forgot it stays ended.
fn forgotten(input: &StatusInput, spec: &Spec) -> Option<ContainerState> {
    let state = known_status(input, &spec.name)?.state.clone()?;
    state.terminated.is_some().then_some(state)
}

fn container_id(id: &str) -> String {
    format!("containerd://{id}")
}

fn waiting_state(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message: message.filter(|m| !m.is_empty()) };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn running(container: &Container) -> ContainerState {
    let started_at = container.started_at.map(|t| Time(whole_second(t)));
    ContainerState { running: Some(ContainerStateRunning { started_at }), ..ContainerState::default() }
}

fn terminated(container: &Container) -> ContainerState {
    let reason = match container.reason.as_str() {
        "" if container.exit_code == 0 => "Completed",
        "" => "Error",
        other => other,
    };
    let end = ContainerStateTerminated {
        exit_code: container.exit_code,
        reason: Some(reason.to_owned()),
        message: (!container.message.is_empty()).then(|| container.message.clone()),
        started_at: container.started_at.map(|t| Time(whole_second(t))),
        finished_at: container.finished_at.map(|t| Time(whole_second(t))),
        container_id: Some(container_id(&container.id)),
        signal: None,
    };
    ContainerState { terminated: Some(end), ..ContainerState::default() }
}

fn volume_mounts(spec: &Spec) -> Option<Vec<VolumeMountStatus>> {
    let mounts = spec.volume_mounts.as_ref()?;
    Some(
        mounts
            .iter()
            .map(|m| VolumeMountStatus {
                name: m.name.clone(),
                mount_path: m.mount_path.clone(),
                read_only: m.read_only.filter(|r| *r),
                recursive_read_only: m.read_only.filter(|r| *r).map(|_| "Disabled".to_owned()),
                ..VolumeMountStatus::default()
            })
            .collect(),
    )
}
