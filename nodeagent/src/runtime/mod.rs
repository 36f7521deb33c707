//! The container runtime: containerd over CRI, or containers that exist in memory only.

mod cri;
mod events;
mod hollow;
mod types;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mainstay_proto::cri as wire;

pub use cri::CriRuntime;
pub use hollow::HollowRuntime;
pub use types::{Container, PodRuntime, Sandbox, State};

/// Label with the pod's name, on sandboxes and containers, as the kubelet sets it.
pub const LABEL_POD_NAME: &str = "io.kubernetes.pod.name";
/// Label with the pod's namespace.
pub const LABEL_POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label with the pod's uid.
pub const LABEL_POD_UID: &str = "io.kubernetes.pod.uid";
/// Label with the container's name.
pub const LABEL_CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Annotation with the fingerprint of the spec that a container was made from.
pub const ANNOTATION_HASH: &str = "io.kubernetes.container.hash";
/// Annotation with the count of restarts before this run.
pub const ANNOTATION_RESTARTS: &str = "io.kubernetes.container.restartCount";

/// Why a call of the runtime failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It does not answer.
    #[error("container runtime is down: {0}")]
    Down(String),
    /// No answer within this time.
    #[error("the container runtime did not answer within {0:?}")]
    Timeout(Duration),
    /// What was named is not there.
    #[error("rpc error: code = NotFound desc = {0}")]
    NotFound(String),
    /// It refused or failed; in its own words.
    #[error("rpc error: code = {code} desc = {message}")]
    Failed {
        /// The gRPC code's name.
        code: &'static str,
        /// The runtime's text.
        message: String,
    },
    /// This runtime cannot do that.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// A pod that the runtime knows of, by its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodId {
    /// The pod's uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What changed in the runtime, as far as a cheap look tells: sandboxes and containers with their states, by pod.
pub type Census = std::collections::BTreeMap<PodId, Vec<(String, i32)>>;

/// What a command in a container gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code.
    pub exit_code: i32,
    /// Standard output and standard error.
    pub output: Bytes,
}

/// Name, version and readiness of a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// `containerd`, for instance.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Why it is not ready; none if it is.
    pub trouble: Option<String>,
}

/// The runtime as the agent uses it. All calls have timeouts and may be repeated.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// All that belongs to a pod.
    async fn pod(&self, uid: &str) -> Result<PodRuntime, RuntimeError>;
    /// A cheap look over all pods.
    async fn census(&self) -> Result<Census, RuntimeError>;
    /// Makes a sandbox; returns its id.
    async fn create_sandbox(&self, config: wire::PodSandboxConfig) -> Result<String, RuntimeError>;
    /// Takes a sandbox down; containers in it die.
    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError>;
    /// Forgets a sandbox and its containers.
    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError>;
    /// Makes a container; returns its id.
    async fn create_container(
        &self,
        sandbox: &str,
        config: wire::ContainerConfig,
        sandbox_config: wire::PodSandboxConfig,
    ) -> Result<String, RuntimeError>;
    /// Starts a container that was made.
    async fn start_container(&self, id: &str) -> Result<(), RuntimeError>;
    /// Ends a container's process; returns when it has ended.
    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError>;
    /// Forgets a container.
    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError>;
    /// Runs a command and waits for its end.
    async fn exec_sync(&self, id: &str, command: &[String], limit: Duration) -> Result<ExecResult, RuntimeError>;
    /// Where to stream a command's input and output.
    async fn exec_url(&self, request: wire::ExecRequest) -> Result<String, RuntimeError>;
    /// Where to join a container's main process.
    async fn attach_url(&self, request: wire::AttachRequest) -> Result<String, RuntimeError>;
    /// Where to reach ports in a sandbox's network.
    async fn port_forward_url(&self, request: wire::PortForwardRequest) -> Result<String, RuntimeError>;
    /// An image, if the node has it.
    async fn image(&self, image: &str) -> Result<Option<wire::Image>, RuntimeError>;
    /// All images.
    async fn images(&self) -> Result<Vec<wire::Image>, RuntimeError>;
    /// Names of the images that something on the node is made from.
    async fn images_in_use(&self) -> Result<Vec<String>, RuntimeError>;
    /// Forgets an image.
    async fn remove_image(&self, id: &str) -> Result<(), RuntimeError>;
    /// Begins a new log file for a container, after its old one was moved.
    async fn reopen_log(&self, id: &str) -> Result<(), RuntimeError>;
    /// Fetches an image; returns the runtime's reference to it.
    async fn pull(&self, image: &str, auth: Option<wire::AuthConfig>) -> Result<String, RuntimeError>;
    /// Name, version, readiness.
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError>;
    /// Ends processes that the runtime lost track of; to be called now and then. What is found for the first time is left
    /// until the next call.
    async fn end_strays(&self) -> Result<(), RuntimeError> {
        Ok(())
    }
    /// Waits until something may have changed. May also return without a change; never before a short while.
    async fn changed(&self);
    /// Containers exist in memory only: there are no files to mount, probes hold, logs are made up.
    fn hollow(&self) -> bool {
        false
    }
}
