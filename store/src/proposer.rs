//! From many transactions to few Raft entries.
//!
//! Transactions wait in a bounded queue ([`crate::proposals`]). On the leader everything that has queued up becomes one
//! entry, and while that one is on its way the next gathers: batches grow with load and nothing lingers. Elsewhere batches
//! go to the leader, which queues them likewise. A transaction is tried again only when it is certain that nothing was
//! done; what may have been done is reported as such ([`StoreError::Timeout`]). On a master that is cut off from the others
//! nothing waits: clients find the others.

use std::sync::Arc;
use std::time::Duration;

use mainstay_proto::raft as pb;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::clock::now_ms;
use crate::cluster::{Leadership, MemberInfo};
use crate::error::StoreError;
use crate::node::Node;
use crate::peer::connect::{Lane, never_sent};
use crate::proposals::Proposal;
use crate::raft_types::{Command, Outcomes, TypeConfig};
use crate::verdict::{Verdict, verdict_from_pb};
use crate::wire;

/// Forwarded batches on their way at once.
const FORWARDS: usize = 4;
/// Before the next try when the leader is unknown or out of reach.
const PAUSE: Duration = Duration::from_millis(20);

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
        batch.retain(Proposal::is_awaited);
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
            let done = batch.into_iter().zip(outcomes.into_iter().map(Ok));
            // Other masters' proposals are waited for on this thread.
            let (here, there) = done.partition(|(proposal, _)| proposal.forwarded);
            answer_all(here);
            hand_out(node, there);
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

fn answer_all(done: Vec<(Proposal, Verdict)>) {
    done.into_iter().for_each(|(proposal, verdict)| proposal.answer(verdict));
}

/// The same for proposals of this master.
fn hand_out(node: &Node, done: Vec<(Proposal, Verdict)>) {
    node.answers.hand_out(done.len(), move || answer_all(done));
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
        Ok(reply) => settle(node, batch, reply.into_inner().outcomes),
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
fn settle(node: &Node, batch: Vec<Proposal>, outcomes: Vec<pb::Outcome>) -> Vec<Proposal> {
    let (mut done, mut again) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut outcomes = outcomes.into_iter();
    for proposal in batch {
        let outcome =
            outcomes.next().unwrap_or(pb::Outcome { kind: pb::outcome::Kind::Unknown.into(), ..Default::default() });
        match verdict_from_pb(&outcome, proposal.bytes) {
            Some(verdict) => done.push((proposal, verdict)),
            None => {
                proposal.stage.reset();
                again.push(proposal);
            }
        }
    }
    hand_out(node, done);
    again
}
