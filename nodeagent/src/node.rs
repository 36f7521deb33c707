//! The node object: registered once, its status written when it changes and every few minutes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use mainstay_client::{Api, EventType, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::machine::Machine;
use crate::pod::Shared;
use crate::runtime::RuntimeInfo;

/// The runtime is asked for its health this often.
const CHECK: Duration = Duration::from_secs(1);
/// Without an answer within this it counts as down.
const ANSWER: Duration = Duration::from_secs(2);
/// The status is compared with what is wanted this often, even if the runtime is as it was.
const COMPARE: Duration = Duration::from_secs(5);
/// The status is written this often even without a change.
const REFRESH: Duration = Duration::from_secs(300);
/// Most images that the status names.
const MAX_IMAGES: usize = 50;
/// The Kubernetes version that the agent acts as.
const KUBELET_VERSION: &str = "v1.36.0";

/// Keeps the node object as the node is.
pub(crate) struct NodeKeeper {
    shared: Arc<Shared>,
    machine: Machine,
    node: Store<Node>,
    changed: Arc<Notify>,
    ready: Arc<AtomicBool>,
    written: Option<Instant>,
}

impl NodeKeeper {
    pub fn new(shared: Arc<Shared>, machine: Machine, node: Store<Node>, changed: Arc<Notify>) -> NodeKeeper {
        NodeKeeper { shared, machine, node, changed, ready: Arc::default(), written: None }
    }

    /// Whether the runtime answers, for the heartbeats.
    pub fn readiness(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ready)
    }

    /// Until the agent stops.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.keep() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn keep(&mut self) {
        let mut greeted = false;
        let mut before = None;
        let mut compared = Instant::now();
        loop {
            let info = self.info().await;
            self.ready.store(info.trouble.is_none(), Ordering::Relaxed);
            if before.as_ref() != Some(&info) || compared.elapsed() >= COMPARE {
                compared = Instant::now();
                match self.write(&info).await {
                    Ok(written) => {
                        before = Some(info);
                        if let Some(node) = written.filter(|_| !greeted) {
                            greeted = true;
                            self.shared.recorder.event(&node, EventType::Normal, "Starting", "Starting kubelet.");
                        }
                    }
                    Err(error) => {
                        before = None;
                        tracing::debug!(%error, "node status not written");
                    }
                }
            }
            let changed = self.changed.notified();
            tokio::select! {
                () = async { changed.await; tokio::time::sleep(Duration::from_millis(500)).await } => {}
                () = tokio::time::sleep(CHECK) => {}
            }
        }
    }

    async fn info(&self) -> RuntimeInfo {
        let trouble = match tokio::time::timeout(ANSWER, self.shared.runtime.info()).await {
            Ok(Ok(info)) => return info,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("container runtime is down: no answer within {ANSWER:?}"),
        };
        RuntimeInfo { trouble: Some(trouble), ..RuntimeInfo::default() }
    }

    /// The node, if something was written.
    async fn write(&mut self, info: &RuntimeInfo) -> Result<Option<Node>, mainstay_client::Error> {
        let api = Api::<Node>::all(self.shared.config.client.clone());
        let name = &self.shared.config.node_name;
        let known = match self.node.find("", name) {
            Some(node) => (*node).clone(),
            None => match api.get_opt(name).await? {
                Some(node) => node,
                None => api.create(&self.fresh()).await?,
            },
        };
        let images = match info.trouble {
            None => self.images().await,
            // Who does not answer is not asked: the masters are to hear of it at once.
            Some(_) => known.status.as_ref().and_then(|status| status.images.clone()).unwrap_or_default(),
        };
        let status = self.status(known.status.as_ref(), info, images);
        let due = self.written.is_none_or(|at| at.elapsed() >= REFRESH);
        if !due && same(known.status.as_ref(), &status) {
            return Ok(None);
        }
        let written = api.update_status(&Node { status: Some(status), ..known }).await?;
        self.written = Some(Instant::now());
        Ok(Some(written))
    }

    fn fresh(&self) -> Node {
        let config = &self.shared.config;
        let arch = arch();
        let mut labels = config.labels.clone();
        for (key, value) in [
            ("kubernetes.io/hostname", config.node_name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", arch),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        let spec = NodeSpec {
            pod_cidr: config.pod_cidr.clone(),
            pod_cidrs: config.pod_cidr.clone().map(|cidr| vec![cidr]),
            taints: (!config.taints.is_empty()).then(|| config.taints.clone()),
            ..NodeSpec::default()
        };
        let metadata =
            ObjectMeta { name: Some(config.node_name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        Node { metadata, spec: Some(spec), status: None }
    }

    async fn images(&self) -> Vec<ContainerImage> {
        let mut images = self.shared.runtime.images().await.unwrap_or_default();
        images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
        let named = images.into_iter().take(MAX_IMAGES).map(|image| ContainerImage {
            names: Some(image.repo_digests.into_iter().chain(image.repo_tags).collect()),
            size_bytes: i64::try_from(image.size).ok(),
        });
        named.collect()
    }

    fn status(&self, known: Option<&NodeStatus>, info: &RuntimeInfo, images: Vec<ContainerImage>) -> NodeStatus {
        let machine = &self.machine;
        let capacity = self.capacity();
        let addresses = [("InternalIP", &machine.address), ("Hostname", &self.shared.config.node_name)];
        let addresses = addresses.map(|(kind, address)| NodeAddress { type_: kind.into(), address: address.clone() });
        NodeStatus {
            addresses: Some(addresses.to_vec()),
            allocatable: Some(capacity.clone()),
            capacity: Some(capacity),
            conditions: Some(conditions(known, info)),
            images: (!images.is_empty()).then_some(images),
            node_info: Some(self.node_info(known, info)),
            ..known.cloned().unwrap_or_default()
        }
    }

    fn capacity(&self) -> BTreeMap<String, Quantity> {
        let machine = &self.machine;
        let cpu = match machine.cpu_millis % 1000 {
            0 => (machine.cpu_millis / 1000).to_string(),
            _ => format!("{}m", machine.cpu_millis),
        };
        let all = [
            ("cpu", cpu),
            ("memory", format!("{}Ki", machine.memory_bytes / 1024)),
            ("ephemeral-storage", format!("{}Ki", machine.disk_bytes / 1024)),
            ("pods", self.shared.config.max_pods.to_string()),
        ];
        all.into_iter().map(|(key, value)| (key.to_owned(), Quantity(value))).collect()
    }

    fn node_info(&self, known: Option<&NodeStatus>, info: &RuntimeInfo) -> NodeSystemInfo {
        let machine = &self.machine;
        NodeSystemInfo {
            architecture: arch().into(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: runtime_version(known, info),
            kernel_version: machine.kernel.clone(),
            kube_proxy_version: KUBELET_VERSION.into(),
            kubelet_version: KUBELET_VERSION.into(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".into(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.machine_id.clone(),
            ..NodeSystemInfo::default()
        }
    }
}

/// While the runtime is down, it is what it was.
fn runtime_version(known: Option<&NodeStatus>, info: &RuntimeInfo) -> String {
    let before = known.and_then(|s| s.node_info.as_ref()).map(|i| i.container_runtime_version.clone());
    match (info.name.as_str(), before) {
        ("", Some(before)) => before,
        _ => format!("{}://{}", info.name, info.version),
    }
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn conditions(known: Option<&NodeStatus>, info: &RuntimeInfo) -> Vec<NodeCondition> {
    let ready = match &info.trouble {
        None => ("Ready", "True", "KubeletReady", "kubelet is posting ready status".to_owned()),
        Some(why) => ("Ready", "False", "KubeletNotReady", why.clone()),
    };
    let fine = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available".to_owned()),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure".to_owned()),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available".to_owned()),
    ];
    let known = known.and_then(|s| s.conditions.as_deref()).unwrap_or(&[]);
    let ours = fine.into_iter().chain([ready]);
    let mut all: Vec<_> = ours.map(|verdict| condition(known, verdict)).collect();
    let own: Vec<_> = all.iter().map(|c| c.type_.clone()).collect();
    all.extend(known.iter().filter(|c| !own.contains(&c.type_)).cloned());
    all
}

fn condition(known: &[NodeCondition], (kind, status, reason, message): (&str, &str, &str, String)) -> NodeCondition {
    let now = Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default());
    let before = known.iter().find(|c| c.type_ == kind && c.status == status);
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: before.and_then(|c| c.last_transition_time.clone()).or(Some(now)),
    }
}

/// Equal apart from the times of the heartbeats.
fn same(known: Option<&NodeStatus>, status: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        status.conditions.iter_mut().flatten().for_each(|c| c.last_heartbeat_time = None);
        status
    };
    known.is_some_and(|known| still(known) == still(status))
}
