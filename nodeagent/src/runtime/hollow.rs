//! Containers that exist in memory only: for tests of everything around them, and for clusters of thousands of nodes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use mainstay_proto::cri as wire;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    ANNOTATION_HASH, ANNOTATION_RESTARTS, Census, Container, ExecResult, LABEL_POD_NAME, LABEL_POD_NAMESPACE,
    LABEL_POD_UID, PodId, PodRuntime, Runtime, RuntimeError, RuntimeInfo, Sandbox, State,
};

const NOTHING_RUNS: &str = "hollow containers have no processes to stream from";

struct Pod {
    id: PodId,
    sandbox: Sandbox,
    containers: Vec<Container>,
}

/// A runtime without processes. Containers start at once and run until they are stopped.
pub struct HollowRuntime {
    /// By sandbox id.
    pods: Mutex<BTreeMap<String, Pod>>,
    images: Mutex<BTreeMap<String, wire::Image>>,
    counter: AtomicU32,
    network: u32,
    size: u32,
    changed: Notify,
}

impl HollowRuntime {
    /// Pods get addresses from `pod_cidr` (such as `10.244.3.0/24`); without one, from 10.128.0.0/9 by the node's name.
    pub fn new(node_name: &str, pod_cidr: Option<&str>) -> HollowRuntime {
        let (network, size) = pod_cidr.and_then(parse_cidr).unwrap_or_else(|| own_network(node_name));
        HollowRuntime {
            pods: Mutex::default(),
            images: Mutex::default(),
            counter: AtomicU32::new(0),
            network,
            size,
            changed: Notify::new(),
        }
    }

    fn next(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// The first two addresses and the last are not for pods.
    fn free_address(&self, pods: &BTreeMap<String, Pod>) -> Result<String, RuntimeError> {
        let room = self.size.saturating_sub(3).max(1);
        for _ in 0..room {
            let ip = Ipv4Addr::from(self.network + 2 + self.next() % room).to_string();
            if !pods.values().any(|p| p.sandbox.ready && p.sandbox.ips.contains(&ip)) {
                return Ok(ip);
            }
        }
        Err(RuntimeError::Failed { code: "Unknown", message: "no IP addresses available in the pod CIDR".into() })
    }

    fn with_container<T>(&self, id: &str, change: impl FnOnce(&mut Container) -> T) -> Result<T, RuntimeError> {
        let mut pods = self.pods.lock();
        let mut all = pods.values_mut().flat_map(|p| p.containers.iter_mut());
        all.find(|c| c.id == id)
            .map(change)
            .ok_or_else(|| RuntimeError::NotFound(format!("container {id:?} not found")))
    }

    /// Ends a container as if its process had exited; for tests.
    pub fn exit(&self, id: &str, code: i32) -> Result<(), RuntimeError> {
        self.with_container(id, |c| end(c, code))?;
        self.changed.notify_one();
        Ok(())
    }
}

fn end(container: &mut Container, code: i32) {
    if container.state != State::Exited {
        container.state = State::Exited;
        container.exit_code = code;
        container.finished_at = Some(Timestamp::now());
    }
}

fn parse_cidr(cidr: &str) -> Option<(u32, u32)> {
    let (address, bits) = cidr.split_once('/')?;
    let bits: u32 = bits.parse().ok().filter(|b| (8..=30).contains(b))?;
    let size = 1u32 << (32 - bits);
    let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
    Some((address & !(size - 1), size))
}

/// A /20 of its own for most nodes; names may share one, for hollow pods are never reached.
fn own_network(node_name: &str) -> (u32, u32) {
    let hash = node_name.bytes().fold(2_166_136_261_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    (u32::from(Ipv4Addr::new(10, 128, 0, 0)) + ((hash % 2048) << 12), 1 << 12)
}

fn unique(kind: &str, number: u32) -> String {
    format!("{kind}{number:08x}{}", uuid::Uuid::new_v4().simple())
}

#[async_trait]
impl Runtime for HollowRuntime {
    async fn pod(&self, uid: &str) -> Result<PodRuntime, RuntimeError> {
        let pods = self.pods.lock();
        let mut seen = PodRuntime::default();
        for pod in pods.values().filter(|p| p.id.uid == uid) {
            seen.sandboxes.push(pod.sandbox.clone());
            seen.containers.extend(pod.containers.iter().cloned());
        }
        seen.sort();
        Ok(seen)
    }

    async fn census(&self) -> Result<Census, RuntimeError> {
        let pods = self.pods.lock();
        let mut census = Census::new();
        for pod in pods.values() {
            let seen = census.entry(pod.id.clone()).or_default();
            seen.push((pod.sandbox.id.clone(), i32::from(pod.sandbox.ready)));
            seen.extend(pod.containers.iter().map(|c| (c.id.clone(), c.state as i32 + 10)));
        }
        Ok(census)
    }

    async fn create_sandbox(&self, config: wire::PodSandboxConfig) -> Result<String, RuntimeError> {
        let label = |key: &str| config.labels.get(key).cloned().unwrap_or_default();
        let id =
            PodId { uid: label(LABEL_POD_UID), namespace: label(LABEL_POD_NAMESPACE), name: label(LABEL_POD_NAME) };
        let mut pods = self.pods.lock();
        let sandbox = Sandbox {
            id: unique("5", self.next()),
            attempt: config.metadata.map_or(0, |m| m.attempt),
            ready: true,
            created_at: Timestamp::now(),
            ips: vec![self.free_address(&pods)?],
        };
        let name = sandbox.id.clone();
        pods.insert(name.clone(), Pod { id, sandbox, containers: Vec::new() });
        Ok(name)
    }

    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        if let Some(pod) = self.pods.lock().get_mut(id) {
            pod.sandbox.ready = false;
            pod.containers.iter_mut().for_each(|c| end(c, 137));
        }
        Ok(())
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        self.pods.lock().remove(id);
        Ok(())
    }

    async fn create_container(
        &self,
        sandbox: &str,
        config: wire::ContainerConfig,
        _sandbox_config: wire::PodSandboxConfig,
    ) -> Result<String, RuntimeError> {
        let mut pods = self.pods.lock();
        let pod =
            pods.get_mut(sandbox).ok_or_else(|| RuntimeError::NotFound(format!("sandbox {sandbox:?} not found")))?;
        let metadata = config.metadata.unwrap_or_default();
        let image = config.image.unwrap_or_default().user_specified_image;
        let container = Container {
            id: unique("c", self.next()),
            name: metadata.name,
            sandbox_id: sandbox.to_owned(),
            attempt: config
                .annotations
                .get(ANNOTATION_RESTARTS)
                .and_then(|n| n.parse().ok())
                .unwrap_or(metadata.attempt),
            state: State::Created,
            created_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            image_id: digest(&image),
            image,
            hash: config.annotations.get(ANNOTATION_HASH).cloned().unwrap_or_default(),
            log_path: config.log_path,
        };
        let id = container.id.clone();
        pod.containers.push(container);
        Ok(id)
    }

    async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        self.with_container(id, |c| {
            c.state = State::Running;
            c.started_at = Some(Timestamp::now());
        })
    }

    async fn stop_container(&self, id: &str, _grace: Duration) -> Result<(), RuntimeError> {
        match self.with_container(id, |c| end(c, 0)) {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        self.pods.lock().values_mut().for_each(|p| p.containers.retain(|c| c.id != id));
        Ok(())
    }

    async fn exec_sync(&self, id: &str, command: &[String], _limit: Duration) -> Result<ExecResult, RuntimeError> {
        self.with_container(id, |_| ())?;
        let output = format!("hollow container: {:?} was not run\n", command.join(" "));
        Ok(ExecResult { exit_code: 0, output: Bytes::from(output) })
    }

    async fn exec_url(&self, _request: wire::ExecRequest) -> Result<String, RuntimeError> {
        Err(RuntimeError::Unsupported(NOTHING_RUNS))
    }

    async fn attach_url(&self, _request: wire::AttachRequest) -> Result<String, RuntimeError> {
        Err(RuntimeError::Unsupported(NOTHING_RUNS))
    }

    async fn port_forward_url(&self, _request: wire::PortForwardRequest) -> Result<String, RuntimeError> {
        Err(RuntimeError::Unsupported(NOTHING_RUNS))
    }

    async fn image(&self, image: &str) -> Result<Option<wire::Image>, RuntimeError> {
        Ok(self.images.lock().get(image).cloned())
    }

    async fn images(&self) -> Result<Vec<wire::Image>, RuntimeError> {
        Ok(self.images.lock().values().cloned().collect())
    }

    async fn images_in_use(&self) -> Result<Vec<String>, RuntimeError> {
        let pods = self.pods.lock();
        Ok(pods.values().flat_map(|p| p.containers.iter().map(|c| c.image.clone())).collect())
    }

    async fn remove_image(&self, id: &str) -> Result<(), RuntimeError> {
        self.images.lock().retain(|_, image| image.id != id);
        Ok(())
    }

    async fn reopen_log(&self, _id: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn pull(&self, image: &str, _auth: Option<wire::AuthConfig>) -> Result<String, RuntimeError> {
        let entry = wire::Image {
            id: digest(image),
            repo_tags: vec![image.to_owned()],
            size: 1 << 20,
            ..wire::Image::default()
        };
        let id = entry.id.clone();
        self.images.lock().insert(image.to_owned(), entry);
        Ok(id)
    }

    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo { name: "hollow".into(), version: env!("CARGO_PKG_VERSION").into(), trouble: None })
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    fn hollow(&self) -> bool {
        true
    }
}

fn digest(image: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(image.as_bytes());
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
