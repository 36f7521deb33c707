//! Who leads, in one watch channel.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use openraft::{Instant as _, ServerState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Leadership, MemberInfo};
use crate::raft_types::{Raft, StoredMembership, TypeConfig};
use crate::types::Term;

/// What the metrics say about leadership. A leader that has not heard from a majority for `patience` knows of no leader:
/// another one may have been elected.
fn leadership_in(metrics: &RaftMetrics<TypeConfig>, patience: Duration) -> Leadership {
    let term = metrics.current_term;
    let alone = metrics.membership_config.voter_ids().count() < 2;
    let heard = alone || metrics.last_quorum_acked.is_some_and(|heard| heard.elapsed() < patience);
    let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id);
    if leads && !heard {
        return Leadership { term: Term(term), leader: None, acting: false };
    }
    let own_entry_applied = metrics.last_applied.is_some_and(|id| id.committed_leader_id().term == term);
    Leadership {
        term: Term(term),
        leader: metrics.current_leader.and_then(|id| member_of(&metrics.membership_config, id)),
        acting: leads && own_entry_applied,
    }
}

/// A member's description.
pub(crate) fn member_of(membership: &StoredMembership, id: u64) -> Option<MemberInfo> {
    let node = membership.get_node(&id)?;
    Some(MemberInfo { id, ..node.clone() })
}

/// Follows Raft until stopped; then nobody acts.
pub(crate) async fn follow(raft: Raft, patience: Duration, out: watch::Sender<Leadership>, stop: CancellationToken) {
    let mut metrics = raft.metrics();
    loop {
        let now = leadership_in(&metrics.borrow_watched().clone(), patience);
        out.send_if_modified(|current| {
            let changed = *current != now;
            if changed {
                tracing::info!(term = now.term.0, leader = ?now.leader.as_ref().map(|m| &m.name), acting = now.acting, "leadership");
                *current = now;
            }
            changed
        });
        let ended = tokio::select! {
            () = stop.cancelled() => true,
            changed = metrics.changed() => changed.is_err(),
            // Silence changes nothing in the metrics.
            () = tokio::time::sleep(patience / 4) => false,
        };
        if ended {
            out.send_modify(|leadership| leadership.acting = false);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft_types::log_id;

    #[test]
    fn a_leader_acts_once_its_own_term_is_applied() {
        let mut metrics = RaftMetrics::<TypeConfig>::new_initial(1);
        metrics.current_term = 5;
        metrics.state = ServerState::Leader;
        metrics.current_leader = Some(1);
        metrics.last_applied = Some(log_id(4, 9));
        let acts = |metrics: &_| leadership_in(metrics, Duration::from_secs(1)).acting;
        assert!(!acts(&metrics));
        metrics.last_applied = Some(log_id(5, 10));
        assert!(acts(&metrics));
        metrics.state = ServerState::Follower;
        assert!(!acts(&metrics));
    }
}
