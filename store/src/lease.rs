//! Whether this master leads for certain, from what Raft last said of itself and without asking it.
//!
//! A majority that heard from the leader votes for nobody else until the longest election timeout is over (Raft, section
//! 6.4.1), counted from when the leader sent what they answered. So long, nothing can have been acknowledged that this
//! master has not applied itself, and nobody can have applied more than it [let them](crate::told).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Instant as _, ServerState};

use crate::raft_types::{LogId, TypeConfig};
use crate::state::Raft;

/// Part of the lease that is not used, for clocks that do not run at quite the same speed.
const MARGIN: u32 = 10;

/// A master's own view of its lease.
pub(crate) struct Lease {
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    length: Duration,
    /// The term whose leadership is being handed over: the successor does not wait for the lease.
    handed_over: AtomicU64,
}

impl Lease {
    /// `election_max` is the silence after which voters may elect another leader.
    pub(crate) fn new(raft: &Raft, election_max: Duration) -> Self {
        let length = election_max - election_max / MARGIN;
        Self { metrics: raft.metrics(), length, handed_over: AtomicU64::new(0) }
    }

    /// Whether this master, which has applied `applied`, has applied every write that was acknowledged before the call.
    pub(crate) fn covers(&self, applied: Option<LogId>) -> bool {
        #[cfg(test)]
        if crate::planted::planted(crate::planted::Bug::StaleRead) {
            return self.metrics.borrow_watched().state == ServerState::Leader;
        }
        let term = applied.map_or(0, |id| id.committed_leader_id().term);
        held(&self.metrics.borrow_watched(), term, self.length) && self.handed_over.load(Ordering::SeqCst) != term
    }

    /// Ends it for the present term, before a successor is told to stand for election.
    pub(crate) fn give_up(&self) {
        let term = self.metrics.borrow_watched().current_term;
        self.handed_over.fetch_max(term, Ordering::SeqCst);
    }
}

/// The first entry of its own term tells a leader that it has all of the earlier ones.
fn held(metrics: &RaftMetrics<TypeConfig>, applied_term: u64, length: Duration) -> bool {
    metrics.state == ServerState::Leader
        && metrics.current_term == applied_term
        && metrics.last_quorum_acked.is_some_and(|heard| heard.elapsed() < length)
}

#[cfg(test)]
mod tests {
    use openraft::TokioInstant;
    use openraft::metrics::SerdeInstant;

    use super::*;

    fn leading(term: u64, heard: Option<TokioInstant>) -> RaftMetrics<TypeConfig> {
        let mut metrics = RaftMetrics::new_initial(1);
        metrics.state = ServerState::Leader;
        metrics.current_term = term;
        metrics.last_quorum_acked = heard.map(SerdeInstant::new);
        metrics
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_held_while_a_majority_was_heard_and_the_own_term_is_applied() {
        let length = Duration::from_millis(250);
        let metrics = leading(5, Some(TokioInstant::now()));
        assert!(held(&metrics, 5, length));
        assert!(!held(&metrics, 4, length), "what earlier leaders acknowledged may not be applied yet");
        assert!(!held(&leading(5, None), 5, length));
        tokio::time::advance(length).await;
        assert!(!held(&metrics, 5, length));
        let mut following = leading(5, Some(TokioInstant::now()));
        following.state = ServerState::Follower;
        assert!(!held(&following, 5, length));
    }
}
