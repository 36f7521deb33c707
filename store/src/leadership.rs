//! Who leads, and whether this master is cut off from the others, in watch channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use openraft::{Instant as _, ServerState};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Leadership, MemberInfo};
use crate::raft_types::{StoredMembership, TypeConfig};
use crate::state::Raft;
use crate::types::Term;

/// A follower that hears nobody for so many times the patience is cut off; an ordinary election takes less.
const CUT_OFF: u32 = 3;

/// When this master last heard from a leader; clones share it.
#[derive(Clone)]
pub(crate) struct Heard {
    began: Instant,
    /// Milliseconds since then; 0 is never.
    last: Arc<AtomicU64>,
}

impl Heard {
    /// Nobody yet.
    pub(crate) fn nobody() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }

    /// Just now.
    pub(crate) fn note(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now.max(1), Ordering::Relaxed);
    }

    /// For how long nobody was heard; `None` if nobody ever was.
    fn silence(&self) -> Option<Duration> {
        let last = Some(self.last.load(Ordering::Relaxed)).filter(|last| *last > 0)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}

/// What follows from the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    leadership: Leadership,
    /// Others may go on without this master, and it cannot know: clients do better elsewhere.
    cut_off: bool,
}

/// What the metrics say about leadership. Whoever has not heard from the leader, or as the leader from a majority, for
/// `patience` knows of no leader: another one may have been elected.
fn standing(metrics: &RaftMetrics<TypeConfig>, silence: Option<Duration>, patience: Duration) -> Standing {
    let term = metrics.current_term;
    let alone = metrics.membership_config.voter_ids().count() < 2;
    let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id);
    let acked = metrics.last_quorum_acked.map(|acked| acked.elapsed());
    let (quiet, cut_off) = match leads {
        // Since it leads, if no majority ever answered.
        true if !alone => (acked.is_none_or(|since| since >= patience), acked.or(silence) >= Some(patience)),
        true => (false, false),
        false => (silence >= Some(patience), silence >= Some(patience * CUT_OFF)),
    };
    if quiet {
        return Standing { leadership: Leadership { term: Term(term), leader: None, acting: false }, cut_off };
    }
    let own_entry_applied = metrics.last_applied.is_some_and(|id| id.committed_leader_id().term == term);
    let leadership = Leadership {
        term: Term(term),
        leader: metrics.current_leader.and_then(|id| member_of(&metrics.membership_config, id)),
        acting: leads && own_entry_applied,
    };
    Standing { leadership, cut_off }
}

/// A member's description.
pub(crate) fn member_of(membership: &StoredMembership, id: u64) -> Option<MemberInfo> {
    let node = membership.get_node(&id)?;
    Some(MemberInfo { id, ..node.clone() })
}

/// Where it is told who leads.
pub(crate) struct Channels {
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) cut_off: watch::Sender<bool>,
}

/// Follows Raft until stopped; then nobody acts.
pub(crate) async fn follow(raft: Raft, heard: Heard, patience: Duration, out: Channels, stop: CancellationToken) {
    let mut metrics = raft.metrics();
    let mut led = false;
    loop {
        let latest = metrics.borrow_watched().clone();
        let leads = latest.state == ServerState::Leader;
        if led != leads {
            // From now on others are to be heard.
            heard.note();
            led = leads;
        }
        out.tell(standing(&latest, heard.silence(), patience));
        let ended = tokio::select! {
            () = stop.cancelled() => true,
            changed = metrics.changed() => changed.is_err(),
            // Silence changes nothing in the metrics.
            () = tokio::time::sleep(patience / 4) => false,
        };
        if ended {
            out.leadership.send_modify(|leadership| leadership.acting = false);
            return;
        }
    }
}

impl Channels {
    fn tell(&self, now: Standing) {
        let Standing { leadership, cut_off } = now;
        self.leadership.send_if_modified(|current| {
            let changed = *current != leadership;
            if changed {
                let leader = leadership.leader.as_ref().map(|member| &member.name);
                tracing::info!(term = leadership.term.0, ?leader, acting = leadership.acting, "leadership");
                *current = leadership;
            }
            changed
        });
        self.cut_off.send_if_modified(|current| {
            let changed = *current != cut_off;
            if changed {
                tracing::info!(cut_off, "the other masters");
                *current = cut_off;
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use openraft::TokioInstant;
    use openraft::metrics::SerdeInstant;

    use super::*;
    use crate::raft_types::log_id;

    #[test]
    fn a_leader_acts_once_its_own_term_is_applied() {
        let mut metrics = RaftMetrics::<TypeConfig>::new_initial(1);
        metrics.current_term = 5;
        metrics.state = ServerState::Leader;
        metrics.current_leader = Some(1);
        metrics.last_applied = Some(log_id(4, 9));
        let acts = |metrics: &_| standing(metrics, None, Duration::from_secs(1)).leadership.acting;
        assert!(!acts(&metrics));
        metrics.last_applied = Some(log_id(5, 10));
        assert!(acts(&metrics));
        metrics.state = ServerState::Follower;
        assert!(!acts(&metrics));
    }

    fn three(state: ServerState, leader: u64) -> RaftMetrics<TypeConfig> {
        let mut metrics = RaftMetrics::<TypeConfig>::new_initial(1);
        let nodes = (1..=3).map(|id| (id, MemberInfo { id, ..MemberInfo::default() }));
        let membership = crate::raft_types::Membership::new(
            vec![[1, 2, 3].into()],
            nodes.collect::<std::collections::BTreeMap<_, _>>(),
        );
        let membership = StoredMembership::new(None, membership.expect("all voters are nodes"));
        metrics.membership_config = Arc::new(membership);
        (metrics.state, metrics.current_leader) = (state, Some(leader));
        metrics
    }

    #[test]
    fn a_leader_that_no_majority_hears_is_cut_off() {
        let patience = Duration::from_millis(500);
        let mut metrics = three(ServerState::Leader, 1);
        let heard = |ms| Some(SerdeInstant::new(TokioInstant::now() - Duration::from_millis(ms)));
        metrics.last_quorum_acked = heard(100);
        let fine = standing(&metrics, None, patience);
        assert_eq!((fine.leadership.leader.map(|leader| leader.id), fine.cut_off), (Some(1), false));
        metrics.last_quorum_acked = heard(600);
        let lost = standing(&metrics, None, patience);
        assert_eq!((lost.leadership.leader, lost.cut_off), (None, true));
    }

    #[test]
    fn a_follower_in_silence_first_doubts_its_leader_and_then_is_cut_off() {
        let patience = Duration::from_millis(500);
        let metrics = three(ServerState::Follower, 2);
        let after = |ms| standing(&metrics, Some(Duration::from_millis(ms)), patience);
        let seen = [100, 600, 1600].map(after).map(|s| (s.leadership.leader.map(|leader| leader.id), s.cut_off));
        assert_eq!(seen, [(Some(2), false), (None, false), (None, true)]);
        let never = standing(&metrics, None, patience);
        assert_eq!((never.leadership.leader.map(|leader| leader.id), never.cut_off), (Some(2), false));
    }
}
