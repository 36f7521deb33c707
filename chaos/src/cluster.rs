//! The cluster under test: found by its folder, started and removed by the `mainstay` binary itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::cluster_file::ClusterFile;
use crate::machine::{Machine, machines};
use crate::scenario::{Runtime, Scenario};
use crate::undo::{Guard, Journal, Undo};
use crate::{clocks, disks};

/// How long `mainstay up` may take, a first start with real containers included.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long any other command of the binary may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    binary: PathBuf,
    /// Started here, so removed here, also by the journal if this run is killed.
    owned: Option<Guard>,
    /// Its masters' disks, which go after it.
    disks: Vec<Guard>,
    journal: Arc<Journal>,
    new_binary: Option<PathBuf>,
}

/// How many masters the clusters have that are started here.
const MASTERS: usize = 3;

impl Cluster {
    /// Starts a cluster of three masters in `dir`, as a scenario wants it.
    ///
    /// # Errors
    /// When the binary fails to start it, with what the binary said.
    pub async fn launch(dir: &Path, runtime: Runtime, scenario: &Scenario, journal: &Arc<Journal>) -> Result<Self> {
        let binary = binary()?;
        let owned = journal.before(Undo::Down { binary: binary.clone(), dir: dir.to_owned() })?;
        let journal = journal.clone();
        let mut cluster =
            Self { dir: dir.to_owned(), binary, owned: Some(owned), disks: Vec::new(), journal, new_binary: None };
        let names: Vec<String> = (1..=MASTERS).map(|number| format!("master-{number}")).collect();
        let (masters, workers) = (MASTERS.to_string(), scenario.workers.to_string());
        let mut arguments =
            vec!["up", "--masters", &masters, "--workers", &workers, "--runtime", runtime.word(), "--detach"];
        let switches = [(scenario.isolate, "--isolate"), (scenario.master_agents, "--master-agents")];
        arguments.extend(switches.into_iter().filter(|(on, _)| *on).map(|(_, switch)| switch));
        let clocks = if scenario.clocks { clocks::environment(&cluster.clocks(), &names)? } else { Vec::new() };
        arguments.extend(clocks.iter().map(String::as_str));
        if scenario.disks {
            let mounts: Vec<PathBuf> = names.iter().map(|name| dir.join("masters").join(name)).collect();
            cluster.disks = disks::make(&dir.with_extension("disks"), &mounts, &cluster.journal)?;
        }
        cluster.run_within(START_LIMIT, &arguments, true).await?;
        Ok(cluster)
    }

    /// Uses a cluster that somebody else started, and leaves it running.
    ///
    /// # Errors
    /// When `dir` holds no readable `cluster.json`.
    pub fn attach(dir: &Path, journal: &Arc<Journal>) -> Result<Self> {
        let (dir, binary, journal) = (dir.to_owned(), binary()?, journal.clone());
        let cluster = Self { dir, binary, owned: None, disks: Vec::new(), journal, new_binary: None };
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

    /// While this file is there, the supervisor does not start what has this name: a master, a worker's agent, or
    /// `WORKER-containerd`.
    #[must_use]
    pub fn hold(&self, name: &str) -> PathBuf {
        self.dir.join("hold").join(name)
    }

    /// Where the supervisor looks for a program other than its own.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("programs").join(name)
    }

    /// Where it is written how wrong clocks are.
    #[must_use]
    pub fn clocks(&self) -> PathBuf {
        self.dir.with_extension("clocks")
    }

    /// What upgrades are to; the same program if nothing else was said.
    #[must_use]
    pub fn new_binary(&self) -> &Path {
        self.new_binary.as_deref().unwrap_or(&self.binary)
    }

    /// Sets that.
    pub fn set_new_binary(&mut self, binary: Option<PathBuf>) {
        self.new_binary = binary;
    }

    /// The run's journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Credentials of the administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The workers' addresses, where they have networks of their own.
    ///
    /// # Errors
    /// When one has none.
    pub fn node_addresses(&self) -> Result<Vec<String>> {
        machines(&self.file()?).iter().filter(|machine| machine.is_worker).map(Machine::address).collect()
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

    /// Copies what the processes have written.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn keep_logs(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let logs = self.dir.join("logs");
        for entry in std::fs::read_dir(&logs).with_context(|| format!("reading {}", logs.display()))? {
            let entry = entry.with_context(|| format!("reading {}", logs.display()))?;
            let target = folder.join(entry.file_name());
            std::fs::copy(entry.path(), &target).with_context(|| format!("writing {}", target.display()))?;
        }
        Ok(())
    }

    /// Removes a cluster that was started here.
    ///
    /// # Errors
    /// When `mainstay down` fails.
    pub async fn remove(&mut self) -> Result<()> {
        let Some(mut owned) = self.owned.take() else { return Ok(()) };
        tokio::task::spawn_blocking(move || owned.undo()).await.context("removing the cluster")??;
        self.disks.iter_mut().try_for_each(Guard::undo)
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

/// `mainstay` stands beside this executable, or one folder up when this is a test.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this executable")?;
    let folders = own.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join("mainstay"));
    candidates
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no `mainstay` beside {}; build it with: cargo build -p mainstay", own.display()))
}
