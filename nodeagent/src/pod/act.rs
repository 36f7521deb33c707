//! Carries out a plan's steps on the runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_client::EventType;

use super::hooks::{self, Of};
use super::make::{self, ContainerInput};
use super::making::Making;
use super::{Shared, Sources, cgroups, env, images, mounts};
use crate::checkpoint::Checkpoint;
use crate::plan::{Action, KillReason, Memory, Waiting, find};
use crate::runtime::{PodRuntime, State};
use crate::volumes::{self, Paths, TokenKey, Tokens};

/// After a failed sandbox or start.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Most of a container's last words that are kept.
const LAST_WORDS_BYTES: usize = 4096;
/// Most of its log that stands in for them.
const LAST_LINES: usize = 80;
const LAST_LINES_BYTES: usize = 2048;
/// So long a container waits for masters that it could do without.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// A container gets at least this to end, whatever its hook took.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// Does what plans say, for one pod.
pub(super) struct Actor {
    pub shared: Arc<Shared>,
    pub making: Making,
    tokens: BTreeMap<TokenKey, (String, Instant)>,
    /// As last fetched: a container can be restarted while no master answers.
    fetched: Option<Sources>,
    /// Containers whose hook before the end has begun.
    pre_stopped: parking_lot::Mutex<BTreeSet<String>>,
}

impl Actor {
    pub fn new(shared: Arc<Shared>) -> Actor {
        Actor {
            shared,
            making: Making::default(),
            tokens: BTreeMap::new(),
            fetched: None,
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
            let log = self.log_of(pod, &container.name, container.attempt);
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
        let sandbox = runtime.ready_sandbox().ok_or_else(|| waits("ContainerCreating", "the sandbox is not ready"))?;
        let ips = self.pod_ips(pod, &sandbox.ips);
        let sources = self.sources(pod).await?;
        let paths = self.volumes(pod, &sources).await?;
        let image = images::ensure(&self.shared, pod, spec, &sources).await?;
        let mut config = self.container_config(pod, spec, attempt, image, &sources, &paths, &ips)?;
        make::join_target(&mut config, pod, runtime);
        if !self.shared.runtime.hollow() {
            mounts::write_hosts(&self.shared.config, pod, &ips)
                .map_err(|e| waits("CreateContainerError", &e.to_string()))?;
            let logs = make::log_dir(&self.shared.config.log_dir, &make::identity(pod)).join(&spec.name);
            std::fs::create_dir_all(logs).map_err(|e| waits("CreateContainerError", &e.to_string()))?;
        }
        let sandbox_config = make::sandbox_config(&self.shared.config, pod, sandbox.attempt);
        let made = self.shared.runtime.create_container(&sandbox.id, config, sandbox_config);
        let id = self.making.call(made).await.map_err(|e| waits("CreateContainerError", &e.to_string()))?;
        self.shared.event(
            pod,
            Some(&spec.name),
            EventType::Normal,
            "Created",
            format!("Created container: {}", spec.name),
        );
        let started = self.making.call(self.shared.runtime.start_container(&id)).await;
        started.map_err(|e| waits("RunContainerError", &e.to_string()))?;
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
        Err(waits("PostStartHookError", &why))
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

    async fn sources(&mut self, pod: &Pod) -> Result<Sources, Waiting> {
        if self.shared.runtime.hollow() {
            return Ok(Sources::default());
        }
        let uid = make::identity(pod).uid;
        let known = self.fetched.clone().or_else(|| self.checkpoint().sources(uid));
        match (in_time(known.is_some(), self.shared.cluster.sources(pod)).await, known) {
            (Ok(sources), _) => {
                if self.fetched.as_ref() != Some(&sources) {
                    self.checkpoint().put_sources(uid, &sources);
                    self.fetched = Some(sources.clone());
                }
                Ok(sources)
            }
            (Err(error), Some(known)) if silent(&error) => {
                tracing::debug!(%error, "no master answers; what was fetched before has to do");
                Ok(known)
            }
            (Err(error), _) => Err(waits("ContainerCreating", &error.to_string())),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::new(&self.shared.config.root_dir)
    }

    async fn volumes(&mut self, pod: &Pod, sources: &Sources) -> Result<Paths, Waiting> {
        if self.shared.runtime.hollow() {
            return Ok(Paths::new());
        }
        let root = &self.shared.config.root_dir.clone();
        // A container that is started again finds its volumes as they were.
        let there = volumes::existing(root, pod);
        let made = match in_time(there.is_some(), self.tokens(pod)).await {
            Ok(tokens) => volumes::set_up(root, pod, sources, &tokens),
            Err(error) if silent(&error) => there.ok_or_else(|| no_token(&error)),
            Err(error) => Err(no_token(&error)),
        };
        made.map_err(|text| {
            self.shared.event(pod, None, EventType::Warning, "FailedMount", text);
            Waiting { reason: "ContainerCreating", message: String::new() }
        })
    }

    /// The tokens that the volumes want, renewed when most of their life is over.
    async fn tokens(&mut self, pod: &Pod) -> Result<Tokens, mainstay_client::Error> {
        for key in volumes::token_requests(pod) {
            if self.tokens.get(&key).is_some_and(|(_, renew)| Instant::now() < *renew) {
                continue;
            }
            match self.shared.cluster.token(pod, &key).await {
                Ok((token, life)) => drop(self.tokens.insert(key, (token, Instant::now() + life))),
                Err(error) if silent(&error) && self.tokens.contains_key(&key) => {}
                Err(error) => return Err(error),
            }
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

    fn log_of(&self, pod: &Pod, container: &str, attempt: u32) -> std::path::PathBuf {
        let dir = make::log_dir(&self.shared.config.log_dir, &make::identity(pod));
        dir.join(container).join(format!("{attempt}.log"))
    }

    /// What containers wrote to their termination message path becomes their message.
    pub fn read_last_words(&self, pod: &Pod, runtime: &mut PodRuntime) {
        if self.shared.runtime.hollow() {
            return;
        }
        for container in runtime.containers.iter_mut().filter(|c| c.state == State::Exited) {
            let Some(spec) = find(pod, &container.name) else { continue };
            let path = mounts::termination_log(&self.shared.config, pod, &spec, container.attempt);
            let words = std::fs::read(path).unwrap_or_default();
            let cut = &words[words.len().saturating_sub(LAST_WORDS_BYTES)..];
            if !cut.is_empty() {
                container.message = String::from_utf8_lossy(cut).into_owned();
            } else if container.exit_code != 0
                && spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError")
            {
                let log = self.log_of(pod, &container.name, container.attempt);
                container.message = crate::server::last_lines(&log, LAST_LINES, LAST_LINES_BYTES).unwrap_or_default();
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
        cgroups::remove(&self.shared.config.cgroup_root, id.uid);
        told(volumes, "remove volumes") && told(logs, "remove logs")
    }
}

/// Whether the masters did not answer, or had no leader to answer with: that says nothing about what was asked for.
fn silent(error: &mainstay_client::Error) -> bool {
    matches!(error.code(), 0 | 429 | 500..)
}

/// Asks the masters, and no longer than a container can wait if there is something to go on with: masters that are frozen
/// or cut off neither answer nor refuse.
async fn in_time<T>(
    can_go_on: bool,
    question: impl Future<Output = Result<T, mainstay_client::Error>>,
) -> Result<T, mainstay_client::Error> {
    if !can_go_on {
        return question.await;
    }
    let unanswered = |_| Err(mainstay_client::Error::Unavailable(format!("no answer within {ANSWER_LIMIT:?}")));
    tokio::time::timeout(ANSWER_LIMIT, question).await.unwrap_or_else(unanswered)
}

fn no_token(error: &mainstay_client::Error) -> String {
    format!("failed to fetch token: {error}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_who_has_something_to_go_on_with_stops_waiting_for_a_silent_master() {
        let began = tokio::time::Instant::now();
        let error = in_time(true, std::future::pending::<Result<(), mainstay_client::Error>>()).await.unwrap_err();
        assert!(silent(&error) && began.elapsed() == ANSWER_LIMIT);
        let slow = async {
            tokio::time::sleep(ANSWER_LIMIT * 3).await;
            Ok(7)
        };
        assert_eq!(in_time(false, slow).await.unwrap(), 7);
    }
}
