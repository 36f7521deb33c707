//! Faults of processes: signals to masters, agents and runtimes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{Active, Kind, Target, containers};
use crate::cluster::{Cluster, MasterProcess, WorkerProcess};
use crate::workload::{NAMESPACE, steady};

/// How long the supervisor may take to start something again.
const RESTART_LIMIT: Duration = Duration::from_secs(30);

/// A process to hit.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    name: String,
    pid: Pid,
    /// The worker that it is on.
    node: Option<String>,
    /// A master's store.
    store: Option<PathBuf>,
}

/// Resolves a target to processes as they are now.
pub(super) async fn victims(target: Target, cluster: &Cluster, random: &mut StdRng) -> Result<Vec<Victim>> {
    let file = cluster.file()?;
    let victims = match target {
        Target::AllMasters => file.masters.iter().map(master).collect(),
        Target::Agent => vec![any(&file.workers, random).map(|w| victim(&format!("agent of {}", w.name), w.pid, w))?],
        Target::Container => vec![container(cluster, &file.workers, random).await?],
        Target::Runtime => vec![runtime(any(&file.workers, random)?)?],
        Target::Leader | Target::Follower | Target::Majority => {
            let leader = cluster.leader().await?.context("the cluster has no leader now")?;
            let (leading, following): (Vec<_>, Vec<_>) = file.masters.iter().partition(|m| m.name == leader);
            match target {
                Target::Leader => leading.into_iter().map(master).collect(),
                Target::Follower => vec![master(any(&following, random)?)],
                _ => leading.into_iter().chain(following).take(file.masters.len() / 2 + 1).map(master).collect(),
            }
        }
    };
    Ok(victims)
}

fn any<'a, T>(choices: &'a [T], random: &mut StdRng) -> Result<&'a T> {
    choices.choose(random).context("the cluster has nothing of that kind to break")
}

fn master(master: &MasterProcess) -> Victim {
    let (name, pid) = (master.name.clone(), Pid::from_raw(master.pid));
    Victim { name, pid, node: None, store: Some(master.data_dir.join("store")) }
}

fn runtime(worker: &WorkerProcess) -> Result<Victim> {
    let pid = worker.runtime_pid.context("the hollow runtime has no process to break; use --runtime containerd")?;
    Ok(victim(&format!("containerd of {}", worker.name), pid, worker))
}

fn victim(name: &str, pid: i32, worker: &WorkerProcess) -> Victim {
    Victim { name: name.to_owned(), pid: Pid::from_raw(pid), node: Some(worker.name.clone()), store: None }
}

/// The command line answers as kubectl does, with a `List` of whatever it is.
#[derive(serde::Deserialize)]
struct Pods {
    items: Vec<Pod>,
}

async fn container(cluster: &Cluster, workers: &[WorkerProcess], random: &mut StdRng) -> Result<Victim> {
    let text = cluster.run(&["get", "pods", "-n", NAMESPACE, "-l", steady::SELECTOR, "-o", "json"]).await?;
    let list: Pods = serde_json::from_str(&text).context("reading the pods")?;
    let pods: Vec<Pod> = list.items.into_iter().filter(|pod| !containers::ids(pod).is_empty()).collect();
    let pod = any(&pods, random).context("hollow containers have no process to kill; use --runtime containerd")?;
    let pid = containers::processes(std::slice::from_ref(pod))?.into_iter().next();
    let pid = pid.context("the container's process is not there")?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let worker = workers.iter().find(|worker| Some(&worker.name) == node.as_ref());
    let worker = worker.context("the container is on no worker of this cluster")?;
    Ok(victim(&format!("a container on {}", worker.name), pid, worker))
}

impl Victim {
    fn wipe(&self) -> Result<()> {
        let store = self.store.as_ref().with_context(|| format!("{} has no data to wipe; masters have", self.name));
        let removed = store
            .and_then(|store| std::fs::remove_dir_all(store).with_context(|| format!("removing {}", store.display())));
        let killed = kill(self.pid, Signal::SIGKILL).with_context(|| format!("killing {}", self.name));
        removed.and(killed)
    }
}

/// Processes that got a signal.
pub(super) struct Signalled {
    kind: Kind,
    victims: Vec<Victim>,
    undone: bool,
}

impl Signalled {
    pub(super) fn send(kind: Kind, victims: Vec<Victim>) -> Result<Self> {
        let signal = match kind {
            Kind::Kill => Signal::SIGKILL,
            // Its data go while it cannot write them anew; the kill follows.
            Kind::Wipe => Signal::SIGSTOP,
            Kind::Terminate => Signal::SIGTERM,
            Kind::Pause => Signal::SIGSTOP,
        };
        for victim in &victims {
            if victim.pid.as_raw() <= 1 {
                bail!("{} has no process now", victim.name);
            }
            kill(victim.pid, signal).with_context(|| format!("sending {signal} to {}", victim.name))?;
            if kind == Kind::Wipe {
                victim.wipe()?;
            }
        }
        Ok(Self { kind, victims, undone: false })
    }

    /// Until then a process that stops in good order still looks healthy.
    async fn started_again(&self, cluster: &Cluster) -> Result<()> {
        let until = Instant::now() + RESTART_LIMIT;
        loop {
            let file = cluster.file()?;
            let old = self.victims.iter().find(|victim| file.pids().any(|pid| pid == victim.pid.as_raw()));
            let Some(old) = old else { return Ok(()) };
            if Instant::now() > until {
                bail!("{} was not started again within {RESTART_LIMIT:?}", old.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn resume(&mut self) -> Result<()> {
        if self.kind != Kind::Pause || self.undone {
            return Ok(());
        }
        self.undone = true;
        for victim in &self.victims {
            kill(victim.pid, Signal::SIGCONT).with_context(|| format!("resuming {}", victim.name))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Active for Signalled {
    fn what(&self) -> String {
        let names: Vec<_> = self.victims.iter().map(|victim| victim.name.as_str()).collect();
        let verb = match self.kind {
            Kind::Kill => "kill -9",
            Kind::Terminate => "SIGTERM to",
            Kind::Pause => "pause",
            Kind::Wipe => "wipe",
        };
        format!("{verb} {}", names.join(", "))
    }

    fn node(&self) -> Option<&str> {
        self.victims.first()?.node.as_deref()
    }

    async fn undo(&mut self, cluster: &Cluster) -> Result<()> {
        self.resume()?;
        if self.kind == Kind::Pause { Ok(()) } else { self.started_again(cluster).await }
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        if let Err(error) = self.resume() {
            tracing::error!(%error, "a paused process was not resumed");
        }
    }
}
