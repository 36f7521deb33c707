//! What the masters hear of agents, and what it means.

use std::time::Duration;

/// What the masters hear of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Time since its last heartbeat.
    pub silence: Duration,
    /// It closed its connection, or the host refused it: the host answers, the agent does not.
    pub closed: bool,
    /// Its container runtime answers.
    pub runtime_ready: bool,
}

/// Where heartbeats are known. Kept in memory by the masters.
pub trait NodeLiveness: Send + Sync + 'static {
    /// The agent of this node, or None if no master has heard it since this one leads.
    fn liveness(&self, node: &str) -> Option<Liveness>;
}

/// How long silence is borne.
#[derive(Clone, Copy, Debug)]
pub struct NodeDeadlines {
    /// Until a node without heartbeats is not ready any more.
    pub silence: Duration,
    /// Until a node that this leader has not heard at all is not ready any more.
    pub first_heartbeat: Duration,
    /// Until the pods of a node whose agent closed its connection are given up, too.
    pub agent_restart: Duration,
}

impl Default for NodeDeadlines {
    fn default() -> Self {
        NodeDeadlines {
            silence: Duration::from_millis(2500),
            first_heartbeat: Duration::from_secs(8),
            agent_restart: Duration::from_secs(15),
        }
    }
}

/// What the heartbeats mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Too early to say.
    Unsure,
    Well,
    RuntimeDown,
    /// No heartbeat in time. `for_good`: long enough to give its pods up.
    Silent {
        for_good: bool,
    },
}

/// What to think of a node that was `heard`, when this leader has been `listening` for so long.
pub(super) fn judge(heard: Option<Liveness>, listening: Duration, deadlines: NodeDeadlines) -> Verdict {
    let Some(heard) = heard else {
        return if listening < deadlines.first_heartbeat {
            Verdict::Unsure
        } else {
            Verdict::Silent { for_good: true }
        };
    };
    if heard.silence >= deadlines.silence {
        return Verdict::Silent { for_good: !heard.closed || heard.silence >= deadlines.agent_restart };
    }
    match (heard.closed, heard.runtime_ready) {
        (true, _) => Verdict::Unsure,
        (false, true) => Verdict::Well,
        (false, false) => Verdict::RuntimeDown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(silence_ms: u64, closed: bool) -> Option<Liveness> {
        Some(Liveness { silence: Duration::from_millis(silence_ms), closed, runtime_ready: true })
    }

    #[test]
    fn silence_and_a_closed_connection_have_their_own_deadlines() {
        let deadlines = NodeDeadlines::default();
        let long = Duration::from_secs(100);
        assert_eq!(judge(heard(1000, false), long, deadlines), Verdict::Well);
        assert_eq!(judge(heard(3000, false), long, deadlines), Verdict::Silent { for_good: true });
        assert_eq!(judge(heard(3000, true), long, deadlines), Verdict::Silent { for_good: false });
        assert_eq!(judge(heard(20_000, true), long, deadlines), Verdict::Silent { for_good: true });
        assert_eq!(judge(None, Duration::from_secs(1), deadlines), Verdict::Unsure);
    }
}
