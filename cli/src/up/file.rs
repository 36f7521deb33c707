//! `cluster.json`: what runs, where, and how to start it again. Tests and tools read it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::args::Runtime;
use crate::kubeconfig::write_private;
use crate::process::Remembered;

/// The whole cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClusterFile {
    /// The masters in order of their start.
    pub(crate) masters: Vec<Master>,
    /// The workers.
    #[serde(default)]
    pub(crate) workers: Vec<Worker>,
    /// Agents beside masters, in the masters' order; empty unless masters are nodes too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) master_agents: Vec<Worker>,
    /// The CA's certificate: a path.
    pub(crate) ca: PathBuf,
    /// The administrator's bearer token.
    pub(crate) token: String,
    /// A token that agents may join with; empty until the masters know it.
    pub(crate) join_token: String,
    /// A token that masters may join with.
    #[serde(default)]
    pub(crate) master_token: String,
    /// What runs the pods.
    pub(crate) runtime: Runtime,
    /// `host:port` of the cluster's image registry, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<String>,
    /// The process behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry_process: Option<Remembered>,
    /// The host's bridge between the workers, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bridge: Option<String>,
    /// Third number of the bridge's network 10.89.N.0/24, and of the pods' networks.
    #[serde(default)]
    pub(crate) network: u8,
    /// Environments of single processes, as `NAME:KEY=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<String>,
    /// Who starts again what dies.
    #[serde(default)]
    pub(crate) supervisor: Remembered,
}

/// A master's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Master {
    /// Its name.
    pub(crate) name: String,
    /// Its API.
    pub(crate) url: String,
    /// Its process now.
    #[serde(flatten)]
    pub(crate) process: Remembered,
    /// Its data.
    pub(crate) data_dir: PathBuf,
    /// Where it listens for clients.
    pub(crate) listen: String,
    /// Where it listens for masters.
    pub(crate) peer_listen: String,
    /// Its network namespace, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) netns: Option<String>,
    /// Further arguments.
    #[serde(default)]
    pub(crate) args: Vec<String>,
}

/// A node's processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Worker {
    /// Its name among the cluster's processes, and its node's unless that is given.
    pub(crate) name: String,
    /// Its node's name, where it is a master's: the processes' name is taken there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Its agent now.
    #[serde(flatten)]
    pub(crate) process: Remembered,
    /// Its containerd now; absent with the hollow runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_pid: Option<i32>,
    /// The start of that process.
    #[serde(default)]
    pub(crate) runtime_started: u64,
    /// Its network namespace; absent with the hollow runtime, unless masters and workers are isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) netns: Option<String>,
    /// Its data.
    pub(crate) data_dir: PathBuf,
    /// Further arguments of the agent.
    #[serde(default)]
    pub(crate) args: Vec<String>,
}

impl Worker {
    /// Its node's name.
    pub(crate) fn node_name(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.name)
    }

    /// Its containerd.
    pub(crate) fn runtime(&self) -> Remembered {
        Remembered { pid: self.runtime_pid.unwrap_or(0), started: self.runtime_started }
    }
}

impl ClusterFile {
    /// Where it is in a cluster's folder.
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join("cluster.json")
    }

    /// The file of a folder; `None` if there is none.
    pub(crate) fn read_if_there(dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(dir);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let file = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; remove the folder once nothing of it runs", path.display()))?;
        Ok(Some(file))
    }

    /// Replaces the file at once.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("cannot put cluster.json into words")?;
        write_private(&Self::path(dir), &text)
    }

    /// Everything that has an agent: the workers, then the masters that are nodes too.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().chain(&self.master_agents)
    }

    /// The node at a position of [`ClusterFile::nodes`].
    pub(crate) fn node(&self, index: usize) -> &Worker {
        let beside = || &self.master_agents[index - self.workers.len()];
        self.workers.get(index).unwrap_or_else(beside)
    }

    /// Likewise, to be changed.
    pub(crate) fn node_mut(&mut self, index: usize) -> &mut Worker {
        let workers = self.workers.len();
        if index < workers { &mut self.workers[index] } else { &mut self.master_agents[index - workers] }
    }

    /// Whether real containers run in it.
    pub(crate) fn has_containers(&self) -> bool {
        self.runtime == Runtime::Containerd && self.nodes().next().is_some()
    }

    /// Whether any process of it lives.
    pub(crate) fn is_running(&self) -> bool {
        self.processes().iter().any(|process| process.is_alive())
    }

    /// All processes, the supervisor included.
    pub(crate) fn processes(&self) -> Vec<Remembered> {
        let nodes = self.nodes().flat_map(|worker| [worker.process, worker.runtime()]);
        let others = self.registry_process.into_iter().chain([self.supervisor]);
        self.masters.iter().map(|master| master.process).chain(nodes).chain(others).collect()
    }

    /// The masters' API addresses.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.masters.iter().map(|master| master.url.clone()).collect()
    }
}
