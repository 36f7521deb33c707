//! Which faults there are.

use serde::{Deserialize, Serialize};

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
