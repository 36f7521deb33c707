//! Faults of processes: signals to masters, agents, runtimes and containers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use nix::sys::signal::Signal;
use rand::seq::IndexedRandom;

use super::active::Active;
use super::containers;
use super::dice::Dice;
use super::kind::Kind;
use super::target::Target;
use crate::cluster::Cluster;
use crate::cluster_file::{MasterProcess, WorkerProcess};
use crate::pod::restarts;
use crate::process::Known;
use crate::undo::{Guard, Journal, Undo};
use crate::workload::namespace::NAMESPACE;
use crate::workload::steady;

/// How long the supervisor may take to start something again.
const RESTART_LIMIT: Duration = Duration::from_secs(30);

/// A process to hit.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    /// In words.
    name: String,
    /// The machine that it is on.
    pub machine: String,
    pid: i32,
    /// The worker that it is on.
    node: Option<String>,
    /// A master's store.
    store: Option<PathBuf>,
    /// What is lost when it is wiped.
    data: Option<PathBuf>,
    /// Its name with the supervisor, which starts it again; a container has its agent.
    slot: Option<String>,
}

/// Resolves a target to processes as they are now.
pub(super) async fn victims(target: Target, cluster: &Cluster, dice: &mut Dice) -> Result<Vec<Victim>> {
    let file = cluster.file()?;
    let worker = |dice: &mut Dice| -> Result<&WorkerProcess> {
        let serving: Vec<_> = file.workers.iter().filter(|worker| dice.serving.contains(&worker.name)).collect();
        match serving.is_empty() {
            true => any(&file.workers, dice),
            false => any(&serving, dice).copied(),
        }
    };
    let victims = match target {
        Target::AllMasters => file.masters.iter().map(master).collect(),
        Target::Agent => vec![agent(worker(dice)?)],
        Target::MasterAgent => vec![agent(any(&file.master_agents, dice)?)],
        Target::AllAgents => file.nodes().map(agent).collect(),
        Target::Container => vec![container(cluster, &file.workers, dice).await?],
        Target::CrashedContainer => vec![crashed(cluster, &file.workers).await?],
        Target::Runtime => vec![runtime(worker(dice)?)?],
        Target::Worker => whole_worker(cluster, worker(dice)?).await?,
        Target::Leader | Target::Follower | Target::Majority => {
            let leader = cluster.leader().await?.context("the cluster has no leader now")?;
            let (leading, following): (Vec<_>, Vec<_>) = file.masters.iter().partition(|m| m.name == leader);
            match target {
                Target::Leader => leading.into_iter().map(master).collect(),
                Target::Follower => vec![master(any(&following, dice)?)],
                _ => leading.into_iter().chain(following).take(file.masters.len() / 2 + 1).map(master).collect(),
            }
        }
        Target::Shim => vec![shim(container(cluster, &file.workers, dice).await?)?],
        Target::Pod | Target::LonePod | Target::Everything => bail!("this fault cannot hit {target:?}"),
    };
    Ok(victims)
}

/// All masters, the leader last, and all agents.
pub(super) async fn in_order(cluster: &Cluster) -> Result<(Vec<Victim>, Vec<Victim>)> {
    let leader = cluster.leader().await?.context("the cluster has no leader now")?;
    let file = cluster.file()?;
    let (leading, following): (Vec<_>, Vec<_>) = file.masters.iter().partition(|m| m.name == leader);
    let masters = following.into_iter().chain(leading).map(master).collect();
    Ok((masters, file.nodes().map(agent).collect()))
}

fn any<'a, T>(choices: &'a [T], dice: &mut Dice) -> Result<&'a T> {
    choices.choose(&mut dice.random).context("the cluster has nothing of that kind to break")
}

fn master(master: &MasterProcess) -> Victim {
    Victim {
        name: master.name.clone(),
        machine: master.name.clone(),
        pid: master.pid,
        node: None,
        store: Some(master.data_dir.join("store")),
        data: Some(master.data_dir.join("store")),
        slot: Some(master.name.clone()),
    }
}

fn agent(worker: &WorkerProcess) -> Victim {
    let (slot, data) = (Some(worker.name.clone()), Some(worker.data_dir.join("agent")));
    Victim { slot, data, ..victim(&format!("agent of {}", worker.node_name()), worker.pid, worker) }
}

fn runtime(worker: &WorkerProcess) -> Result<Victim> {
    let pid = worker.runtime_pid.context("the hollow runtime has no process to break; use --runtime containerd")?;
    let slot = Some(format!("{}-containerd", worker.name));
    Ok(Victim { slot, ..victim(&format!("containerd of {}", worker.name), pid, worker) })
}

fn victim(name: &str, pid: i32, worker: &WorkerProcess) -> Victim {
    let (machine, node) = (worker.node_name().to_owned(), Some(worker.node_name().to_owned()));
    Victim { name: name.to_owned(), machine, pid, node, store: None, data: None, slot: None }
}

/// The agent, the runtime and every container, as when a machine loses its power.
async fn whole_worker(cluster: &Cluster, worker: &WorkerProcess) -> Result<Vec<Victim>> {
    let mut all = vec![agent(worker)];
    if worker.runtime_pid.is_some() {
        all.push(runtime(worker)?);
        let pods = pods(cluster, steady::SELECTOR).await?;
        let on = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_ref() == Some(&worker.name));
        let own: Vec<Pod> = pods.into_iter().filter(on).collect();
        let pids = containers::processes(&own)?;
        all.extend(pids.into_iter().map(|pid| victim(&format!("container on {}", worker.name), pid, worker)));
    }
    Ok(all)
}

/// The command line answers as kubectl does, with a `List` of whatever it is.
#[derive(serde::Deserialize)]
struct Pods {
    items: Vec<Pod>,
}

/// The run's pods with these labels.
pub(super) async fn pods(cluster: &Cluster, selector: &str) -> Result<Vec<Pod>> {
    let text = cluster.run(&["get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"]).await?;
    Ok(serde_json::from_str::<Pods>(&text).context("reading the pods")?.items)
}

async fn container(cluster: &Cluster, workers: &[WorkerProcess], dice: &mut Dice) -> Result<Victim> {
    let pods = with_containers(cluster).await?;
    let pod = any(&pods, dice).context("hollow containers have no process to kill; use --runtime containerd")?;
    container_of(pod, workers)
}

async fn crashed(cluster: &Cluster, workers: &[WorkerProcess]) -> Result<Victim> {
    let pods = with_containers(cluster).await?;
    let pod = pods.iter().max_by_key(|pod| restarts(pod)).filter(|pod| restarts(pod) > 0);
    container_of(pod.context("no container was restarted before")?, workers)
}

async fn with_containers(cluster: &Cluster) -> Result<Vec<Pod>> {
    let pods = pods(cluster, steady::SELECTOR).await?;
    Ok(pods.into_iter().filter(|pod| !containers::ids(pod).is_empty()).collect())
}

fn container_of(pod: &Pod, workers: &[WorkerProcess]) -> Result<Victim> {
    let pid = containers::processes(std::slice::from_ref(pod))?.into_iter().next();
    let pid = pid.context("the container's process is not there")?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let worker = workers.iter().find(|worker| Some(&worker.name) == node.as_ref());
    let worker = worker.context("the container is on no worker of this cluster")?;
    let name = if restarts(pod) > 0 { "a restarted container" } else { "a container" };
    Ok(victim(&format!("{name} on {}", worker.name), pid, worker))
}

/// The parent of a container's first process.
fn shim(container: Victim) -> Result<Victim> {
    let text =
        std::fs::read_to_string(format!("/proc/{}/stat", container.pid)).context("reading a container's parent")?;
    let parent = text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
    let pid = parent.filter(|pid| *pid > 1).context("the container has no shim any more")?;
    Ok(Victim { name: format!("the shim of {}", container.name), pid, ..container })
}

impl Victim {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What the supervisor takes its program from, and by what it is told to leave it alone.
    pub fn slot(&self) -> Result<&str> {
        self.slot.as_deref().with_context(|| format!("{} is not started by the supervisor", self.name))
    }

    /// A master's file system, if it has one of its own.
    pub fn disk(&self) -> Result<PathBuf> {
        let store = self.store.as_ref().and_then(|store| store.parent());
        Ok(store.with_context(|| format!("{} has no disk to break; masters have", self.name))?.to_owned())
    }

    /// Asks it to end in good order.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Sends a signal to a process that may have ended by itself.
    pub fn signal_if_alive(&self, signal: Signal) -> Result<()> {
        Known::of(self.pid).map_or(Ok(()), |known| known.signal(signal)).context("sending a signal")
    }

    fn known(&self) -> Result<Known> {
        Known::of(self.pid).with_context(|| format!("{} has no process now", self.name))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.known()?.signal(signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    fn wipe(&self) -> Result<()> {
        let data = self.data.as_ref();
        let data = data.with_context(|| format!("{} has no data to wipe; masters and agents have", self.name));
        let removed =
            data.and_then(|data| std::fs::remove_dir_all(data).with_context(|| format!("removing {}", data.display())));
        removed.and(self.signal(Signal::SIGKILL))
    }
}

/// Processes that got a signal.
pub(super) struct Signalled {
    kind: Kind,
    victims: Vec<Victim>,
    guards: Vec<Guard>,
}

impl Signalled {
    pub(super) fn send(kind: Kind, victims: Vec<Victim>, cluster: &Cluster, journal: &Arc<Journal>) -> Result<Self> {
        let mut guards = Vec::new();
        if matches!(kind, Kind::Stop | Kind::Remove) {
            for slot in victims.iter().filter_map(|victim| victim.slot.as_ref()) {
                let file = cluster.hold(slot);
                guards.push(journal.before(Undo::Remove { file: file.clone() })?);
                write(&file)?;
            }
        }
        for victim in &victims {
            match kind {
                Kind::Terminate => victim.signal(Signal::SIGTERM)?,
                Kind::Pause => {
                    guards.push(journal.before(Undo::Resume { process: victim.known()? })?);
                    victim.signal(Signal::SIGSTOP)?;
                }
                Kind::Wipe => {
                    // Its data go while it cannot write them anew; the kill follows.
                    victim.signal(Signal::SIGSTOP)?;
                    victim.wipe()?;
                }
                _ => victim.signal(Signal::SIGKILL)?,
            }
        }
        Ok(Self { kind, victims, guards })
    }

    /// Until then a process that stops in good order still looks healthy.
    async fn started_again(&self, cluster: &Cluster) -> Result<()> {
        let until = Instant::now() + RESTART_LIMIT;
        loop {
            let file = cluster.file()?;
            let old = self.victims.iter().find(|victim| file.pids().any(|pid| pid == victim.pid));
            let Some(old) = old else { return Ok(()) };
            if Instant::now() > until {
                bail!("{} was not started again within {RESTART_LIMIT:?}", old.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An empty file, with its folder.
pub(super) fn write(file: &std::path::Path) -> Result<()> {
    let folder = file.parent().context("a file without folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(file, "").with_context(|| format!("writing {}", file.display()))
}

#[async_trait]
impl Active for Signalled {
    fn what(&self) -> String {
        let names: Vec<_> = self.victims.iter().map(|victim| victim.name.as_str()).collect();
        let verb = match self.kind {
            Kind::Terminate => "SIGTERM to",
            Kind::Pause => "pause",
            Kind::Wipe => "wipe",
            Kind::Stop => "stop",
            Kind::Remove => "remove for good",
            _ => "kill -9",
        };
        let named = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(3);
        if more == 0 { format!("{verb} {named}") } else { format!("{verb} {named} and {more} more") }
    }

    fn node(&self) -> Option<&str> {
        self.victims.first()?.node.as_deref()
    }

    async fn undo(&mut self, cluster: &Cluster) -> Result<()> {
        for guard in &mut self.guards {
            guard.undo()?;
        }
        if self.kind == Kind::Pause { Ok(()) } else { self.started_again(cluster).await }
    }
}
