//! From many transactions to few Raft entries.
//!
//! Transactions wait in a bounded queue. On the leader everything that has queued up becomes one entry, and while that one
//! is on its way the next gathers: batches grow with load and nothing lingers. Elsewhere batches go to the leader, which
//! queues them likewise. A transaction is tried again only when it is certain that nothing was done; what may have been
//! done is reported as such ([`StoreError::Timeout`]). On a master that is cut off from the others nothing waits: clients find
//! the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mainstay_proto::raft as pb;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::cluster::{Leadership, MemberInfo};
use crate::error::StoreError;
use crate::node::Node;
use crate::peer::connect::{Lane, never_sent};
use crate::raft_types::{Command, Outcomes, TypeConfig};
use crate::types::{Revision, TxnOutcome};
use crate::wire;

/// Forwarded batches on their way at once.
const FORWARDS: usize = 4;
/// Before the next try when the leader is unknown or out of reach.
const PAUSE: Duration = Duration::from_millis(20);

/// How a transaction ended.
pub(crate) type Verdict = Result<TxnOutcome, StoreError>;

const WAITING: u8 = 0;
const UNDER_WAY: u8 = 1;
const ABANDONED: u8 = 2;

/// Whether a transaction may already have had an effect; shared by who waits and who proposes.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

impl Stage {
    /// About to be proposed; `false` if nobody waits for it any more.
    fn begin(&self) -> bool {
        let begun = self.0.compare_exchange(WAITING, UNDER_WAY, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok()
    }

    /// Certainly nothing was done; it may be tried again.
    fn reset(&self) {
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
    txn: pb::Txn,
    bytes: usize,
    /// Came from another master; goes no further than this one.
    forwarded: bool,
    stage: Arc<Stage>,
    verdict: oneshot::Sender<Verdict>,
}

impl Proposal {
    fn answer(self, verdict: Verdict) {
        // Who asked may have given up.
        drop(self.verdict.send(verdict));
    }

    fn puts(&self) -> bool {
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

/// Where a batch goes.
enum Route {
    Here,
    To(MemberInfo),
    Nowhere,
}

/// Runs until the node stops.
pub(crate) async fn run(node: Arc<Node>, mut queue: mpsc::Receiver<Proposal>) {
    let forwards = Arc::new(Semaphore::new(FORWARDS));
    let mut held = None;
    while let Some(batch) = next_batch(&node, &mut queue, &mut held).await {
        let rest = match route(&node) {
            Route::Here => lead(&node, batch).await,
            Route::Nowhere | Route::To(_) => batch,
        };
        if rest.is_empty() {
            continue;
        }
        let Ok(permit) = forwards.clone().acquire_owned().await else {
            return;
        };
        let node = node.clone();
        node.clone().tasks.spawn(async move {
            deliver(&node, rest).await;
            drop(permit);
        });
    }
}

/// Whatever has queued up, within the limits; `None` once the node stops.
async fn next_batch(
    node: &Node,
    queue: &mut mpsc::Receiver<Proposal>,
    held: &mut Option<Proposal>,
) -> Option<Vec<Proposal>> {
    let first = match held.take() {
        Some(proposal) => proposal,
        None => tokio::select! {
            () = node.stop.cancelled() => return None,
            proposal = queue.recv() => proposal?,
        },
    };
    let mut bytes = first.bytes;
    let mut batch = vec![first];
    while batch.len() < node.tuning.batch_txns {
        let Ok(proposal) = queue.try_recv() else {
            break;
        };
        if bytes + proposal.bytes > node.tuning.batch_bytes {
            *held = Some(proposal);
            break;
        }
        bytes += proposal.bytes;
        batch.push(proposal);
    }
    Some(batch)
}

fn route(node: &Node) -> Route {
    match &node.leadership.borrow().leader {
        None => Route::Nowhere,
        Some(leader) if leader.id == node.me.id => Route::Here,
        Some(leader) => Route::To(leader.clone()),
    }
}

/// Brings a batch to wherever the leader is, however often that changes.
async fn deliver(node: &Node, mut batch: Vec<Proposal>) {
    let mut leadership = node.leadership.clone();
    loop {
        leadership.mark_unchanged();
        batch.retain(|proposal| !proposal.verdict.is_closed());
        if *node.cut_off.borrow() {
            batch.drain(..).for_each(|proposal| proposal.answer(Err(StoreError::NoLeader)));
        }
        if batch.is_empty() {
            return;
        }
        batch = match route(node) {
            Route::Here => lead(node, batch).await,
            Route::To(leader) => forward(node, &leader, own(batch)).await,
            Route::Nowhere => own(batch),
        };
        if !batch.is_empty() && pause(node, &mut leadership).await.is_err() {
            batch.drain(..).for_each(|proposal| proposal.answer(Err(StoreError::Shutdown)));
        }
    }
}

/// Sends forwarded transactions back to the master they came from: it finds the new leader itself.
fn own(batch: Vec<Proposal>) -> Vec<Proposal> {
    let (foreign, own): (Vec<_>, Vec<_>) = batch.into_iter().partition(|proposal| proposal.forwarded);
    foreign.into_iter().for_each(|proposal| proposal.answer(Err(StoreError::NoLeader)));
    own
}

/// A little while, or until something changes about the leader.
async fn pause(node: &Node, leadership: &mut watch::Receiver<Leadership>) -> Result<(), StoreError> {
    tokio::select! {
        () = node.stop.cancelled() => return Err(StoreError::Shutdown),
        _ = leadership.changed() => {}
        () = tokio::time::sleep(PAUSE) => {}
    }
    Ok(())
}

/// Proposes a batch as one entry. Returns what was certainly not done.
async fn lead(node: &Node, batch: Vec<Proposal>) -> Vec<Proposal> {
    let mut batch = admit(node, batch);
    batch.retain(|proposal| proposal.stage.begin());
    if batch.is_empty() {
        return batch;
    }
    let txns = batch.iter().map(|proposal| proposal.txn.clone()).collect();
    match write(node, wire::encode_batch(txns, now_ms())).await {
        Written::Done(Outcomes(outcomes)) if outcomes.len() == batch.len() => {
            let pairs = batch.into_iter().zip(outcomes);
            pairs.for_each(|(proposal, outcome)| proposal.answer(Ok(outcome)));
        }
        Written::NotLeading => {
            batch.iter().for_each(|proposal| proposal.stage.reset());
            return batch;
        }
        Written::Done(_) | Written::Unknown => {
            batch.into_iter().for_each(|proposal| proposal.answer(Err(StoreError::Timeout)));
        }
    }
    Vec::new()
}

/// Answers puts with `DiskFull` while a disk is low.
fn admit(node: &Node, batch: Vec<Proposal>) -> Vec<Proposal> {
    if !node.disk.refuses_puts() {
        return batch;
    }
    let (puts, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(Proposal::puts);
    puts.into_iter().for_each(|proposal| proposal.answer(Err(StoreError::DiskFull)));
    others
}

enum Written {
    Done(Outcomes),
    /// Certainly nothing was done.
    NotLeading,
    Unknown,
}

async fn write(node: &Node, command: Command) -> Written {
    let result = tokio::select! {
        () = node.stop.cancelled() => return Written::Unknown,
        () = node.lost() => return Written::Unknown,
        result = node.raft.client_write(command) => result,
    };
    match result {
        Ok(response) => Written::Done(response.data),
        Err(error) => unwritten(&error),
    }
}

fn unwritten(error: &RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Written {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Written::NotLeading,
        other => {
            tracing::warn!(error = %other, "the fate of a batch is unknown");
            Written::Unknown
        }
    }
}

/// Sends a batch to the leader. Returns what was certainly not done.
async fn forward(node: &Node, leader: &MemberInfo, mut batch: Vec<Proposal>) -> Vec<Proposal> {
    batch.retain(|proposal| proposal.stage.begin());
    if batch.is_empty() {
        return batch;
    }
    let txns = batch.iter().map(|proposal| proposal.txn.clone()).collect();
    let mut client = node.connections.to(&leader.peer_address, Lane::Data);
    let call = client.propose(pb::ProposeRequest { txns });
    let reply = tokio::select! {
        () = node.stop.cancelled() => Err(None),
        () = node.lost() => Err(None),
        () = succeeded(node, leader) => Err(None),
        reply = tokio::time::timeout(node.tuning.propose_timeout, call) => match reply {
            Ok(reply) => reply.map_err(Some),
            Err(_) => Err(None),
        },
    };
    match reply {
        Ok(reply) => settle(batch, reply.into_inner().outcomes),
        Err(Some(status)) if never_sent(&status) => {
            batch.iter().for_each(|proposal| proposal.stage.reset());
            batch
        }
        Err(status) => {
            tracing::debug!(?status, leader = leader.name, "the fate of a forwarded batch is unknown");
            batch.into_iter().for_each(|proposal| proposal.answer(Err(StoreError::Timeout)));
            Vec::new()
        }
    }
}

/// Returns once another leads and this leader has had time to answer what it took before.
async fn succeeded(node: &Node, leader: &MemberInfo) {
    let mut leadership = node.leadership.clone();
    let another = |now: &Leadership| now.leader.as_ref().is_some_and(|now| now.id != leader.id);
    if leadership.wait_for(another).await.is_ok() {
        tokio::time::sleep(node.tuning.patience()).await;
    } else {
        node.stop.cancelled().await;
    }
}

/// Hands out the leader's answers; returns the proposals it did not take.
fn settle(batch: Vec<Proposal>, outcomes: Vec<pb::Outcome>) -> Vec<Proposal> {
    let mut again = Vec::new();
    let mut outcomes = outcomes.into_iter();
    for proposal in batch {
        let outcome =
            outcomes.next().unwrap_or(pb::Outcome { kind: pb::outcome::Kind::Unknown.into(), ..Default::default() });
        match verdict_from_pb(&outcome, proposal.bytes) {
            Some(verdict) => proposal.answer(verdict),
            None => {
                proposal.stage.reset();
                again.push(proposal);
            }
        }
    }
    again
}

/// `None`: not done, try again.
fn verdict_from_pb(outcome: &pb::Outcome, bytes: usize) -> Option<Verdict> {
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

/// Milliseconds since 1970, for the age of history.
pub(crate) fn now_ms() -> u64 {
    #[cfg(test)]
    if let Some(now) = crate::simulation::now_ms() {
        return now;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
