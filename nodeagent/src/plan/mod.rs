//! What to do next for one pod: a pure function from what is wanted and what is seen to a list of actions.
//!
//! It is level-triggered: the same view gives the same plan, and a lost event or a restart of the agent changes nothing.

mod backoff;
mod memory;
mod qos;
mod specs;
mod status;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container as Spec, Pod, PodSpec};

use crate::runtime::{Container, PodRuntime, State};

pub(crate) use backoff::Backoff;
pub(crate) use memory::{Health, Memory, Waiting};
pub(crate) use qos::{Qos, qos_of};
pub(crate) use specs::{ephemeral, find, is_sidecar};
pub(crate) use status::{StatusInput, status_of};

/// Why a container is stopped; the wording goes into the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillReason {
    /// The pod is going away.
    Stopping,
    /// Its liveness probe failed.
    Liveness,
    /// Its startup probe failed.
    Startup,
    /// Its spec changed.
    Changed,
    /// Its sandbox is gone.
    SandboxGone,
}

/// One step on the runtime.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Ends a container's process, politely for this long.
    Kill { id: String, name: String, grace: SignedDuration, why: KillReason },
    /// Forgets a dead container and its log.
    RemoveContainer { id: String },
    /// Takes a sandbox down.
    StopSandbox { id: String },
    /// Makes the pod's sandbox.
    CreateSandbox { attempt: u32 },
    /// Makes and starts a container in the ready sandbox.
    Start { name: String, attempt: u32 },
    /// Everything has ended for a pod that is going away: clean up and let the API object go.
    Finish,
}

/// The steps to take now, in order, and when to look again without being woken.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub actions: Vec<Action>,
    /// Containers that wait for their restart.
    pub backing_off: Vec<String>,
    pub next: Option<SignedDuration>,
}

impl Plan {
    fn wake_in(&mut self, wait: SignedDuration) {
        self.next = Some(self.next.map_or(wait, |n| n.min(wait)));
    }
}

/// All that planning looks at.
pub(crate) struct View<'a> {
    pub pod: &'a Pod,
    /// The pod is to end though its object does not say so: it was force-deleted or is unknown to the masters.
    pub gone: bool,
    pub runtime: &'a PodRuntime,
    pub memory: &'a Memory,
    pub now: Timestamp,
}

/// The next steps for a pod.
pub(crate) fn plan(view: &View) -> Plan {
    if let Some(grace) = view.stopping() {
        return plan_stop(view, grace);
    }
    let mut plan = Plan::default();
    forget_old_containers(view, &mut plan);
    if is_done(view) {
        stop_everything(view, &mut plan);
        return plan;
    }
    match view.runtime.ready_sandbox() {
        None => replace_sandbox(view, &mut plan),
        Some(_) => plan_containers(view, &mut plan),
    }
    plan
}

impl View<'_> {
    fn spec(&self) -> &PodSpec {
        static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.pod.spec.as_ref().unwrap_or(&EMPTY)
    }

    /// The grace that is left, if the pod is to end.
    fn stopping(&self) -> Option<SignedDuration> {
        if self.gone {
            return Some(SignedDuration::ZERO);
        }
        let deadline = self.pod.metadata.deletion_timestamp.as_ref()?.0;
        let whole = self.pod.metadata.deletion_grace_period_seconds.unwrap_or(30).max(0);
        let left = deadline.duration_since(self.now);
        // A clock that differs from the masters' must neither cut the grace to nothing nor stretch it.
        let started = self.memory.stopping_since.unwrap_or(self.now);
        let own = started.duration_since(self.now);
        let own = own + SignedDuration::from_secs(whole);
        Some(left.max(own).clamp(SignedDuration::ZERO, SignedDuration::from_secs(whole)))
    }

    fn restarts_always(&self) -> bool {
        policy(self.spec()) == "Always"
    }

    fn restarts_failed(&self) -> bool {
        policy(self.spec()) != "Never"
    }

    /// In the sandbox that runs now.
    fn current(&self, container: &Container) -> bool {
        self.runtime.sandboxes.first().is_some_and(|s| s.id == container.sandbox_id)
    }
}

fn policy(spec: &PodSpec) -> &str {
    spec.restart_policy.as_deref().unwrap_or("Always")
}

fn plan_stop(view: &View, grace: SignedDuration) -> Plan {
    let mut plan = Plan::default();
    let next = next_to_end(view);
    if !next.is_empty() {
        plan.actions = next.iter().map(|c| kill(c, grace, KillReason::Stopping)).collect();
        return plan;
    }
    let up = view.runtime.sandboxes.iter().filter(|s| s.ready);
    plan.actions = up.map(|s| Action::StopSandbox { id: s.id.clone() }).collect();
    if plan.actions.is_empty() {
        plan.actions.push(Action::Finish);
    }
    plan
}

/// Everything but the sidecars at once; then those, the last first, for the others may need them to the end.
fn next_to_end<'a>(view: &'a View) -> Vec<&'a Container> {
    let sidecars: Vec<&Spec> = init(view).iter().filter(|c| is_sidecar(c)).collect();
    let is_sidecar = |c: &Container| sidecars.iter().any(|s| s.name == c.name);
    let alive = || view.runtime.containers.iter().filter(|c| c.alive());
    let others: Vec<_> = alive().filter(|c| !is_sidecar(c)).collect();
    if !others.is_empty() {
        return others;
    }
    let last = sidecars.iter().rev().find(|s| alive().any(|c| c.name == s.name));
    last.map(|last| alive().filter(|c| c.name == last.name).collect()).unwrap_or_default()
}

fn init<'a>(view: &'a View) -> &'a [Spec] {
    view.spec().init_containers.as_deref().unwrap_or(&[])
}

fn kill(container: &Container, grace: SignedDuration, why: KillReason) -> Action {
    Action::Kill { id: container.id.clone(), name: container.name.clone(), grace, why }
}

/// The run before the last is kept for `logs --previous`; older ones go.
fn forget_old_containers(view: &View, plan: &mut Plan) {
    let mut seen = std::collections::HashMap::<&str, usize>::new();
    for container in &view.runtime.containers {
        let count = seen.entry(&container.name).or_default();
        *count += 1;
        if *count > 2 && !container.alive() {
            plan.actions.push(Action::RemoveContainer { id: container.id.clone() });
        }
    }
}

/// Nothing will ever be started again.
fn is_done(view: &View) -> bool {
    let phase = view.pod.status.as_ref().and_then(|s| s.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return true;
    }
    if view.restarts_always() {
        return false;
    }
    let ended = |spec: &Spec| {
        view.runtime.latest(&spec.name).filter(|c| c.state == State::Exited && !will_restart(view, spec, c))
    };
    let init_failed = init(view).iter().filter(|c| !is_sidecar(c)).any(|c| ended(c).is_some_and(|c| c.exit_code != 0));
    let main = &view.spec().containers;
    init_failed || (!main.is_empty() && main.iter().all(|c| ended(c).is_some()))
}

fn will_restart(view: &View, spec: &Spec, container: &Container) -> bool {
    match container.exit_code {
        _ if is_sidecar(spec) => true,
        0 => view.restarts_always(),
        _ => view.restarts_failed(),
    }
}

fn stop_everything(view: &View, plan: &mut Plan) {
    let alive = view.runtime.containers.iter().filter(|c| c.alive());
    plan.actions.extend(alive.map(|c| kill(c, own_grace(view), KillReason::Stopping)));
    let up = view.runtime.sandboxes.iter().filter(|s| s.ready);
    plan.actions.extend(up.map(|s| Action::StopSandbox { id: s.id.clone() }));
}

fn own_grace(view: &View) -> SignedDuration {
    SignedDuration::from_secs(view.spec().termination_grace_period_seconds.unwrap_or(30))
}

fn replace_sandbox(view: &View, plan: &mut Plan) {
    let alive = view.runtime.containers.iter().filter(|c| c.alive());
    plan.actions.extend(alive.map(|c| kill(c, own_grace(view), KillReason::SandboxGone)));
    if let Some(at) = view.memory.sandbox_retry_at.filter(|at| *at > view.now) {
        plan.wake_in(at.duration_since(view.now));
        return;
    }
    let newest = view.runtime.sandboxes.first();
    plan.actions.extend(newest.map(|s| Action::StopSandbox { id: s.id.clone() }));
    let attempt = view.runtime.sandboxes.iter().map(|s| s.attempt + 1).max().unwrap_or(0);
    plan.actions.push(Action::CreateSandbox { attempt });
}

fn plan_containers(view: &View, plan: &mut Plan) {
    plan_ephemeral(view, plan);
    // Once a main container was made in this sandbox, the init containers were through, even if the runtime has forgotten them.
    let began = view.spec().containers.iter().any(|c| view.runtime.latest(&c.name).is_some_and(|c| view.current(c)));
    for spec in init(view) {
        if is_sidecar(spec) {
            plan_main(view, spec, plan);
            if !began && !has_started(view, spec) {
                return;
            }
        } else if !began && !has_succeeded(view, spec) {
            plan_init(view, spec, plan);
            return;
        }
    }
    for spec in &view.spec().containers {
        plan_main(view, spec, plan);
    }
}

fn has_succeeded(view: &View, spec: &Spec) -> bool {
    view.runtime.latest(&spec.name).is_some_and(|c| view.current(c) && c.succeeded())
}

/// A sidecar lets the next container begin once it runs and its startup probe, if any, has passed.
fn has_started(view: &View, spec: &Spec) -> bool {
    let running = view.runtime.latest(&spec.name).filter(|c| view.current(c) && c.state == State::Running);
    running.is_some_and(|c| {
        spec.startup_probe.is_none() || view.memory.health(&c.id).is_some_and(|h| h.startup == Some(true))
    })
}

/// Containers for looking into a pod run once, whatever the others do.
fn plan_ephemeral(view: &View, plan: &mut Plan) {
    for name in view.spec().ephemeral_containers.iter().flatten().map(|c| &c.name) {
        let begun = view.runtime.named(name).any(|c| c.state != State::Created);
        if !begun && let Some(spec) = ephemeral(view.pod, name) {
            start(view, &spec, None, plan);
        }
    }
}

fn plan_init(view: &View, spec: &Spec, plan: &mut Plan) {
    match view.runtime.latest(&spec.name) {
        Some(c) if view.current(c) && c.state == State::Running => {}
        Some(c) if view.current(c) && c.state == State::Exited && !view.restarts_failed() => {}
        latest => start(view, spec, latest, plan),
    }
}

fn plan_main(view: &View, spec: &Spec, plan: &mut Plan) {
    let latest = view.runtime.latest(&spec.name);
    match latest {
        Some(c) if c.alive() && view.current(c) => plan_running(view, spec, c, plan),
        Some(c) if c.alive() => plan.actions.push(kill(c, own_grace(view), KillReason::SandboxGone)),
        Some(c) if c.state == State::Exited && view.current(c) && !will_restart(view, spec, c) => {}
        _ => start(view, spec, latest, plan),
    }
}

fn plan_running(view: &View, spec: &Spec, container: &Container, plan: &mut Plan) {
    let health = view.memory.health(&container.id);
    let why = match health {
        _ if container.hash != spec_hash(spec) => KillReason::Changed,
        Some(h) if h.startup == Some(false) => KillReason::Startup,
        Some(h) if h.live == Some(false) => KillReason::Liveness,
        _ => return,
    };
    let probe = match why {
        KillReason::Liveness => spec.liveness_probe.as_ref(),
        KillReason::Startup => spec.startup_probe.as_ref(),
        _ => None,
    };
    let own = probe.and_then(|p| p.termination_grace_period_seconds).map(SignedDuration::from_secs);
    plan.actions.push(kill(container, own.unwrap_or_else(|| own_grace(view)), why));
}

fn start(view: &View, spec: &Spec, latest: Option<&Container>, plan: &mut Plan) {
    let name = &spec.name;
    if let Some(at) = view.memory.retry_at(name).filter(|at| *at > view.now) {
        plan.wake_in(at.duration_since(view.now));
        return;
    }
    if let Some(dead) = latest.filter(|c| c.state == State::Exited) {
        let since = dead.finished_at.unwrap_or(dead.created_at);
        if let Some(left) = view.memory.restarts.remaining(name, since, view.now) {
            plan.backing_off.push(name.clone());
            plan.wake_in(left);
            return;
        }
    }
    // A container that was made but never started is left from an interrupted start.
    let stillborn = view.runtime.named(name).filter(|c| c.state == State::Created);
    plan.actions.extend(stillborn.map(|c| Action::RemoveContainer { id: c.id.clone() }));
    plan.actions.push(Action::Start { name: name.clone(), attempt: next_attempt(view, name) });
}

fn next_attempt(view: &View, name: &str) -> u32 {
    let begun = view.runtime.named(name).filter(|c| c.state != State::Created);
    begun.map(|c| c.attempt + 1).max().unwrap_or(0)
}

/// Fingerprint of what, when it changes, makes a container anew: its name and image.
pub(crate) fn spec_hash(spec: &Spec) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(spec.name.as_bytes());
    hash.update([0]);
    hash.update(spec.image.as_deref().unwrap_or("").as_bytes());
    hash.finalize().iter().take(4).fold(String::new(), |mut text, byte| {
        use std::fmt::Write;
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
