//! Probes of the running containers: a task each, whose verdicts the worker reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, Pod, Probe};
use mainstay_client::EventType;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::http::{self, Get, plain};
use super::inbox::Inbox;
use super::{Shared, grpc};
use crate::plan::{Health, is_sidecar};
use crate::runtime::{PodRuntime, State};

/// Enough of an answer to quote it.
const ANSWER_BYTES: usize = 10 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Startup,
    Readiness,
    Liveness,
}

type Verdicts = Arc<Mutex<HashMap<String, Health>>>;

/// All probes of one pod; they end when this is dropped.
pub(super) struct Probes {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    verdicts: Verdicts,
    tasks: HashMap<(String, Kind), JoinHandle<()>>,
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

impl Probes {
    pub fn new(shared: Arc<Shared>, inbox: Arc<Inbox>) -> Probes {
        Probes { shared, inbox, verdicts: Verdicts::default(), tasks: HashMap::new() }
    }

    /// Probes exactly the containers that run; returns the verdicts so far.
    pub fn follow(&mut self, pod: &Pod, runtime: &PodRuntime) -> HashMap<String, Health> {
        let running: Vec<_> = runtime.containers.iter().filter(|c| c.state == State::Running).collect();
        let alive = |id: &str| running.iter().any(|c| c.id == id);
        self.tasks.retain(|(id, _), task| {
            alive(id) || {
                task.abort();
                false
            }
        });
        self.verdicts.lock().retain(|id, _| alive(id));
        let ip = runtime.sandboxes.first().and_then(|s| s.ips.first()).cloned();
        let host = ip.unwrap_or_else(|| self.shared.host_ip.clone());
        for container in running {
            let Some(spec) = probed(pod, &container.name) else { continue };
            self.seed(pod, &container.id);
            for kind in [Kind::Startup, Kind::Readiness, Kind::Liveness] {
                if let Some(probe) = probe_of(spec, kind) {
                    self.start(pod, spec, &container.id, kind, probe, &host);
                }
            }
        }
        self.verdicts.lock().clone()
    }

    /// A container that was ready before the agent started stays so until a probe says otherwise.
    fn seed(&self, pod: &Pod, id: &str) {
        let mut verdicts = self.verdicts.lock();
        if verdicts.contains_key(id) {
            return;
        }
        let full = format!("containerd://{id}");
        let known = pod
            .status
            .iter()
            .flat_map(|s| s.container_statuses.iter().flatten().chain(s.init_container_statuses.iter().flatten()));
        let known = known.into_iter().find(|c| c.container_id.as_deref() == Some(&full));
        let startup = known.and_then(|c| c.started).filter(|s| *s);
        let ready = known.map(|c| c.ready).filter(|r| *r);
        verdicts.insert(id.to_owned(), Health { startup, ready, live: None });
    }

    fn start(&mut self, pod: &Pod, spec: &Container, id: &str, kind: Kind, probe: &Probe, host: &str) {
        let key = (id.to_owned(), kind);
        if self.tasks.contains_key(&key) {
            return;
        }
        let task = Prober {
            shared: Arc::clone(&self.shared),
            inbox: Arc::clone(&self.inbox),
            verdicts: Arc::clone(&self.verdicts),
            pod: pod.clone(),
            container: spec.clone(),
            id: id.to_owned(),
            kind,
            probe: probe.clone(),
            host: host.to_owned(),
        };
        self.tasks.insert(key, tokio::spawn(task.run()));
    }
}

/// The spec of a container that may have probes: a main one or a sidecar.
fn probed<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    spec.containers.iter().chain(sidecars).find(|c| c.name == name)
}

fn probe_of(container: &Container, kind: Kind) -> Option<&Probe> {
    match kind {
        Kind::Startup => container.startup_probe.as_ref(),
        Kind::Readiness => container.readiness_probe.as_ref(),
        Kind::Liveness => container.liveness_probe.as_ref(),
    }
}

struct Prober {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    verdicts: Verdicts,
    pod: Pod,
    container: Container,
    id: String,
    kind: Kind,
    probe: Probe,
    host: String,
}

/// A setting in whole seconds or times; what is not set has a default.
fn number(value: Option<i32>, default: u32) -> u32 {
    value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
}

impl Prober {
    async fn run(self) {
        let delay = self.probe.initial_delay_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(delay)).await;
        let mut ticks = tokio::time::interval(Duration::from_secs(number(self.probe.period_seconds, 10).into()));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut run_of, mut last) = (0u32, None);
        loop {
            ticks.tick().await;
            if !self.started() {
                // Until the startup probe has spoken, look again soon.
                ticks.reset_after(Duration::from_millis(200));
                continue;
            }
            let outcome = self.probe_once().await;
            let good = outcome.is_ok();
            run_of = if last == Some(good) { run_of + 1 } else { 1 };
            last = Some(good);
            if let Err(why) = outcome {
                self.report(&why);
            }
            let threshold =
                if good { number(self.probe.success_threshold, 1) } else { number(self.probe.failure_threshold, 3) };
            if run_of >= threshold && self.settle(good) {
                return;
            }
        }
    }

    fn started(&self) -> bool {
        let health = self.verdicts.lock().get(&self.id).copied().unwrap_or_default();
        self.kind == Kind::Startup || self.container.startup_probe.is_none() || health.startup == Some(true)
    }

    /// Hands in a verdict; true if no other can follow.
    fn settle(&self, good: bool) -> bool {
        let mut verdicts = self.verdicts.lock();
        let health = verdicts.entry(self.id.clone()).or_default();
        let slot = match self.kind {
            Kind::Startup => &mut health.startup,
            Kind::Readiness => &mut health.ready,
            Kind::Liveness => &mut health.live,
        };
        if *slot != Some(good) {
            *slot = Some(good);
            drop(verdicts);
            self.inbox.wake();
        }
        match self.kind {
            Kind::Startup => true,
            Kind::Liveness => !good,
            Kind::Readiness => false,
        }
    }

    fn report(&self, why: &str) {
        let text = format!("{:?} probe failed: {why}", self.kind);
        self.shared.event(&self.pod, Some(&self.container.name), EventType::Warning, "Unhealthy", text);
    }

    async fn probe_once(&self) -> Result<(), String> {
        if self.shared.runtime.hollow() {
            return Ok(());
        }
        let limit = Duration::from_secs(number(self.probe.timeout_seconds, 1).into());
        if let Some(action) = &self.probe.exec {
            return self.exec(action, limit).await;
        }
        if let Some(action) = &self.probe.http_get {
            let get = Get::of(action, &self.container, &self.host)?;
            let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            return match tokio::time::timeout(limit, get.send()).await {
                Ok(Ok(200..400)) => Ok(()),
                Ok(Ok(code)) => Err(format!("HTTP probe failed with statuscode: {code}")),
                Ok(Err(why)) => Err(why),
                Err(_) => Err(format!("Get \"{}\": {late}", get.url())),
            };
        }
        if let Some(action) = &self.probe.grpc {
            return grpc::check(action, &self.host, limit).await;
        }
        if let Some(action) = &self.probe.tcp_socket {
            let host = action.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| self.host.clone());
            let address = format!("{host}:{}", http::port(&self.container, &action.port)?);
            return match tokio::time::timeout(limit, TcpStream::connect(&address)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("dial tcp {address}: connect: {}", plain(&error))),
                Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
            };
        }
        Err("this kind of probe is not supported".into())
    }

    async fn exec(&self, action: &ExecAction, limit: Duration) -> Result<(), String> {
        let command = action.command.clone().unwrap_or_default();
        let result = self.shared.runtime.exec_sync(&self.id, &command, limit).await.map_err(|e| e.to_string())?;
        match result.exit_code {
            0 => Ok(()),
            _ => Err(String::from_utf8_lossy(&result.output[..result.output.len().min(ANSWER_BYTES)]).into_owned()),
        }
    }
}
