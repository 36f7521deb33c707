//! What is broken on purpose: each fault starts, and is undone, also when the harness itself ends early.

pub mod containers;
mod process;

use anyhow::Result;
use async_trait::async_trait;
use rand::rngs::StdRng;
use serde::Deserialize;

use crate::cluster::Cluster;

/// A kind of fault, by its name in scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SIGKILL: the process is gone at once; its supervisor starts it again.
    Kill,
    /// SIGTERM: it stops in good order; its supervisor starts it again.
    Terminate,
    /// SIGSTOP, and SIGCONT when undone.
    Pause,
    /// SIGKILL, and its data are gone; its supervisor starts it again. For masters.
    Wipe,
}

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
    /// A worker's agent, chosen by the seed.
    Agent,
    /// A worker's container runtime, chosen by the seed.
    Runtime,
    /// A container of the steady deployment, chosen by the seed; only `kill`.
    Container,
}

/// A fault in force.
#[async_trait]
pub trait Active: Send {
    /// In words, for the report.
    fn what(&self) -> String;

    /// The worker that is hit, if it is one.
    fn node(&self) -> Option<&str>;

    /// Puts things right again, as far as that is the harness' business, and waits for what is its supervisor's.
    async fn undo(&mut self, cluster: &Cluster) -> Result<()>;
}

/// Starts a fault.
///
/// # Errors
/// When the target is not there or the fault cannot be done.
pub async fn start(kind: Kind, target: Target, cluster: &Cluster, random: &mut StdRng) -> Result<Box<dyn Active>> {
    let victims = process::victims(target, cluster, random).await?;
    Ok(Box::new(process::Signalled::send(kind, victims)?))
}
