//! Carries out a plan's steps on the runtime.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_client::EventType;

use super::hooks::{self, Of};
use super::make::{self, ContainerInput};
use super::making::Making;
use super::supplies::Supplies;
use super::{Shared, cgroups, env, images, mounts};
use crate::identity::identity;
use crate::plan::{Action, KillReason, Memory, Waiting, find};
use crate::runtime::{PodRuntime, State};
use crate::sources::Sources;
use crate::volumes::{self, Paths};

/// After a failed sandbox or start.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// A container gets at least this to end, whatever its hook took.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// Does what plans say, for one pod.
pub(super) struct Actor {
    pub shared: Arc<Shared>,
    pub making: Making,
    pub supplies: Supplies,
    /// Containers whose hook before the end has begun.
    pre_stopped: parking_lot::Mutex<BTreeSet<String>>,
}

impl Actor {
    pub fn new(shared: Arc<Shared>) -> Actor {
        Actor {
            supplies: Supplies::new(Arc::clone(&shared)),
            shared,
            making: Making::default(),
            pre_stopped: parking_lot::Mutex::default(),
        }
    }

    /// Performs the steps in order; false as soon as one fails. Kills go in parallel.
    pub async fn perform(&mut self, pod: &Pod, runtime: &PodRuntime, actions: &[Action], memory: &mut Memory) -> bool {
        let kills = actions.iter().filter_map(|action| match action {
            Action::Kill { id, name, grace, why } => Some(self.kill(pod, runtime, (id, name), *grace, *why)),
            _ => None,
        });
        if !join_all(kills).await.into_iter().all(|done| done) {
            return false;
        }
        let mut done = true;
        for action in actions {
            done &= match action {
                Action::Kill { .. } | Action::Finish => true,
                Action::Start { name, attempt } => self.start(pod, runtime, name, *attempt, memory).await,
                Action::CreateSandbox { attempt } => self.create_sandbox(pod, *attempt, memory).await,
                Action::StopSandbox { id } => told(self.shared.runtime.stop_sandbox(id).await, "stop sandbox"),
                Action::RemoveContainer { id } => self.forget(pod, runtime, id).await,
            };
        }
        done
    }

    async fn kill(
        &self,
        pod: &Pod,
        runtime: &PodRuntime,
        (id, name): (&str, &str),
        grace: SignedDuration,
        why: KillReason,
    ) -> bool {
        let text = match why {
            KillReason::Stopping | KillReason::SandboxGone => format!("Stopping container {name}"),
            KillReason::Liveness => format!("Container {name} failed liveness probe, will be restarted"),
            KillReason::Startup => format!("Container {name} failed startup probe, will be restarted"),
            KillReason::Changed => format!("Container {name} definition changed, will be restarted"),
        };
        self.shared.event(pod, Some(name), EventType::Normal, "Killing", text);
        let mut grace = Duration::try_from(grace).unwrap_or_default();
        if why != KillReason::SandboxGone {
            grace = self.pre_stop(pod, runtime, (id, name), grace).await;
        }
        told(self.shared.runtime.stop_container(id, grace).await, "stop container")
    }

    /// Runs the hook before the end, once; returns the grace that is left.
    async fn pre_stop(&self, pod: &Pod, runtime: &PodRuntime, (id, name): (&str, &str), grace: Duration) -> Duration {
        let Some(spec) = find(pod, name).filter(|spec| hooks::has_pre_stop(spec)) else { return grace };
        let again = !self.pre_stopped.lock().insert(id.to_owned());
        if again || grace.is_zero() || self.shared.runtime.hollow() {
            return grace;
        }
        let began = Instant::now();
        let host = self.host_of(pod, runtime);
        let of = Of { shared: &self.shared, id, spec: &spec, host: &host };
        if let Err(why) = hooks::pre_stop(&of, grace).await {
            tracing::debug!(why, name, "hook before the end");
            let text = "PreStopHook failed".to_owned();
            self.shared.event(pod, Some(name), EventType::Warning, "FailedPreStopHook", text);
        }
        grace.saturating_sub(began.elapsed()).max(LEAST_GRACE)
    }

    fn host_of(&self, pod: &Pod, runtime: &PodRuntime) -> String {
        let own = runtime.sandboxes.first().map(|s| s.ips.clone()).unwrap_or_default();
        self.pod_ips(pod, &own).into_iter().next().unwrap_or_else(|| self.shared.host_ip.clone())
    }

    async fn forget(&self, pod: &Pod, runtime: &PodRuntime, id: &str) -> bool {
        let done = told(self.shared.runtime.remove_container(id).await, "remove container");
        let gone = runtime.containers.iter().find(|c| c.id == id).filter(|_| !self.shared.runtime.hollow());
        if let Some(container) = gone.filter(|c| c.state != State::Created) {
            let log = make::log_of(&self.shared.config, pod, &container.name, container.attempt);
            if let Err(error) = std::fs::remove_file(&log) {
                tracing::debug!(%error, ?log, "log not removed");
            }
        }
        done
    }

    async fn create_sandbox(&self, pod: &Pod, attempt: u32, memory: &mut Memory) -> bool {
        let config = make::sandbox_config(&self.shared.config, pod, attempt);
        if !self.shared.runtime.hollow()
            && let Err(error) = std::fs::create_dir_all(&config.log_directory)
        {
            tracing::warn!(%error, dir = config.log_directory, "cannot make the log directory");
            return false;
        }
        match self.making.call(self.shared.runtime.create_sandbox(config)).await {
            Ok(_) => {
                memory.sandbox_retry_at = None;
                true
            }
            Err(error) => {
                memory.sandbox_retry_at = Some(Timestamp::now() + RETRY);
                let text = format!("Failed to create pod sandbox: {error}");
                self.shared.event(pod, None, EventType::Warning, "FailedCreatePodSandBox", text);
                true
            }
        }
    }

    async fn start(&mut self, pod: &Pod, runtime: &PodRuntime, name: &str, attempt: u32, memory: &mut Memory) -> bool {
        let Some(spec) = find(pod, name) else { return true };
        match self.try_start(pod, runtime, &spec, attempt).await {
            Ok(()) => {
                memory.started(name, attempt, Timestamp::now());
                true
            }
            Err(waiting) => {
                let quiet = matches!(
                    waiting.reason,
                    "ContainerCreating"
                        | "PodInitializing"
                        | "ImagePullBackOff"
                        | "ErrImageNeverPull"
                        | "PostStartHookError"
                );
                // It was made, and counts as a run that failed.
                if attempt > 0 && matches!(waiting.reason, "RunContainerError" | "PostStartHookError") {
                    memory.restarts.advance(name, Timestamp::now());
                }
                if !quiet {
                    let text = if waiting.reason.starts_with("ErrImage") {
                        waiting.reason.to_owned()
                    } else {
                        waiting.message.clone()
                    };
                    self.shared.event(pod, Some(name), EventType::Warning, "Failed", format!("Error: {text}"));
                }
                let wait = match waiting.reason {
                    "ContainerCreating" => SignedDuration::from_secs(2),
                    _ => RETRY,
                };
                memory.fail(name, waiting, Timestamp::now() + wait);
                true
            }
        }
    }

    async fn try_start(
        &mut self,
        pod: &Pod,
        runtime: &PodRuntime,
        spec: &Container,
        attempt: u32,
    ) -> Result<(), Waiting> {
        let sandbox =
            runtime.ready_sandbox().ok_or_else(|| Waiting::new("ContainerCreating", "the sandbox is not ready"))?;
        let ips = self.pod_ips(pod, &sandbox.ips);
        let sources = self.supplies.sources(pod).await?;
        let paths = self.supplies.volumes(pod, &sources).await?;
        let image = images::ensure(&self.shared, pod, spec, &sources).await?;
        let mut config = self.container_config(pod, spec, attempt, image, &sources, &paths, &ips)?;
        make::join_target(&mut config, pod, runtime);
        if !self.shared.runtime.hollow() {
            mounts::write_hosts(&self.shared.config, pod, &ips)
                .map_err(|e| Waiting::new("CreateContainerError", &e.to_string()))?;
            let logs = make::log_dir(&self.shared.config.log_dir, &identity(pod)).join(&spec.name);
            std::fs::create_dir_all(logs).map_err(|e| Waiting::new("CreateContainerError", &e.to_string()))?;
        }
        let sandbox_config = make::sandbox_config(&self.shared.config, pod, sandbox.attempt);
        let made = self.shared.runtime.create_container(&sandbox.id, config, sandbox_config);
        let id = self.making.call(made).await.map_err(|e| Waiting::new("CreateContainerError", &e.to_string()))?;
        self.shared.event(
            pod,
            Some(&spec.name),
            EventType::Normal,
            "Created",
            format!("Created container: {}", spec.name),
        );
        let started = self.making.call(self.shared.runtime.start_container(&id)).await;
        started.map_err(|e| Waiting::new("RunContainerError", &e.to_string()))?;
        self.shared.event(
            pod,
            Some(&spec.name),
            EventType::Normal,
            "Started",
            format!("Started container {}", spec.name),
        );
        if self.shared.runtime.hollow() {
            return Ok(());
        }
        let host = ips.first().map_or(self.shared.host_ip.as_str(), String::as_str);
        let of = Of { shared: &self.shared, id: &id, spec, host };
        let Err(why) = hooks::post_start(&of).await else { return Ok(()) };
        let text = "PostStartHook failed".to_owned();
        self.shared.event(pod, Some(&spec.name), EventType::Warning, "FailedPostStartHook", text);
        told(self.shared.runtime.stop_container(&id, LEAST_GRACE).await, "stop container");
        Err(Waiting::new("PostStartHookError", &why))
    }

    #[allow(clippy::too_many_arguments, reason = "each is a different part of a container")]
    fn container_config(
        &self,
        pod: &Pod,
        spec: &Container,
        attempt: u32,
        image: String,
        sources: &Sources,
        paths: &Paths,
        ips: &[String],
    ) -> Result<mainstay_proto::cri::ContainerConfig, Waiting> {
        let wrong = |why: String| Waiting::new("CreateContainerConfigError", &why);
        if self.shared.runtime.hollow() {
            return Ok(make::hollow_config(spec, attempt));
        }
        let services = self.shared.services.list();
        let around =
            env::Surroundings { pod, sources, services: &services, host_ip: &self.shared.host_ip, pod_ips: ips };
        let env = env::environment(&around, spec).map_err(wrong)?;
        let config = &self.shared.config;
        let node_memory = self.shared.node_memory;
        make::container_config(ContainerInput { config, pod, spec, attempt, image, paths, env, node_memory })
            .map_err(wrong)
    }

    fn pod_ips(&self, pod: &Pod, own: &[String]) -> Vec<String> {
        match pod.spec.as_ref().and_then(|s| s.host_network) {
            Some(true) => vec![self.shared.host_ip.clone()],
            _ => own.to_vec(),
        }
    }

    /// Removes sandboxes, volumes and logs of a pod that has ended; false to come again.
    pub async fn clean_up(&self, pod: &Pod, runtime: &PodRuntime) -> bool {
        for sandbox in &runtime.sandboxes {
            if !told(self.shared.runtime.remove_sandbox(&sandbox.id).await, "remove sandbox") {
                return false;
            }
        }
        if self.shared.runtime.hollow() {
            return true;
        }
        let id = identity(pod);
        let volumes = volumes::tear_down(&self.shared.config.root_dir, id.uid);
        let logs = match std::fs::remove_dir_all(make::log_dir(&self.shared.config.log_dir, &id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        cgroups::remove(&self.shared.config.cgroup_root, id.uid);
        told(volumes, "remove volumes") && told(logs, "remove logs")
    }
}

fn told<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> bool {
    if let Err(error) = &result {
        tracing::warn!(%error, "cannot {what}");
    }
    result.is_ok()
}
