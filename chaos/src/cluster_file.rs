//! The processes of a cluster, as its supervisor writes them down.

use std::path::PathBuf;

use serde::Deserialize;

/// What `cluster.json` says; `mainstay up` keeps it current.
#[derive(Clone, Debug, Deserialize)]
pub struct ClusterFile {
    /// The masters, dead ones included until they are replaced.
    pub masters: Vec<MasterProcess>,
    /// The workers.
    #[serde(default)]
    pub workers: Vec<WorkerProcess>,
    /// Agents beside masters, in the masters' order; empty unless masters are nodes too.
    #[serde(default)]
    pub master_agents: Vec<WorkerProcess>,
    /// `host:port` of its image registry, where it has real containers.
    #[serde(default)]
    pub registry: Option<String>,
}

impl ClusterFile {
    /// The ids of all processes.
    pub fn pids(&self) -> impl Iterator<Item = i32> {
        let masters = self.masters.iter().map(|master| master.pid);
        let nodes = self.nodes().flat_map(|node| [Some(node.pid), node.runtime_pid]);
        masters.chain(nodes.flatten())
    }

    /// Everything that has an agent: the workers, then the masters that are nodes too.
    pub fn nodes(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.workers.iter().chain(&self.master_agents)
    }
}

/// A master's process.
#[derive(Clone, Debug, Deserialize)]
pub struct MasterProcess {
    /// Its name in the cluster.
    pub name: String,
    /// Where its API answers.
    pub url: String,
    /// Its process id.
    pub pid: i32,
    /// Its state on disk.
    pub data_dir: PathBuf,
    /// Its network namespace, if it has one of its own.
    #[serde(default)]
    pub netns: Option<String>,
}

/// A node's agent, and its container runtime where there is one.
#[derive(Clone, Debug, Deserialize)]
pub struct WorkerProcess {
    /// Its name with the supervisor, and its node's unless that is given.
    pub name: String,
    /// Its node's name, where it is a master's.
    #[serde(default)]
    pub node: Option<String>,
    /// The agent's process id.
    pub pid: i32,
    /// Its state on disk, and its runtime's.
    pub data_dir: PathBuf,
    /// containerd's process id; absent with the hollow runtime.
    #[serde(default)]
    pub runtime_pid: Option<i32>,
    /// Its network namespace; absent with the hollow runtime on a cluster that is not isolated.
    #[serde(default)]
    pub netns: Option<String>,
}

impl WorkerProcess {
    /// Its node's name.
    #[must_use]
    pub fn node_name(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.name)
    }
}
