//! The cluster under test: found by its folder, started and removed by the `mainstay` binary itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;

/// How long `mainstay up` may take, a first start with real containers included.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long any other command of the binary may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What `cluster.json` says; `mainstay up` keeps it current.
#[derive(Clone, Debug, Deserialize)]
pub struct ClusterFile {
    /// The masters, dead ones included until they are replaced.
    pub masters: Vec<MasterProcess>,
    /// The workers.
    #[serde(default)]
    pub workers: Vec<WorkerProcess>,
}

impl ClusterFile {
    /// The ids of all processes.
    pub fn pids(&self) -> impl Iterator<Item = i32> {
        let masters = self.masters.iter().map(|master| master.pid);
        let workers = self.workers.iter().flat_map(|worker| [Some(worker.pid), worker.runtime_pid]);
        masters.chain(workers.flatten())
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
}

/// A worker's agent, and its container runtime where there is one.
#[derive(Clone, Debug, Deserialize)]
pub struct WorkerProcess {
    /// Its node's name.
    pub name: String,
    /// The agent's process id.
    pub pid: i32,
    /// containerd's process id; absent with the hollow runtime.
    #[serde(default)]
    pub runtime_pid: Option<i32>,
    /// Its network namespace; absent with the hollow runtime.
    #[serde(default)]
    pub netns: Option<String>,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    binary: PathBuf,
    /// Started here, so removed here.
    owned: bool,
}

impl Cluster {
    /// Starts a cluster of three masters in `dir`.
    ///
    /// # Errors
    /// When the binary fails to start it, with what the binary said.
    pub async fn launch(dir: &Path, runtime: &str, workers: u32) -> Result<Self> {
        let cluster = Self { dir: dir.to_owned(), binary: binary()?, owned: true };
        let workers = workers.to_string();
        let arguments = ["up", "--masters", "3", "--workers", &workers, "--runtime", runtime, "--detach"];
        cluster.run_within(START_LIMIT, &arguments, true).await?;
        Ok(cluster)
    }

    /// Uses a cluster that somebody else started, and leaves it running.
    ///
    /// # Errors
    /// When `dir` holds no readable `cluster.json`.
    pub fn attach(dir: &Path) -> Result<Self> {
        let cluster = Self { dir: dir.to_owned(), binary: binary()?, owned: false };
        cluster.file()?;
        Ok(cluster)
    }

    /// The processes as they are now.
    ///
    /// # Errors
    /// When `cluster.json` cannot be read.
    pub fn file(&self) -> Result<ClusterFile> {
        let path = self.dir.join("cluster.json");
        let text = std::fs::read(&path)
            .with_context(|| format!("no cluster in {}; start one with: mainstay up --dir {0}", self.dir.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a cluster file", path.display()))
    }

    /// Credentials of the administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The name of the leading master; `None` while there is none.
    ///
    /// # Errors
    /// When no master answers.
    pub async fn leader(&self) -> Result<Option<String>> {
        let members = self.members().await?;
        let leader = members.iter().find(|member| member["role"] == "leader");
        Ok(leader.and_then(|member| member["name"].as_str()).map(str::to_owned))
    }

    /// Whether every master is a member that answers and keeps up.
    ///
    /// # Errors
    /// When no master answers.
    pub async fn all_healthy(&self) -> Result<bool> {
        let members = self.members().await?;
        let healthy = members.iter().filter(|member| member["healthy"] == true).count();
        Ok(healthy == self.file()?.masters.len())
    }

    async fn members(&self) -> Result<Vec<serde_json::Value>> {
        let text = self.run(&["cluster", "status", "-o", "json"]).await?;
        let status: serde_json::Value = serde_json::from_str(&text).context("reading `cluster status -o json`")?;
        Ok(status["members"].as_array().cloned().unwrap_or_default())
    }

    /// Runs a client command of the binary as administrator and gives what it printed.
    ///
    /// # Errors
    /// When it fails or takes too long, with its own words.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_within(COMMAND_LIMIT, arguments, false).await
    }

    /// Removes a cluster that was started here.
    ///
    /// # Errors
    /// When `mainstay down` fails.
    pub async fn remove(&mut self) -> Result<()> {
        if !self.owned {
            return Ok(());
        }
        self.run_within(COMMAND_LIMIT, &["down"], true).await?;
        self.owned = false;
        Ok(())
    }

    async fn run_within(&self, limit: Duration, arguments: &[&str], with_dir: bool) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        if with_dir {
            command.arg("--dir").arg(&self.dir);
        } else {
            command.arg("--kubeconfig").arg(self.kubeconfig());
        }
        let output = tokio::time::timeout(limit, command.output())
            .await
            .with_context(|| format!("`mainstay {}` took longer than {limit:?}", arguments.join(" ")))?
            .with_context(|| format!("starting {}", self.binary.display()))?;
        if !output.status.success() {
            bail!("`mainstay {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Cluster {
    /// Also when a check fails or panics: what was started here does not stay.
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        let removed = std::process::Command::new(&self.binary)
            .args(["down", "--dir"])
            .arg(&self.dir)
            .stdout(Stdio::null())
            .status();
        if !removed.is_ok_and(|status| status.success()) {
            tracing::error!(dir = %self.dir.display(), "the cluster could not be removed; run mainstay down");
        }
    }
}

/// `mainstay` stands beside this executable, or one folder up when this is a test.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this executable")?;
    let folders = own.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join("mainstay"));
    candidates
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no `mainstay` beside {}; build it with: cargo build -p mainstay", own.display()))
}
