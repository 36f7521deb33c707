use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::runtime::{PodRuntime, Sandbox};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn pod(spec: Value) -> Pod {
    let mut object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d", "uid": "u"}});
    object["spec"] = spec;
    serde_json::from_value(object).unwrap()
}

fn one_container() -> Pod {
    pod(json!({"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 7}))
}

fn sandbox(ready: bool) -> Sandbox {
    Sandbox { id: "s0".into(), attempt: 0, ready, created_at: at(0), ips: vec!["10.0.0.2".into()] }
}

fn container(pod: &Pod, name: &str, attempt: u32, state: State, exit_code: i32) -> Container {
    let spec = pod.spec.as_ref().unwrap();
    let own = spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name).unwrap();
    Container {
        id: format!("{name}{attempt}"),
        name: name.into(),
        sandbox_id: "s0".into(),
        attempt,
        state,
        created_at: at(i64::from(attempt)),
        started_at: Some(at(1)),
        finished_at: (state == State::Exited).then(|| at(5)),
        exit_code,
        reason: String::new(),
        message: String::new(),
        image: "i".into(),
        image_id: "sha256:1".into(),
        hash: spec_hash(own),
        log_path: String::new(),
    }
}

fn runtime(containers: Vec<Container>) -> PodRuntime {
    let mut runtime = PodRuntime { sandboxes: vec![sandbox(true)], containers };
    runtime.sort();
    runtime
}

fn planned(pod: &Pod, runtime: &PodRuntime, memory: &Memory, now: i64) -> Plan {
    plan(&View { pod, gone: false, runtime, memory, now: at(now) })
}

fn start_of(name: &str, attempt: u32) -> Action {
    Action::Start { name: name.into(), attempt }
}

#[test]
fn a_new_pod_gets_a_sandbox_first() {
    let plan = planned(&one_container(), &PodRuntime::default(), &Memory::default(), 0);
    assert_eq!(plan.actions, [Action::CreateSandbox { attempt: 0 }]);
}

#[test]
fn containers_start_in_a_ready_sandbox() {
    let plan = planned(&one_container(), &runtime(vec![]), &Memory::default(), 0);
    assert_eq!(plan.actions, [start_of("c", 0)]);
}

#[test]
fn a_running_pod_needs_nothing_so_a_restarted_agent_adopts_it() {
    let pod = one_container();
    let runtime = runtime(vec![container(&pod, "c", 3, State::Running, 0)]);
    assert_eq!(planned(&pod, &runtime, &Memory::default(), 9), Plan::default());
}

#[test]
fn init_containers_run_in_order() {
    let pod = pod(json!({"containers": [{"name": "c"}], "initContainers": [{"name": "a"}, {"name": "b"}]}));
    let mut seen = vec![];
    assert_eq!(planned(&pod, &runtime(seen.clone()), &Memory::default(), 0).actions, [start_of("a", 0)]);
    seen.push(container(&pod, "a", 0, State::Running, 0));
    assert!(planned(&pod, &runtime(seen.clone()), &Memory::default(), 0).actions.is_empty());
    seen[0] = container(&pod, "a", 0, State::Exited, 0);
    assert_eq!(planned(&pod, &runtime(seen.clone()), &Memory::default(), 0).actions, [start_of("b", 0)]);
    seen.push(container(&pod, "b", 0, State::Exited, 0));
    assert_eq!(planned(&pod, &runtime(seen), &Memory::default(), 0).actions, [start_of("c", 0)]);
}

#[test]
fn the_first_restart_is_immediate_and_the_second_waits() {
    let pod = one_container();
    let mut memory = Memory::default();
    memory.started("c", 0, at(1));
    let dead = runtime(vec![container(&pod, "c", 0, State::Exited, 1)]);
    assert_eq!(planned(&pod, &dead, &memory, 5).actions, [start_of("c", 1)]);
    memory.started("c", 1, at(5));
    let again = runtime(vec![container(&pod, "c", 1, State::Exited, 1)]);
    let plan = planned(&pod, &again, &memory, 6);
    assert_eq!((plan.backing_off.as_slice(), plan.next), (&["c".to_owned()][..], Some(SignedDuration::from_secs(9))));
    assert_eq!(planned(&pod, &again, &memory, 15).actions, [start_of("c", 2)]);
}

#[test]
fn a_finished_job_pod_stops_its_sandbox() {
    let mut pod = one_container();
    pod.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
    let runtime = runtime(vec![container(&pod, "c", 0, State::Exited, 0)]);
    assert_eq!(planned(&pod, &runtime, &Memory::default(), 9).actions, [Action::StopSandbox { id: "s0".into() }]);
}

#[test]
fn deletion_kills_then_stops_then_finishes() {
    let mut pod = one_container();
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(17)));
    pod.metadata.deletion_grace_period_seconds = Some(7);
    let mut memory = Memory::default();
    memory.stopping_since = Some(at(10));
    let mut view = runtime(vec![container(&pod, "c", 0, State::Running, 0)]);
    let grace = SignedDuration::from_secs(5);
    let kill = Action::Kill { id: "c0".into(), name: "c".into(), grace, why: KillReason::Stopping };
    assert_eq!(planned(&pod, &view, &memory, 12).actions, [kill]);
    view.containers[0].state = State::Exited;
    assert_eq!(planned(&pod, &view, &memory, 12).actions, [Action::StopSandbox { id: "s0".into() }]);
    view.sandboxes[0].ready = false;
    assert_eq!(planned(&pod, &view, &memory, 12).actions, [Action::Finish]);
}

#[test]
fn a_lost_sandbox_is_replaced_and_its_containers_start_anew() {
    let pod = one_container();
    let mut view = runtime(vec![container(&pod, "c", 0, State::Exited, 255)]);
    view.sandboxes[0].ready = false;
    let plan = planned(&pod, &view, &Memory::default(), 9);
    assert_eq!(plan.actions, [Action::StopSandbox { id: "s0".into() }, Action::CreateSandbox { attempt: 1 }]);
}

#[test]
fn failed_liveness_kills_with_the_pods_grace() {
    let pod = one_container();
    let mut memory = Memory::default();
    memory.set_health([("c0".to_owned(), Health { live: Some(false), ..Health::default() })].into());
    let view = runtime(vec![container(&pod, "c", 0, State::Running, 0)]);
    let grace = SignedDuration::from_secs(7);
    let kill = Action::Kill { id: "c0".into(), name: "c".into(), grace, why: KillReason::Liveness };
    assert_eq!(planned(&pod, &view, &memory, 9).actions, [kill]);
}

#[test]
fn two_runs_are_kept_and_older_ones_forgotten() {
    let pod = one_container();
    let runs =
        (0..4).map(|n| container(&pod, "c", n, if n == 3 { State::Running } else { State::Exited }, 1)).collect();
    let plan = planned(&pod, &runtime(runs), &Memory::default(), 9);
    let gone = |id: &str| Action::RemoveContainer { id: id.into() };
    assert_eq!(plan.actions, [gone("c1"), gone("c0")]);
}

fn status(pod: &Pod, runtime: &PodRuntime, memory: &Memory) -> k8s_openapi::api::core::v1::PodStatus {
    status_of(&StatusInput { pod, runtime, memory, host_ip: "192.0.2.1", now: at(9) })
}

fn condition(status: &k8s_openapi::api::core::v1::PodStatus, kind: &str) -> String {
    status.conditions.as_ref().unwrap().iter().find(|c| c.type_ == kind).unwrap().status.clone()
}

#[test]
fn status_of_a_pod_being_made() {
    let pod = one_container();
    let status = status(&pod, &PodRuntime::default(), &Memory::default());
    let main = &status.container_statuses.as_ref().unwrap()[0];
    let waiting = main.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(condition(&status, "PodReadyToStartContainers"), "False");
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
}

#[test]
fn status_of_a_running_pod_waits_for_its_readiness_probe() {
    let mut pod = one_container();
    let plain = status(&pod, &runtime(vec![container(&pod, "c", 0, State::Running, 0)]), &Memory::default());
    assert_eq!((plain.phase.as_deref(), condition(&plain, "Ready").as_str()), (Some("Running"), "True"));
    assert_eq!(plain.pod_ip.as_deref(), Some("10.0.0.2"));
    pod.spec.as_mut().unwrap().containers[0].readiness_probe = Some(Default::default());
    let view = runtime(vec![container(&pod, "c", 0, State::Running, 0)]);
    assert_eq!(condition(&status(&pod, &view, &Memory::default()), "Ready"), "False");
    let mut memory = Memory::default();
    memory.set_health([("c0".to_owned(), Health { ready: Some(true), ..Health::default() })].into());
    assert_eq!(condition(&status(&pod, &view, &memory), "Ready"), "True");
}

#[test]
fn a_crash_loop_shows_the_last_end() {
    let pod = one_container();
    let mut memory = Memory::default();
    let waiting = Waiting { reason: "CrashLoopBackOff", message: "back-off 10s".into() };
    memory.waiting.insert("c".into(), waiting);
    let status = status(&pod, &runtime(vec![container(&pod, "c", 2, State::Exited, 3)]), &memory);
    let main = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!(main.state.as_ref().unwrap().waiting.as_ref().unwrap().reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(main.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 3);
    assert_eq!((main.restart_count, status.phase.as_deref()), (2, Some("Running")));
}

#[test]
fn a_completed_pod_has_succeeded() {
    let mut pod = one_container();
    pod.spec.as_mut().unwrap().restart_policy = Some("Never".into());
    let done = status(&pod, &runtime(vec![container(&pod, "c", 0, State::Exited, 0)]), &Memory::default());
    assert_eq!(done.phase.as_deref(), Some("Succeeded"));
    let failed = status(&pod, &runtime(vec![container(&pod, "c", 0, State::Exited, 2)]), &Memory::default());
    assert_eq!(failed.phase.as_deref(), Some("Failed"));
}

fn with_sidecar(policy: &str) -> Pod {
    pod(json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}],
        "initContainers": [{"name": "first", "image": "i"}, {"name": "side", "image": "i", "restartPolicy": "Always"},
            {"name": "second", "image": "i"}]}))
}

#[test]
fn a_sidecar_starts_in_its_turn_and_goes_on() {
    let pod = with_sidecar("Never");
    let memory = Memory::default();
    let steps = |containers| planned(&pod, &runtime(containers), &memory, 9).actions;
    let first = container(&pod, "first", 0, State::Exited, 0);
    let side = container(&pod, "side", 0, State::Running, 0);
    assert_eq!(steps(vec![first.clone()]), [start_of("side", 0)]);
    assert_eq!(steps(vec![first.clone(), side.clone()]), [start_of("second", 0)]);
    let second = container(&pod, "second", 0, State::Exited, 0);
    assert_eq!(steps(vec![first.clone(), side, second.clone()]), [start_of("c", 0)]);
    let dead = container(&pod, "side", 0, State::Exited, 1);
    let main = container(&pod, "c", 0, State::Running, 0);
    assert_eq!(steps(vec![first, dead, second, main]), [start_of("side", 1)], "also where others never restart");
}

#[test]
fn a_sidecar_ends_after_all_others() {
    let mut pod = with_sidecar("Never");
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(30)));
    let killed = |containers| {
        let plan = planned(&pod, &runtime(containers), &Memory::default(), 9);
        plan.actions
            .iter()
            .filter_map(|a| if let Action::Kill { name, .. } = a { Some(name.clone()) } else { None })
            .collect::<Vec<_>>()
    };
    let side = container(&pod, "side", 0, State::Running, 0);
    assert_eq!(killed(vec![side.clone(), container(&pod, "c", 0, State::Running, 0)]), ["c"]);
    assert_eq!(killed(vec![side, container(&pod, "c", 0, State::Exited, 0)]), ["side"]);
}

#[test]
fn a_finished_pod_stops_its_sidecar_and_has_succeeded() {
    let pod = with_sidecar("Never");
    let all = vec![
        container(&pod, "first", 0, State::Exited, 0),
        container(&pod, "side", 0, State::Running, 0),
        container(&pod, "second", 0, State::Exited, 0),
        container(&pod, "c", 0, State::Exited, 0),
    ];
    let plan = planned(&pod, &runtime(all.clone()), &Memory::default(), 9);
    assert!(matches!(&plan.actions[0], Action::Kill { name, .. } if name == "side"));
    assert_eq!(status(&pod, &runtime(all), &Memory::default()).phase.as_deref(), Some("Succeeded"));
}

#[test]
fn an_ephemeral_container_runs_once() {
    let pod =
        pod(json!({"containers": [{"name": "c", "image": "i"}], "ephemeralContainers": [{"name": "e", "image": "i"}]}));
    let main = container(&pod, "c", 0, State::Running, 0);
    let steps = |containers| planned(&pod, &runtime(containers), &Memory::default(), 9).actions;
    assert_eq!(steps(vec![main.clone()]), [start_of("e", 0)]);
    let ended = Container { name: "e".into(), id: "e0".into(), ..container(&pod, "c", 0, State::Exited, 1) };
    assert!(steps(vec![main, ended]).is_empty());
}
