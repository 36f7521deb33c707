//! States of the cluster that a scenario can ask for.

use serde::{Deserialize, Serialize};

/// A state of the cluster. `node` is the one that the fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Another master than before leads, in a later term.
    AnotherLeads,
    /// The same master as before leads, in the same term.
    SameLeads,
    /// The pod that belonged to nothing is gone.
    LonePodGone,
    /// New pods get nodes, and none gets the node that is hit.
    NewPodsElsewhere,
    /// The node's `Ready` condition is not `True`.
    NodeNotReady,
    /// It is `True`.
    NodeReady,
    /// No endpoint on the node is ready: services lead elsewhere.
    OutOfService,
    /// All pods of the steady deployment are ready on other nodes.
    PodsReplaced,
    /// All pods of the steady deployment are ready, wherever.
    PodsReady,
    /// They are those that were there before, and ready.
    PodsUndisturbed,
    /// All other nodes are `Ready`.
    OtherNodesReady,
    /// A pod made after the fault has a node.
    PodScheduled,
    /// The pod of a deployment made after the fault is ready: controllers, scheduler and an agent are at work.
    NewDeploymentReady,
    /// The node's object is gone.
    NodeGone,
    /// The container that was killed runs again.
    ContainerRestarted,
    /// The processes of all containers that ran before are still there.
    ContainersStay,
    /// None of the processes of containers that ran on the node before is there any more.
    LeftOversCleaned,
    /// A write is refused, or not answered in time.
    WritesRefused,
    /// A write is acknowledged.
    WritesGoOn,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::AnotherLeads => "another master leads",
            State::SameLeads => "the same master leads",
            State::LonePodGone => "lone pod gone",
            State::NewPodsElsewhere => "new pods elsewhere",
            State::NodeNotReady => "node NotReady",
            State::NodeReady => "node Ready",
            State::OutOfService => "node out of service",
            State::PodsReplaced => "pods replaced",
            State::PodsReady => "all pods ready",
            State::PodsUndisturbed => "pods undisturbed",
            State::OtherNodesReady => "other nodes Ready",
            State::NewDeploymentReady => "new deployment ready",
            State::NodeGone => "node gone",
            State::PodScheduled => "new pod scheduled",
            State::ContainerRestarted => "container restarted",
            State::ContainersStay => "containers kept running",
            State::LeftOversCleaned => "left-overs cleaned up",
            State::WritesGoOn => "writes go on",
            State::WritesRefused => "writes refused",
        })
    }
}
