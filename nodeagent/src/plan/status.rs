//! A pod's status as Kubernetes words it, computed from what is seen.

mod conditions;
mod containers;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Memory, qos_of};
use crate::runtime::PodRuntime;

/// All that a status is made of.
pub(crate) struct StatusInput<'a> {
    /// The object; its present status supplies start and transition times and what others wrote.
    pub pod: &'a Pod,
    pub runtime: &'a PodRuntime,
    pub memory: &'a Memory,
    pub host_ip: &'a str,
    pub now: Timestamp,
}

impl StatusInput<'_> {
    pub(super) fn spec(&self) -> &PodSpec {
        static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.pod.spec.as_ref().unwrap_or(&EMPTY)
    }

    pub(super) fn known(&self) -> Option<&PodStatus> {
        self.pod.status.as_ref()
    }
}

/// The status of the pod as it is seen now.
pub(crate) fn status_of(input: &StatusInput) -> PodStatus {
    let init = containers::init_statuses(input);
    let main = containers::main_statuses(input);
    let phase = phase(input, &init, &main);
    let mut status = input.known().cloned().unwrap_or_default();
    status.conditions = Some(conditions::conditions(input, &init, &main, phase));
    status.phase = Some(phase.to_owned());
    status.qos_class.get_or_insert_with(|| qos_of(input.spec()).as_str().to_owned());
    status.start_time.get_or_insert(Time(whole_second(input.now)));
    status.observed_generation = input.pod.metadata.generation.or(status.observed_generation);
    status.host_ip = Some(input.host_ip.to_owned());
    status.host_ips = Some(vec![HostIP { ip: input.host_ip.to_owned() }]);
    set_pod_ips(input, &mut status);
    status.init_container_statuses = (!init.is_empty()).then_some(init);
    status.container_statuses = Some(main);
    let ephemeral = containers::ephemeral_statuses(input);
    status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
    status
}

fn set_pod_ips(input: &StatusInput, status: &mut PodStatus) {
    let ips = if input.spec().host_network == Some(true) {
        vec![input.host_ip.to_owned()]
    } else {
        // The address is kept while a pod ends, as Kubernetes does, so that late readers still find it.
        input.runtime.sandboxes.first().map(|s| s.ips.clone()).unwrap_or_default()
    };
    if let Some(first) = ips.first() {
        status.pod_ip = Some(first.clone());
        status.pod_ips = Some(ips.into_iter().map(|ip| PodIP { ip }).collect());
    }
}

/// API times carry whole seconds.
pub(super) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Running, ended or neither, over all containers.
#[derive(Default)]
struct Tally {
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

fn tally(statuses: &[ContainerStatus]) -> Tally {
    let mut tally = Tally::default();
    for status in statuses {
        let state = status.state.clone().unwrap_or_default();
        let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref());
        if state.running.is_some() {
            tally.running += 1;
        } else if let Some(end) = &state.terminated {
            tally.stopped += 1;
            tally.succeeded += usize::from(end.exit_code == 0);
        } else if last.is_some() {
            tally.stopped += 1;
        } else {
            tally.waiting += 1;
        }
    }
    tally
}

/// Of a sidecar, not of a container that ends before the others begin.
fn is_sidecar_status(input: &StatusInput, status: &ContainerStatus) -> bool {
    let init = input.spec().init_containers.iter().flatten();
    init.into_iter().any(|c| c.name == status.name && super::is_sidecar(c))
}

/// Whether an init container lets the next ones begin.
fn is_through(input: &StatusInput, status: &ContainerStatus) -> bool {
    if is_sidecar_status(input, status) { status.started == Some(true) } else { status.ready }
}

fn phase(input: &StatusInput, init: &[ContainerStatus], main: &[ContainerStatus]) -> &'static str {
    match input.known().and_then(|s| s.phase.as_deref()) {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    let policy = super::policy(input.spec());
    let failed =
        |c: &ContainerStatus| c.state.as_ref().and_then(|s| s.terminated.as_ref()).is_some_and(|t| t.exit_code != 0);
    let plain = |c: &&ContainerStatus| !is_sidecar_status(input, c);
    if policy == "Never" && init.iter().filter(plain).any(failed) {
        return "Failed";
    }
    if !init.iter().all(|c| is_through(input, c))
        && !main.iter().any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()))
    {
        return "Pending";
    }
    let counts = tally(main);
    match counts {
        Tally { waiting: 1.., .. } => "Pending",
        Tally { running: 1.., .. } => "Running",
        Tally { stopped: 0, .. } => "Pending",
        _ if policy == "Always" && input.pod.metadata.deletion_timestamp.is_none() => "Running",
        Tally { stopped, succeeded, .. } if stopped == succeeded => "Succeeded",
        _ if policy == "OnFailure" && input.pod.metadata.deletion_timestamp.is_none() => "Running",
        _ => "Failed",
    }
}
