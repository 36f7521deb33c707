//! openraft's type parameters, filled in. One leader a term, so that a term names a leader.

use bytes::Bytes;

use crate::cluster::MemberInfo;
use crate::types::TxnOutcome;

/// An encoded `mainstay.raft.v1.Batch`: encoded once by the leader, stored, sent and decoded as it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Command(pub(crate) Bytes);

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "batch of {} bytes", self.0.len())
    }
}

/// What became of each transaction of a batch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Outcomes(pub(crate) Vec<TxnOutcome>);

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Command,
        R = Outcomes,
        NodeId = u64,
        Node = MemberInfo,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type RaftEntry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, MemberInfo>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// The id of entry `index` of `term`.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(term.into(), index)
}
