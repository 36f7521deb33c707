//! A worker a pod: looks, plans, acts, and says what it sees.

mod act;
pub(crate) mod cgroups;
mod env;
pub(crate) mod fields;
mod grpc;
mod hooks;
mod http;
mod images;
mod inbox;
mod last_words;
pub(crate) mod make;
mod making;
mod mounts;
mod probes;
mod publish;
mod resources;
mod supplies;
mod worker;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use mainstay_client::{EventRecorder, EventType, Store};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::config::AgentConfig;
use crate::identity::identity;
use crate::plan::Backoff;
use crate::runtime::Runtime;

pub(crate) use inbox::Inbox;
pub(crate) use worker::run as run_worker;

/// What all workers share.
pub(crate) struct Shared {
    pub config: AgentConfig,
    pub runtime: Arc<dyn Runtime>,
    pub cluster: Cluster,
    pub recorder: EventRecorder,
    pub services: Store<Service>,
    pub host_ip: String,
    /// In bytes.
    pub node_memory: u64,
    pub pulls: Mutex<Backoff>,
}

impl Shared {
    /// An event about a container of a pod.
    pub fn event(&self, pod: &Pod, container: Option<&str>, kind: EventType, reason: &str, message: String) {
        let id = identity(pod);
        let field = container.map(|name| {
            let spec = || pod.spec.iter();
            let init = spec().flat_map(|s| s.init_containers.iter().flatten()).any(|c| c.name == name);
            let ephemeral = spec().flat_map(|s| s.ephemeral_containers.iter().flatten()).any(|c| c.name == name);
            let list = match (init, ephemeral) {
                (true, _) => "initContainers",
                (_, true) => "ephemeralContainers",
                _ => "containers",
            };
            format!("spec.{list}{{{name}}}")
        });
        let regarding = k8s_openapi::api::core::v1::ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(id.namespace.into()),
            name: Some(id.name.into()),
            uid: Some(id.uid.into()),
            resource_version: pod.metadata.resource_version.clone(),
            field_path: field,
        };
        self.recorder.event_for(regarding, kind, reason, message);
    }
}
