//! What `kubectl get pods` says about a pod.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use super::cell::{NONE, at, condition, flag, is_true, list, number, text, text_or};
use crate::meta;

/// The cells of a pod.
pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let state = State::of(pod);
    let mut restarts = state.restarts.to_string();
    if state.restarts != 0
        && let Some(last) = &state.last_restart
    {
        restarts = format!("{restarts} ({} ago)", age(Some(&Value::from(last.as_str())), now));
    }
    let gates = list(pod, "/spec/readinessGates");
    let met = gates.iter().filter(|gate| is_true(pod, text(gate, "/conditionType"))).count();
    let gates = if gates.is_empty() { NONE.to_owned() } else { format!("{met}/{}", gates.len()) };
    vec![
        meta::name(pod).into(),
        format!("{}/{}", state.ready, state.total).into(),
        state.reason.into(),
        restarts.into(),
        age(at(pod, "/metadata/creationTimestamp"), now).into(),
        text_or(pod, "/status/podIPs/0/ip", NONE).into(),
        text_or(pod, "/spec/nodeName", NONE).into(),
        text_or(pod, "/status/nominatedNodeName", NONE).into(),
        gates.into(),
    ]
}

/// The row's condition of a pod that has ended.
pub(super) fn conditions(pod: &Value) -> Option<Value> {
    let phase = text(pod, "/status/phase");
    let message = match phase {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

struct State {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<String>,
}

impl State {
    fn of(pod: &Value) -> State {
        let restartable = |container: &&Value| text(container, "/restartPolicy") == "Always";
        let inits = list(pod, "/spec/initContainers");
        let total = list(pod, "/spec/containers").len() + inits.iter().filter(restartable).count();
        let reason = text_or(pod, "/status/reason", text(pod, "/status/phase")).to_owned();
        let mut state = State { reason, ready: 0, total, restarts: 0, last_restart: None };
        if condition(pod, "PodScheduled").is_some_and(|found| text(found, "/reason") == "SchedulingGated") {
            "SchedulingGated".clone_into(&mut state.reason);
        }
        let held = state.scan_inits(pod, inits);
        if held.is_none() || is_true(pod, "Initialized") {
            state.scan_containers(pod, inits, held);
        }
        state.deletion(pod);
        state
    }

    fn restarted(&mut self, status: &Value) {
        self.restarts += number(status, "/restartCount");
        let last = text(status, "/lastState/terminated/finishedAt");
        if !last.is_empty() && self.last_restart.as_deref().is_none_or(|known| known < last) {
            self.last_restart = Some(last.to_owned());
        }
    }

    /// How many statuses of init containers count: all up to the one that holds the pod up, which is told.
    fn scan_inits(&mut self, pod: &Value, inits: &[Value]) -> Option<usize> {
        for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            self.restarted(status);
            let restartable = is_restartable(inits, status);
            if at(status, "/state/terminated").is_some() && number(status, "/state/terminated/exitCode") == 0 {
                continue;
            }
            if restartable && flag(status, "/started", false) {
                self.ready += usize::from(flag(status, "/ready", false));
                continue;
            }
            self.reason = init_reason(status, index, inits.len());
            return Some(index + 1);
        }
        None
    }

    /// `counted` is how many statuses of init containers count, if one holds the pod up.
    fn scan_containers(&mut self, pod: &Value, inits: &[Value], counted: Option<usize>) {
        self.restarts = 0;
        self.last_restart = None;
        let statuses = list(pod, "/status/initContainerStatuses").iter().take(counted.unwrap_or(usize::MAX));
        for status in statuses.filter(|status| is_restartable(inits, status)) {
            self.restarted(status);
        }
        let mut running = false;
        let mut error = None;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarted(status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(ended) = at(status, "/state/terminated") {
                self.reason = termination(ended, "");
                if number(ended, "/exitCode") != 0 {
                    error = Some(self.reason.clone());
                }
            } else if flag(status, "/ready", false) && at(status, "/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            self.reason = match error {
                _ if running && is_true(pod, "Ready") => "Running".to_owned(),
                Some(error) => error,
                None if running => "NotReady".to_owned(),
                None => return,
            };
        }
    }

    fn deletion(&mut self, pod: &Value) {
        if !meta::is_deleting(pod) {
            return;
        }
        if text(pod, "/status/reason") == "NodeLost" {
            "Unknown".clone_into(&mut self.reason);
        } else if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut self.reason);
        }
    }
}

fn is_restartable(inits: &[Value], status: &Value) -> bool {
    let container = inits.iter().find(|container| text(container, "/name") == text(status, "/name"));
    container.is_some_and(|container| text(container, "/restartPolicy") == "Always")
}

fn init_reason(status: &Value, index: usize, total: usize) -> String {
    if let Some(ended) = at(status, "/state/terminated") {
        return termination(ended, "Init:");
    }
    match text(status, "/state/waiting/reason") {
        "" | "PodInitializing" => format!("Init:{index}/{total}"),
        reason => format!("Init:{reason}"),
    }
}

fn termination(ended: &Value, prefix: &str) -> String {
    match (text(ended, "/reason"), number(ended, "/signal")) {
        ("", 0) => format!("{prefix}ExitCode:{}", number(ended, "/exitCode")),
        ("", signal) => format!("{prefix}Signal:{signal}"),
        (reason, _) => format!("{prefix}{reason}"),
    }
}
