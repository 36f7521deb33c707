//! The bounded queue in which transactions wait to be proposed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use mainstay_proto::raft as pb;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::verdict::Verdict;

const WAITING: u8 = 0;
const UNDER_WAY: u8 = 1;
const ABANDONED: u8 = 2;

/// Whether a transaction may already have had an effect; shared by who waits and who proposes.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

impl Stage {
    /// About to be proposed; `false` if nobody waits for it any more.
    pub(crate) fn begin(&self) -> bool {
        let begun = self.0.compare_exchange(WAITING, UNDER_WAY, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok()
    }

    /// Certainly nothing was done; it may be tried again.
    pub(crate) fn reset(&self) {
        self.0.store(WAITING, Ordering::Release);
    }

    /// Gives up; `true` if that is certain to leave no effect.
    fn abandon(&self) -> bool {
        let abandoned = self.0.compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        abandoned.is_ok()
    }
}

/// A transaction in the queue.
pub(crate) struct Proposal {
    pub(crate) txn: pb::Txn,
    pub(crate) bytes: usize,
    /// Came from another master; goes no further than this one.
    pub(crate) forwarded: bool,
    pub(crate) stage: Arc<Stage>,
    verdict: oneshot::Sender<Verdict>,
}

impl Proposal {
    pub(crate) fn answer(self, verdict: Verdict) {
        // Who asked may have given up.
        drop(self.verdict.send(verdict));
    }

    /// Whether who asked still waits.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.verdict.is_closed()
    }

    pub(crate) fn puts(&self) -> bool {
        self.txn.ops.iter().any(|op| !op.delete)
    }
}

fn weight(txn: &pb::Txn) -> usize {
    let guards: usize = txn.guards.iter().map(|guard| guard.key.len()).sum();
    txn.ops.iter().map(|op| op.key.len() + op.value.len()).sum::<usize>() + guards
}

/// The queue's entrance.
#[derive(Clone)]
pub(crate) struct Proposals {
    queue: mpsc::Sender<Proposal>,
    limit: usize,
}

impl Proposals {
    /// The entrance and the exit of a queue for `length` transactions of at most `limit` bytes each.
    pub(crate) fn new(length: usize, limit: usize) -> (Self, mpsc::Receiver<Proposal>) {
        let (queue, exit) = mpsc::channel(length);
        (Self { queue, limit }, exit)
    }

    /// Queues a transaction and waits for its end, `patience` at the most.
    pub(crate) async fn propose(&self, txn: pb::Txn, forwarded: bool, patience: Duration) -> Verdict {
        let bytes = weight(&txn);
        if bytes > self.limit {
            return Err(StoreError::TooLarge { size: bytes, limit: self.limit });
        }
        let (verdict, wait) = oneshot::channel();
        let stage = Arc::new(Stage::default());
        let proposal = Proposal { txn, bytes, forwarded, stage: stage.clone(), verdict };
        self.queue.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Shutdown,
        })?;
        match tokio::time::timeout(patience, wait).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(StoreError::Shutdown),
            Err(_) if stage.abandon() => Err(StoreError::NoLeader),
            Err(_) => Err(StoreError::Timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoning_is_certain_only_before_it_begins() {
        let stage = Stage::default();
        assert!(stage.begin());
        assert!(!stage.abandon());
        stage.reset();
        assert!(stage.abandon());
        assert!(!stage.begin());
    }
}
