//! Keeps the processes of a cluster running, and the file that says which they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::file::ClusterFile;
use super::layout;
use crate::process::{Background, Remembered};
use crate::server::REMOVED;

/// What lives longer than this is started again after the shortest pause.
const STEADY: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How soon a process starts that is no longer held back.
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// Which process of the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// A master by its position.
    Master(usize),
    /// A node's agent.
    Agent(usize),
    /// A node's containerd.
    Containerd(usize),
    /// The image registry.
    Registry,
}

/// Keeps processes running and the file current.
pub(super) struct Keeper {
    dir: PathBuf,
    file: Mutex<ClusterFile>,
    complete: AtomicBool,
    failure: Mutex<Option<String>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Keeper {
    /// Keeps the cluster of this folder, nothing of which runs yet.
    pub(super) fn new(dir: &Path, file: ClusterFile) -> Self {
        Self {
            dir: dir.to_owned(),
            file: Mutex::new(file),
            complete: AtomicBool::new(false),
            failure: Mutex::new(None),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// The cluster as it is now.
    pub(super) fn file(&self) -> ClusterFile {
        self.file.lock().clone()
    }

    /// The cluster's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the processes write.
    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Changes the file, on disk too.
    pub(super) fn change(&self, change: impl FnOnce(&mut ClusterFile)) -> Result<()> {
        let mut file = self.file.lock();
        change(&mut file);
        file.write(&self.dir)
    }

    /// Fails if a process ended while the cluster was starting.
    pub(super) fn check(&self) -> Result<()> {
        match self.failure.lock().clone() {
            Some(text) => bail!("{text}"),
            None => Ok(()),
        }
    }

    /// Starts a process and keeps it running.
    pub(super) fn keep(self: &Arc<Self>, slot: Slot, background: Background) -> Result<()> {
        let child = background.spawn()?;
        self.note(slot, &child)?;
        self.tasks.spawn(self.clone().watch(slot, background, child));
        Ok(())
    }

    async fn watch(self: Arc<Self>, slot: Slot, background: Background, mut child: tokio::process::Child) {
        let mut pause = FIRST_PAUSE;
        loop {
            let born = Instant::now();
            let ended = tokio::select! {
                ended = child.wait() => ended,
                () = self.stop.cancelled() => return,
            };
            tracing::warn!(?slot, ?ended, "a process ended");
            if ended.is_ok_and(|status| status.code() == Some(REMOVED.into())) {
                tracing::warn!(name = self.name(slot), "removed from the cluster, not started again");
                return;
            }
            if !self.complete.load(Ordering::Relaxed) {
                *self.failure.lock() = Some(format!("{}: {}", self.name(slot), background.last_words()));
                return;
            }
            pause = if born.elapsed() > STEADY { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            child = match self.again(slot, &background, pause).await {
                Some(child) => child,
                None => return,
            };
        }
    }

    /// Starts a process again after a pause, until it works or nobody wants it any more.
    async fn again(&self, slot: Slot, background: &Background, mut pause: Duration) -> Option<tokio::process::Child> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return None,
            }
            if self.held(slot) {
                pause = HOLD_PAUSE;
                continue;
            }
            let command = match slot {
                Slot::Master(index) => layout::master_command(&self.file(), index, &self.dir, false).ok(),
                Slot::Agent(index) => layout::agent_command(&self.file(), index, &self.dir).ok(),
                Slot::Containerd(_) | Slot::Registry => None,
            };
            let background = command.unwrap_or_else(|| background.clone());
            match background.spawn().and_then(|child| self.note(slot, &child).map(|()| child)) {
                Ok(child) => return Some(child),
                Err(error) => tracing::error!(?slot, error = format!("{error:#}"), "a process does not start"),
            }
        }
    }

    /// Whether somebody wants this process to stay away: `hold/NAME` is in the cluster's folder.
    fn held(&self, slot: Slot) -> bool {
        let file = self.file.lock();
        let name = match slot {
            Slot::Master(index) => file.masters[index].name.clone(),
            Slot::Agent(index) => file.node(index).name.clone(),
            Slot::Containerd(index) => format!("{}-containerd", file.node(index).name),
            Slot::Registry => return false,
        };
        self.dir.join("hold").join(name).exists()
    }

    fn note(&self, slot: Slot, child: &tokio::process::Child) -> Result<()> {
        let process = Remembered::of(child.id().unwrap_or(0));
        self.change(|file| match slot {
            Slot::Master(index) => file.masters[index].process = process,
            Slot::Agent(index) => file.node_mut(index).process = process,
            Slot::Containerd(index) => {
                let node = file.node_mut(index);
                (node.runtime_pid, node.runtime_started) = (Some(process.pid), process.started);
            }
            Slot::Registry => file.registry_process = Some(process),
        })
    }

    fn name(&self, slot: Slot) -> String {
        let file = self.file.lock();
        match slot {
            Slot::Master(index) => file.masters[index].name.clone(),
            Slot::Agent(index) => format!("the agent of {}", file.node(index).node_name()),
            Slot::Containerd(index) => format!("containerd of {}", file.node(index).node_name()),
            Slot::Registry => "the image registry".to_owned(),
        }
    }

    /// The cluster has started: what ends from now on is started again.
    pub(super) fn complete(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    /// Starts nothing again any more.
    pub(super) async fn let_go(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
