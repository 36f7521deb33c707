//! Consistent reads on any master: the leader names a log index that covers every acknowledged write (by its lease or by
//! asking a majority), and the reader waits until it has applied that. Readers that come while a question is under way
//! share the next one.

use std::sync::Arc;
use std::time::Duration;

use mainstay_proto::raft as pb;
use openraft::ReadPolicy;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::node::Node;
use crate::peer::connect::Lane;

/// Readers that wait for an index.
const WAITING: usize = 16 * 1024;
/// Before asking again.
const PAUSE: Duration = Duration::from_millis(10);
/// For one question to another master.
const ASK: Duration = Duration::from_secs(1);

pub(crate) type Reader = oneshot::Sender<Result<u64, StoreError>>;

/// The entrance and the exit of the readers' queue.
pub(crate) fn queue() -> (mpsc::Sender<Reader>, mpsc::Receiver<Reader>) {
    mpsc::channel(WAITING)
}

/// Runs until the node stops.
pub(crate) async fn run(node: Arc<Node>, mut queue: mpsc::Receiver<Reader>) {
    let mut readers = Vec::new();
    loop {
        let count = tokio::select! {
            () = node.stop.cancelled() => return,
            count = queue.recv_many(&mut readers, WAITING) => count,
        };
        if count == 0 {
            return;
        }
        let index = ask(&node).await;
        // A reader may have given up.
        readers.drain(..).for_each(|reader| drop(reader.send(index.clone())));
    }
}

/// The index to wait for, asked until the read timeout, or until this master is cut off.
async fn ask(node: &Node) -> Result<u64, StoreError> {
    let deadline = Instant::now() + node.tuning.read_timeout;
    let mut leadership = node.leadership.clone();
    loop {
        leadership.mark_unchanged();
        let asked = tokio::select! {
            index = ask_once(node) => index,
            () = node.cut_off() => return Err(StoreError::NoLeader),
        };
        if let Some(index) = asked {
            return Ok(index);
        }
        tokio::select! {
            () = node.stop.cancelled() => return Err(StoreError::Shutdown),
            () = tokio::time::sleep_until(deadline) => return Err(StoreError::NoLeader),
            _ = leadership.changed() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn ask_once(node: &Node) -> Option<u64> {
    let leader = node.leadership.borrow().leader.clone()?;
    if leader.id == node.me.id {
        return as_leader(node).await;
    }
    let mut client = node.connections.to(&leader.peer_address, Lane::Data);
    let reply = tokio::time::timeout(ASK, client.read_index(pb::ReadIndexRequest {})).await;
    match reply {
        Ok(Ok(reply)) => Some(reply.into_inner().index),
        Ok(Err(status)) => {
            tracing::debug!(%status, leader = leader.name, "read index");
            None
        }
        Err(_) => None,
    }
}

/// The index if this master leads and can prove it.
pub(crate) async fn as_leader(node: &Node) -> Option<u64> {
    let policy = if node.tuning.lease_reads { ReadPolicy::LeaseRead } else { ReadPolicy::ReadIndex };
    let proof = tokio::time::timeout(ASK, node.raft.get_read_linearizer(policy)).await;
    match proof {
        Ok(Ok(linearizer)) => Some(linearizer.read_log_id().log_id().index),
        Ok(Err(error)) => {
            tracing::debug!(%error, "read index");
            None
        }
        Err(_) => None,
    }
}
