//! Faults of processes: signals to masters, agents and runtimes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{Active, Kind, Target};
use crate::cluster::{Cluster, MasterProcess};

/// How long the supervisor may take to start something again.
const RESTART_LIMIT: Duration = Duration::from_secs(30);

/// A process to hit.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    name: String,
    pid: Pid,
}

/// Resolves a target to processes as they are now.
pub(super) async fn victims(target: Target, cluster: &Cluster, random: &mut StdRng) -> Result<Vec<Victim>> {
    let file = cluster.file()?;
    let victims = match target {
        Target::AllMasters => file.masters.iter().map(master).collect(),
        Target::Agent => vec![any(&file.workers, random).map(|w| victim(&w.name, w.pid))?],
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
    victim(&master.name, master.pid)
}

fn runtime(worker: &crate::cluster::WorkerProcess) -> Result<Victim> {
    let pid = worker.runtime_pid.context("the hollow runtime has no process to break; use --runtime containerd")?;
    Ok(victim(&format!("containerd of {}", worker.name), pid))
}

fn victim(name: &str, pid: i32) -> Victim {
    Victim { name: name.to_owned(), pid: Pid::from_raw(pid) }
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
            Kind::Terminate => Signal::SIGTERM,
            Kind::Pause => Signal::SIGSTOP,
        };
        for victim in &victims {
            if victim.pid.as_raw() <= 1 {
                bail!("{} has no process now", victim.name);
            }
            kill(victim.pid, signal).with_context(|| format!("sending {signal} to {}", victim.name))?;
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
        };
        format!("{verb} {}", names.join(", "))
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
