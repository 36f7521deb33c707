//! Who leads, in one watch channel.

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Leadership, MemberInfo};
use crate::raft_types::{Raft, StoredMembership, TypeConfig};
use crate::types::Term;

/// What the metrics say about leadership.
fn leadership_in(metrics: &RaftMetrics<TypeConfig>) -> Leadership {
    let term = metrics.current_term;
    let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id);
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
pub(crate) async fn follow(raft: Raft, out: watch::Sender<Leadership>, stop: CancellationToken) {
    let mut metrics = raft.metrics();
    loop {
        let now = leadership_in(&metrics.borrow_watched().clone());
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
        assert!(!leadership_in(&metrics).acting);
        metrics.last_applied = Some(log_id(5, 10));
        assert!(leadership_in(&metrics).acting);
        metrics.state = ServerState::Follower;
        assert!(!leadership_in(&metrics).acting);
    }
}
