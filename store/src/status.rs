//! How the cluster is.

use mainstay_proto::raft as pb;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::cluster::{ClusterStatus, MemberInfo, MemberStatus, Role};
use crate::node::Node;
use crate::types::{Revision, Term};

impl Node {
    /// This member, for the others.
    pub(crate) fn own_status(&self) -> pb::StatusReply {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let applied = self.state.applied();
        pb::StatusReply {
            id: self.me.id,
            term: metrics.current_term,
            leader: metrics.current_leader.unwrap_or(0),
            last_log: metrics.last_log_index.unwrap_or(0),
            applied_log: applied.log.map_or(0, |id| id.index),
            revision: applied.revision.0,
            log_bytes: self.log.size(),
            state_bytes: self.state.db().size(),
            disk_free_bytes: self.disk.free(),
            disk_low: self.disk.is_low(),
            snapshot_log: metrics.snapshot.map_or(0, |id| id.index),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            voters: metrics.membership_config.voter_ids().collect(),
            members: metrics.membership_config.nodes().map(|(id, _)| *id).collect(),
            marks: self.state.marks().iter().map(|m| pb::Mark { index: m.index, checksum: m.checksum }).collect(),
        }
    }

    /// All members, asked at once.
    pub(crate) async fn cluster_status(&self) -> ClusterStatus {
        let asked = self.members().into_iter().map(|member| async move {
            let reply = if member.id == self.me.id { Some(self.own_status()) } else { self.ping(&member).await };
            (member, reply)
        });
        let answers = futures::future::join_all(asked).await;
        let leadership = self.leadership.borrow().clone();
        let leader_id = leadership.leader.map(|leader| leader.id);
        let voters: Vec<u64> = self.membership().voter_ids().collect();
        let furthest = answers.iter().filter_map(|(_, reply)| reply.as_ref()).map(|reply| reply.last_log).max();
        let members = answers.into_iter().map(|(member, reply)| {
            let role = match (leader_id == Some(member.id), voters.contains(&member.id)) {
                (true, _) => Role::Leader,
                (false, true) => Role::Follower,
                (false, false) => Role::Learner,
            };
            member_status(member, role, reply.as_ref(), furthest.unwrap_or(0))
        });
        ClusterStatus {
            leader_id,
            term: Term(leadership.term.0),
            revision: self.state.applied().revision,
            members: members.collect(),
        }
    }
}

fn member_status(member: MemberInfo, role: Role, reply: Option<&pb::StatusReply>, furthest: u64) -> MemberStatus {
    MemberStatus {
        member,
        role,
        reachable: reply.is_some(),
        revision: reply.map(|reply| Revision(reply.revision)),
        applied_log: reply.map(|reply| reply.applied_log),
        lag: reply.map(|reply| furthest.saturating_sub(reply.applied_log)),
        log_bytes: reply.map(|reply| reply.log_bytes),
        state_bytes: reply.map(|reply| reply.state_bytes),
        disk_free_bytes: reply.map(|reply| reply.disk_free_bytes),
        disk_low: reply.map(|reply| reply.disk_low),
        snapshot_log: reply.map(|reply| reply.snapshot_log),
        version: reply.map(|reply| reply.version.clone()),
        started_ms: reply.map(|reply| reply.started_ms),
    }
}
