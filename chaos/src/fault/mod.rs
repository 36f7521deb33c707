//! What is broken on purpose: each fault starts, and is undone, also when the harness itself ends early.

mod active;
mod clock;
pub mod containers;
mod deleted;
mod dice;
mod disk;
pub mod kind;
mod network;
pub mod peers;
pub mod pressure;
mod process;
mod rolling;
pub mod target;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::scenario::Step;
use crate::undo::Journal;
pub use active::Active;
pub use dice::Dice;
use kind::Kind;
use network::{Harm, Order};

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
