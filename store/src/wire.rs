//! Between our types and their encoding (`mainstay.raft.v1`), which is used on the wire and on disk alike.

use bytes::Bytes;
use mainstay_proto::raft as pb;
use openraft::EntryPayload;
use prost::Message as _;

use crate::cluster::MemberInfo;
use crate::raft_types::{Command, LogId, Membership, RaftEntry, Vote, log_id};
use crate::types::{Guard, Op, Revision, Term, Txn, TxnOutcome};

/// A message that does not make sense: a bug, another version, or damage.
#[derive(Debug, thiserror::Error)]
#[error("undecodable: {0}")]
pub(crate) struct Malformed(pub(crate) String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Malformed> for std::io::Error {
    fn from(error: Malformed) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string())
    }
}

impl From<Malformed> for tonic::Status {
    fn from(error: Malformed) -> Self {
        tonic::Status::invalid_argument(error.to_string())
    }
}

pub(crate) fn txn_to_pb(txn: &Txn) -> pb::Txn {
    pb::Txn { guards: txn.guards.iter().map(guard_to_pb).collect(), ops: txn.ops.iter().map(op_to_pb).collect() }
}

pub(crate) fn txn_from_pb(txn: pb::Txn) -> Txn {
    Txn {
        guards: txn.guards.into_iter().map(guard_from_pb).collect(),
        ops: txn.ops.into_iter().map(op_from_pb).collect(),
    }
}

fn guard_to_pb(guard: &Guard) -> pb::Guard {
    use pb::guard::Kind;
    let (kind, key, number) = match guard {
        Guard::Absent(key) => (Kind::Absent, key.clone(), 0),
        Guard::Present(key) => (Kind::Present, key.clone(), 0),
        Guard::At(key, revision) => (Kind::At, key.clone(), revision.0),
        Guard::InTerm(term) => (Kind::InTerm, Bytes::new(), term.0),
    };
    pb::Guard { kind: kind.into(), key, number }
}

fn guard_from_pb(guard: pb::Guard) -> Guard {
    use pb::guard::Kind;
    match guard.kind() {
        Kind::Absent => Guard::Absent(guard.key),
        Kind::Present => Guard::Present(guard.key),
        Kind::At => Guard::At(guard.key, Revision(guard.number)),
        Kind::InTerm => Guard::InTerm(Term(guard.number)),
    }
}

fn op_to_pb(op: &Op) -> pb::Op {
    let splice_plus_one = |splice: &Option<u32>| splice.map_or(0, |at| at.saturating_add(1));
    match op {
        Op::Put { key, value, splice } => pb::Op {
            key: key.clone(),
            value: value.clone(),
            delete: false,
            last: false,
            splice_plus_one: splice_plus_one(splice),
        },
        Op::Delete { key, last } => {
            let (value, splice) = last.clone().unwrap_or_default();
            pb::Op {
                key: key.clone(),
                value,
                delete: true,
                last: last.is_some(),
                splice_plus_one: splice_plus_one(&splice),
            }
        }
    }
}

fn op_from_pb(op: pb::Op) -> Op {
    let splice = op.splice_plus_one.checked_sub(1);
    match (op.delete, op.last) {
        (false, _) => Op::Put { key: op.key, value: op.value, splice },
        (true, true) => Op::Delete { key: op.key, last: Some((op.value, splice)) },
        (true, false) => Op::Delete { key: op.key, last: None },
    }
}

/// One Raft entry for these transactions.
pub(crate) fn encode_batch(txns: Vec<pb::Txn>, proposed_at_ms: u64) -> Command {
    Command(pb::Batch { proposed_at_ms, txns }.encode_to_vec().into())
}

/// Its parts share the command's memory.
pub(crate) fn decode_batch(command: &Command) -> Result<pb::Batch, Malformed> {
    Ok(pb::Batch::decode(command.0.clone())?)
}

pub(crate) fn outcome_to_pb(outcome: &TxnOutcome) -> pb::Outcome {
    use pb::outcome::Kind;
    match *outcome {
        TxnOutcome::Committed(revision) => {
            pb::Outcome { kind: Kind::Committed.into(), revision: revision.0, ..Default::default() }
        }
        TxnOutcome::Refused { guard, found } => pb::Outcome {
            kind: Kind::Refused.into(),
            guard,
            found: found.map(|revision| revision.0),
            ..Default::default()
        },
    }
}

pub(crate) fn log_id_to_pb(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.committed_leader_id().term, index: id.index }
}

pub(crate) fn log_id_from_pb(id: pb::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn vote_to_pb(vote: &Vote) -> pb::Ballot {
    pb::Ballot { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn vote_from_pb(ballot: Option<pb::Ballot>) -> Result<Vote, Malformed> {
    let ballot = ballot.ok_or_else(|| Malformed("no vote".to_owned()))?;
    let mut vote = Vote::new(ballot.term, ballot.node);
    vote.committed = ballot.committed;
    Ok(vote)
}

pub(crate) fn entry_to_pb(entry: &RaftEntry) -> Result<pb::LogEntry, Malformed> {
    use pb::log_entry::Payload;
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank(true),
        EntryPayload::Normal(command) => Payload::Batch(command.0.clone()),
        EntryPayload::Membership(membership) => Payload::Membership(serde_json::to_vec(membership)?.into()),
    };
    let checksum = entry_checksum(&entry.log_id, &payload);
    Ok(pb::LogEntry { id: Some(log_id_to_pb(&entry.log_id)), payload: Some(payload), checksum })
}

/// Never 0, which is what entries of versions without checksums have.
fn entry_checksum(id: &LogId, payload: &pb::log_entry::Payload) -> u32 {
    use pb::log_entry::Payload;
    let (kind, bytes): (u8, &[u8]) = match payload {
        Payload::Blank(_) => (0, &[]),
        Payload::Batch(bytes) => (1, bytes),
        Payload::Membership(json) => (2, json),
    };
    let mut head = [kind; 17];
    head[1..9].copy_from_slice(&id.committed_leader_id().term.to_be_bytes());
    head[9..].copy_from_slice(&id.index.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), bytes).max(1)
}

pub(crate) fn entry_from_pb(entry: pb::LogEntry) -> Result<RaftEntry, Malformed> {
    use pb::log_entry::Payload;
    let id = entry.id.ok_or_else(|| Malformed("log entry without id".to_owned()))?;
    let log_id = log_id_from_pb(id);
    let payload = entry.payload.ok_or_else(|| Malformed(format!("log entry {} without payload", id.index)))?;
    if entry.checksum != 0 && entry.checksum != entry_checksum(&log_id, &payload) {
        return Err(Malformed(format!("log entry {} does not have its checksum", id.index)));
    }
    let payload = match payload {
        Payload::Blank(_) => EntryPayload::Blank,
        Payload::Batch(bytes) => EntryPayload::Normal(Command(bytes)),
        Payload::Membership(json) => EntryPayload::Membership(serde_json::from_slice::<Membership>(&json)?),
    };
    Ok(RaftEntry { log_id, payload })
}

/// As stored in the log.
pub(crate) fn decode_entry(bytes: Bytes) -> Result<RaftEntry, Malformed> {
    entry_from_pb(pb::LogEntry::decode(bytes)?)
}

pub(crate) fn member_to_pb(member: &MemberInfo) -> pb::Member {
    pb::Member {
        id: member.id,
        name: member.name.clone(),
        peer_address: member.peer_address.clone(),
        api_url: member.api_url.clone(),
    }
}

pub(crate) fn member_from_pb(member: pb::Member) -> MemberInfo {
    MemberInfo { id: member.id, name: member.name, peer_address: member.peer_address, api_url: member.api_url }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
    }

    fn guard() -> impl Strategy<Value = Guard> {
        prop_oneof![
            bytes().prop_map(Guard::Absent),
            bytes().prop_map(Guard::Present),
            (bytes(), any::<u64>()).prop_map(|(key, n)| Guard::At(key, Revision(n))),
            any::<u64>().prop_map(|n| Guard::InTerm(Term(n))),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        let splice = || proptest::option::of(0..1000u32);
        prop_oneof![
            (bytes(), bytes(), splice()).prop_map(|(key, value, splice)| Op::Put { key, value, splice }),
            (bytes(), proptest::option::of((bytes(), splice()))).prop_map(|(key, last)| Op::Delete { key, last }),
        ]
    }

    proptest! {
        #[test]
        fn batches_survive_the_wire(guards in proptest::collection::vec(guard(), 0..4), ops in proptest::collection::vec(op(), 0..4)) {
            let txn = Txn { guards, ops };
            let command = encode_batch(vec![txn_to_pb(&txn)], 7);
            let mut batch = decode_batch(&command).expect("just encoded");
            prop_assert_eq!(batch.proposed_at_ms, 7);
            prop_assert_eq!(txn_from_pb(batch.txns.remove(0)), txn);
        }
    }

    #[test]
    fn a_changed_entry_is_noticed_and_one_without_checksum_is_not() {
        let payload = EntryPayload::Normal(Command(Bytes::from_static(b"x")));
        let mut encoded = entry_to_pb(&RaftEntry { log_id: log_id(3, 7), payload }).unwrap();
        encoded.payload = Some(pb::log_entry::Payload::Batch(Bytes::from_static(b"y")));
        let error = entry_from_pb(encoded.clone()).unwrap_err();
        assert_eq!(error.to_string(), "undecodable: log entry 7 does not have its checksum");
        encoded.checksum = 0;
        assert!(entry_from_pb(encoded).is_ok());
    }

    #[test]
    fn entries_survive_the_disk() {
        let membership = Membership::new_with_defaults(vec![[1].into()], [1]);
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Command(Bytes::from_static(b"x"))),
            EntryPayload::Membership(membership),
        ];
        for (index, payload) in payloads.into_iter().enumerate() {
            let entry = RaftEntry { log_id: log_id(3, index as u64), payload };
            let bytes = entry_to_pb(&entry).unwrap().encode_to_vec();
            assert_eq!(decode_entry(bytes.into()).unwrap(), entry);
        }
    }
}
