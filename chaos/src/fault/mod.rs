//! What is broken on purpose: each fault starts, and is undone, also when the harness itself ends early.

mod clock;
pub mod containers;
mod deleted;
mod disk;
pub mod network;
pub mod pressure;
mod process;
mod rolling;

pub(crate) use clock::{environment as clock_environment, set as set_clock};
pub(crate) use disk::{make as make_disks, mount_image};
pub(crate) use process::node_addresses;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::scenario::Step;
use crate::undo::Journal;
use network::{Harm, Order};

/// A kind of fault, by its name in scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SIGKILL: the process is gone at once; its supervisor starts it again.
    Kill,
    /// SIGTERM: it stops in good order; its supervisor starts it again.
    Terminate,
    /// SIGKILL, and it stays away until this is undone.
    Stop,
    /// SIGSTOP, and SIGCONT when undone.
    Pause,
    /// SIGKILL, and its data are gone; its supervisor starts it again. For masters and agents.
    Wipe,
    /// As [`Kind::Stop`], and the node's object is deleted: it is given up for good. For workers.
    Remove,
    /// A pod is deleted.
    Delete,
    /// No packet passes between machines, in one direction or in both.
    Cut,
    /// Of the packets between machines some are lost.
    Lose,
    /// Connections between machines are reset.
    Reset,
    /// Packets between machines arrive late.
    Delay,
    /// A master's disk has hardly any room left.
    FillDisk,
    /// No write to a master's disk ends.
    StallDisk,
    /// Each write to a master's disk may take `delayMs`.
    SlowDisk,
    /// A master's disk fails and takes no more writes.
    BreakDisk,
    /// All processors are busy with something else.
    BurnCpu,
    /// Most of the memory is taken.
    HoldMemory,
    /// Masters' clocks are wrong by `bySeconds`.
    JumpClock,
    /// All masters and agents are restarted, one after the other.
    RollingRestart,
    /// Likewise, with another program (`--binary-new`).
    Upgrade,
}

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The master that leads now.
    Leader,
    /// A master that does not, chosen by the seed.
    Follower,
    /// Two of three masters, the leader among them.
    Majority,
    /// All masters.
    AllMasters,
    /// A worker's agent, chosen by the seed among the workers that serve the steady deployment; so are the next ones.
    Agent,
    /// The agent beside a master, chosen by the seed.
    MasterAgent,
    /// All agents.
    AllAgents,
    /// A worker's container runtime.
    Runtime,
    /// A worker with its agent, its runtime and its containers.
    Worker,
    /// A container of the steady deployment, chosen by the seed; only `kill`.
    Container,
    /// One of them that was restarted before, the one with the most restarts.
    CrashedContainer,
    /// A pod of the steady deployment; only `delete`.
    Pod,
    /// Nobody or everybody, for faults that have no choice.
    #[default]
    Everything,
    /// A pod that belongs to nothing; only `delete`.
    LonePod,
    /// The shim of a container of the steady deployment; only `kill`.
    Shim,
}

/// Chooses victims.
pub struct Dice {
    /// From the seed.
    pub random: StdRng,
    /// Workers with ready endpoints of the steady deployment: a fault that hits others would show nothing.
    pub serving: BTreeSet<String>,
}

/// A fault in force.
#[async_trait]
pub trait Active: Send {
    /// In words, for the report.
    fn what(&self) -> String;

    /// The node that is hit, if it is one.
    fn node(&self) -> Option<&str>;

    /// Puts things right again, as far as that is the harness' business, and waits for what is its supervisor's.
    async fn undo(&mut self, cluster: &Cluster) -> Result<()>;
}

/// Starts a step's fault.
///
/// # Errors
/// When the target is not there or the fault cannot be done.
pub async fn start(step: &Step, cluster: &Cluster, journal: &Arc<Journal>, dice: &mut Dice) -> Result<Box<dyn Active>> {
    let harm = match step.fault {
        Kind::Delete => return Ok(Box::new(deleted::start(step.target, cluster, dice).await?)),
        Kind::Cut => Harm::Cut(step.way),
        Kind::Lose => Harm::Lose(step.percent),
        Kind::Reset => Harm::Reset,
        kind @ (Kind::FillDisk | Kind::StallDisk | Kind::SlowDisk | Kind::BreakDisk) => {
            let pace = Duration::from_millis(step.delay_ms);
            return Ok(Box::new(disk::start(kind, step.target, pace, cluster, journal, dice).await?));
        }
        kind @ (Kind::BurnCpu | Kind::HoldMemory) => return Ok(Box::new(pressure::start(kind, journal)?)),
        Kind::JumpClock => {
            return Ok(Box::new(clock::start(step.target, step.by_seconds, cluster, journal, dice).await?));
        }
        kind @ (Kind::RollingRestart | Kind::Upgrade) => {
            return Ok(Box::new(rolling::start(kind, cluster, journal).await?));
        }
        Kind::Delay => Harm::Delay(Duration::from_millis(step.delay_ms)),
        kind => {
            let victims = process::victims(step.target, cluster, dice).await?;
            let active = process::Signalled::send(kind, victims, cluster, journal)?;
            if kind == Kind::Remove {
                let node = active.node().context("only a worker can be removed")?;
                cluster.run(&["delete", "node", node, "--wait=false"]).await?;
            }
            return Ok(Box::new(active));
        }
    };
    let order = Order { harm, target: step.target, from: step.from };
    Ok(Box::new(network::start(order, cluster, journal, dice).await?))
}
