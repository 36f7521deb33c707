//! What the agent is started with.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use mainstay_client::Client;

/// Which container runtime the node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A CRI runtime behind an endpoint such as `unix:///run/containerd/containerd.sock`.
    Containerd(String),
    /// Containers in memory only.
    Hollow,
}

/// What the agent is started with.
#[derive(Clone)]
pub struct AgentConfig {
    /// Name of the node object.
    pub node_name: String,
    /// The way to the masters; its identity is `system:node:<node_name>`.
    pub client: Client,
    /// Which container runtime.
    pub runtime: RuntimeKind,
    /// Where volumes are kept (`/var/lib/mainstay/agent`, for instance).
    pub root_dir: PathBuf,
    /// Where containers' logs are kept (`/var/log/pods`, for instance).
    pub log_dir: PathBuf,
    /// The pods' addresses on this node; none: the node object says.
    pub pod_cidr: Option<String>,
    /// Address of the cluster's DNS; none: pods use the node's resolver.
    pub cluster_dns: Option<String>,
    /// The cluster's DNS domain, `cluster.local` by default.
    pub cluster_domain: String,
    /// The node's address; none: that of its way out.
    pub node_ip: Option<String>,
    /// Parent cgroup of all pods, `/<node>/kubepods` by default.
    pub cgroup_root: String,
    /// Most pods on the node.
    pub max_pods: u32,
    /// CPUs to announce, in thousandths; none: those of the machine. Hollow nodes announce what they like.
    pub cpu_millis: Option<u64>,
    /// Memory to announce, in bytes; none: the machine's.
    pub memory_bytes: Option<u64>,
    /// Labels for the node object, next to the standard ones.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Taints that the node object is made with; later they are the administrators'.
    pub taints: Vec<Taint>,
    /// How often the runtime is looked over even without events.
    pub relist: Duration,
}

impl AgentConfig {
    /// With everything by default but these.
    pub fn new(node_name: &str, client: Client, runtime: RuntimeKind, root_dir: PathBuf) -> AgentConfig {
        AgentConfig {
            cgroup_root: format!("/{node_name}/kubepods"),
            log_dir: root_dir.join("logs"),
            node_name: node_name.to_owned(),
            client,
            runtime,
            root_dir,
            pod_cidr: None,
            cluster_dns: None,
            cluster_domain: "cluster.local".into(),
            node_ip: None,
            max_pods: 110,
            cpu_millis: None,
            memory_bytes: None,
            labels: std::collections::BTreeMap::new(),
            taints: Vec::new(),
            relist: Duration::from_secs(1),
        }
    }
}
