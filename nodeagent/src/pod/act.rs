//! Carries out a plan's steps on the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_client::EventType;

use super::make::{self, ContainerInput};
use super::{Shared, Sources, env, images, mounts, resources};
use crate::plan::{Action, KillReason, Memory, Waiting};
use crate::runtime::{PodRuntime, State};
use crate::volumes::{self, Paths, TokenKey, Tokens};

/// After a failed sandbox or start.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Most of a container's last words that are kept.
const LAST_WORDS_BYTES: usize = 4096;

/// Does what plans say, for one pod.
pub(super) struct Actor {
    pub shared: Arc<Shared>,
    tokens: BTreeMap<TokenKey, (String, Instant)>,
}

impl Actor {
    pub fn new(shared: Arc<Shared>) -> Actor {
        Actor { shared, tokens: BTreeMap::new() }
    }

    /// Performs the steps in order; false as soon as one fails. Kills go in parallel.
    pub async fn perform(&mut self, pod: &Pod, runtime: &PodRuntime, actions: &[Action], memory: &mut Memory) -> bool {
        let kills = actions.iter().filter_map(|action| match action {
            Action::Kill { id, name, grace, why } => Some(self.kill(pod, id, name, *grace, *why)),
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

    async fn kill(&self, pod: &Pod, id: &str, name: &str, grace: SignedDuration, why: KillReason) -> bool {
        let text = match why {
            KillReason::Stopping | KillReason::SandboxGone => format!("Stopping container {name}"),
            KillReason::Liveness => format!("Container {name} failed liveness probe, will be restarted"),
            KillReason::Startup => format!("Container {name} failed startup probe, will be restarted"),
            KillReason::Changed => format!("Container {name} definition changed, will be restarted"),
        };
        self.shared.event(pod, Some(name), EventType::Normal, "Killing", text);
        let grace = Duration::try_from(grace).unwrap_or_default();
        told(self.shared.runtime.stop_container(id, grace).await, "stop container")
    }

    async fn forget(&self, pod: &Pod, runtime: &PodRuntime, id: &str) -> bool {
        let done = told(self.shared.runtime.remove_container(id).await, "remove container");
        let gone = runtime.containers.iter().find(|c| c.id == id).filter(|_| !self.shared.runtime.hollow());
        if let Some(container) = gone.filter(|c| c.state != State::Created) {
            let dir = make::log_dir(&self.shared.config.log_dir, &make::identity(pod));
            let log = dir.join(&container.name).join(format!("{}.log", container.attempt));
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
        match self.shared.runtime.create_sandbox(config).await {
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
        match self.try_start(pod, runtime, spec, attempt).await {
            Ok(()) => {
                memory.started(name, attempt, Timestamp::now());
                true
            }
            Err(waiting) => {
                let quiet = matches!(
                    waiting.reason,
                    "ContainerCreating" | "PodInitializing" | "ImagePullBackOff" | "ErrImageNeverPull"
                );
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
        let sandbox = runtime.ready_sandbox().ok_or_else(|| waits("ContainerCreating", "the sandbox is not ready"))?;
        let ips = self.pod_ips(pod, &sandbox.ips);
        let sources = self.sources(pod).await?;
        let paths = self.volumes(pod, &sources).await?;
        let image = images::ensure(&self.shared, pod, spec, &sources).await?;
        let config = self.container_config(pod, spec, attempt, image, &sources, &paths, &ips)?;
        if !self.shared.runtime.hollow() {
            mounts::write_hosts(&self.shared.config, pod, &ips)
                .map_err(|e| waits("CreateContainerError", &e.to_string()))?;
            let logs = make::log_dir(&self.shared.config.log_dir, &make::identity(pod)).join(&spec.name);
            std::fs::create_dir_all(logs).map_err(|e| waits("CreateContainerError", &e.to_string()))?;
        }
        let sandbox_config = make::sandbox_config(&self.shared.config, pod, sandbox.attempt);
        let made = self.shared.runtime.create_container(&sandbox.id, config, sandbox_config).await;
        let id = made.map_err(|e| waits("CreateContainerError", &e.to_string()))?;
        self.shared.event(
            pod,
            Some(&spec.name),
            EventType::Normal,
            "Created",
            format!("Created container: {}", spec.name),
        );
        self.shared.runtime.start_container(&id).await.map_err(|e| waits("RunContainerError", &e.to_string()))?;
        self.shared.event(
            pod,
            Some(&spec.name),
            EventType::Normal,
            "Started",
            format!("Started container {}", spec.name),
        );
        Ok(())
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
        let wrong = |why: String| waits("CreateContainerConfigError", &why);
        if self.shared.runtime.hollow() {
            return Ok(hollow_config(spec, attempt));
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

    async fn sources(&self, pod: &Pod) -> Result<Sources, Waiting> {
        if self.shared.runtime.hollow() {
            return Ok(Sources::default());
        }
        self.shared.cluster.sources(pod).await.map_err(|e| waits("ContainerCreating", &e.to_string()))
    }

    async fn volumes(&mut self, pod: &Pod, sources: &Sources) -> Result<Paths, Waiting> {
        if self.shared.runtime.hollow() {
            return Ok(Paths::new());
        }
        let made = match self.tokens(pod).await {
            Ok(tokens) => volumes::set_up(&self.shared.config.root_dir, pod, sources, &tokens),
            Err(error) => Err(error),
        };
        made.map_err(|text| {
            self.shared.event(pod, None, EventType::Warning, "FailedMount", text);
            Waiting { reason: "ContainerCreating", message: String::new() }
        })
    }

    /// The tokens that the volumes want, renewed when most of their life is over.
    async fn tokens(&mut self, pod: &Pod) -> Result<Tokens, String> {
        for key in volumes::token_requests(pod) {
            if self.tokens.get(&key).is_some_and(|(_, renew)| Instant::now() < *renew) {
                continue;
            }
            let (token, life) =
                self.shared.cluster.token(pod, &key).await.map_err(|e| format!("failed to fetch token: {e}"))?;
            self.tokens.insert(key, (token, Instant::now() + life));
        }
        Ok(self.tokens.iter().map(|(key, (token, _))| (key.clone(), token.clone())).collect())
    }

    /// Brings changed ConfigMaps, Secrets and tokens to a pod that runs.
    pub async fn refresh(&mut self, pod: &Pod, runtime: &PodRuntime) {
        let running = runtime.containers.iter().any(|c| c.state == State::Running);
        let files = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
        let mut files = files.filter(|v| v.empty_dir.is_none() && v.host_path.is_none());
        if !running || files.next().is_none() || pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        if let Ok(sources) = self.sources(pod).await
            && let Err(waiting) = self.volumes(pod, &sources).await
        {
            tracing::debug!(?waiting, "volumes not refreshed");
        }
    }

    /// What containers wrote to their termination message path becomes their message.
    pub fn read_last_words(&self, pod: &Pod, runtime: &mut PodRuntime) {
        if self.shared.runtime.hollow() {
            return;
        }
        for container in runtime.containers.iter_mut().filter(|c| c.state == State::Exited) {
            let Some(spec) = find(pod, &container.name) else { continue };
            let path = mounts::termination_log(&self.shared.config, pod, spec, container.attempt);
            if let Ok(words) = std::fs::read(path)
                && !words.is_empty()
            {
                let cut = &words[words.len().saturating_sub(LAST_WORDS_BYTES)..];
                container.message = String::from_utf8_lossy(cut).into_owned();
            }
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
        let id = make::identity(pod);
        let volumes = volumes::tear_down(&self.shared.config.root_dir, id.uid);
        let logs = match std::fs::remove_dir_all(make::log_dir(&self.shared.config.log_dir, &id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        resources::remove_pod_cgroups(&self.shared.config.cgroup_root, id.uid);
        told(volumes, "remove volumes") && told(logs, "remove logs")
    }
}

fn waits(reason: &'static str, message: &str) -> Waiting {
    Waiting { reason, message: message.to_owned() }
}

fn told<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> bool {
    if let Err(error) = &result {
        tracing::warn!(%error, "cannot {what}");
    }
    result.is_ok()
}

fn find<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name)
}

/// A hollow container needs no more than its names.
fn hollow_config(spec: &Container, attempt: u32) -> mainstay_proto::cri::ContainerConfig {
    use crate::runtime::{ANNOTATION_HASH, ANNOTATION_RESTARTS};
    use mainstay_proto::cri::{ContainerConfig, ContainerMetadata, ImageSpec};
    let user_specified_image = spec.image.clone().unwrap_or_default();
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: spec.name.clone(), attempt }),
        image: Some(ImageSpec { user_specified_image, ..ImageSpec::default() }),
        annotations: [
            (ANNOTATION_HASH.to_owned(), crate::plan::spec_hash(spec)),
            (ANNOTATION_RESTARTS.to_owned(), attempt.to_string()),
        ]
        .into(),
        ..ContainerConfig::default()
    }
}
