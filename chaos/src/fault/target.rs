//! Whom faults can hit.

use serde::{Deserialize, Serialize};

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
