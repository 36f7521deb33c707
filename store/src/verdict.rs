//! How a transaction ended, and how one master tells another.

use mainstay_proto::raft as pb;

use crate::error::StoreError;
use crate::types::{Revision, TxnOutcome};
use crate::wire;

/// How a transaction ended.
pub(crate) type Verdict = Result<TxnOutcome, StoreError>;

/// `None`: not done, try again.
pub(crate) fn verdict_from_pb(outcome: &pb::Outcome, bytes: usize) -> Option<Verdict> {
    use pb::outcome::Kind;
    Some(match outcome.kind() {
        Kind::Committed => Ok(TxnOutcome::Committed(Revision(outcome.revision))),
        Kind::Refused => Ok(TxnOutcome::Refused { guard: outcome.guard, found: outcome.found.map(Revision) }),
        Kind::NotLeader => return None,
        Kind::Unknown => Err(StoreError::Timeout),
        Kind::DiskFull => Err(StoreError::DiskFull),
        Kind::Busy => Err(StoreError::Busy),
        // The leader goes away; the next one may take it.
        Kind::Shutdown => return None,
        Kind::TooLarge => Err(StoreError::TooLarge { size: bytes, limit: bytes }),
    })
}

/// A verdict for the master that forwarded the transaction.
pub(crate) fn verdict_to_pb(verdict: &Verdict) -> pb::Outcome {
    use pb::outcome::Kind;
    let kind = match verdict {
        Ok(outcome) => return wire::outcome_to_pb(outcome),
        Err(StoreError::NoLeader) => Kind::NotLeader,
        Err(StoreError::DiskFull) => Kind::DiskFull,
        Err(StoreError::Busy) => Kind::Busy,
        Err(StoreError::TooLarge { .. }) => Kind::TooLarge,
        Err(_) => Kind::Unknown,
    };
    pb::Outcome { kind: kind.into(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_wire() {
        let refused = Ok(TxnOutcome::Refused { guard: 2, found: Some(Revision(0)) });
        let back = verdict_from_pb(&verdict_to_pb(&refused), 0);
        assert!(matches!(back, Some(Ok(TxnOutcome::Refused { guard: 2, found: Some(Revision(0)) }))));
        assert!(verdict_from_pb(&verdict_to_pb(&Err(StoreError::NoLeader)), 0).is_none());
        let unknown = verdict_from_pb(&verdict_to_pb(&Err(StoreError::Shutdown)), 0);
        assert!(matches!(unknown, Some(Err(StoreError::Timeout))));
    }
}
