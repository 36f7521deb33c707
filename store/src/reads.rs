//! Consistent reads on any master: the leader names a log index that covers every acknowledged write and all that any
//! master has shown (by its lease or by asking a majority), and the reader waits until it has applied that. Readers that
//! come while a question is under way share the next one.

use std::sync::Arc;
use std::time::Duration;

use mainstay_proto::raft as pb;
use openraft::ReadPolicy;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::StoreError;
use crate::node::Node;
use crate::peer::connect::Lane;
use crate::readers::{Reader, WAITING};
use crate::state::Applied;

/// Before asking again.
const PAUSE: Duration = Duration::from_millis(10);
/// For one question to another master.
const ASK: Duration = Duration::from_secs(1);

impl Node {
    /// The index for a consistent read, if this master leads.
    pub(crate) async fn read_index_as_leader(&self) -> Option<u64> {
        match self.leads_for_certain() {
            Some(index) => Some(index),
            None => as_leader(self).await,
        }
    }

    /// What this master has applied or has let others apply, if no master can have acknowledged or applied more.
    fn leads_for_certain(&self) -> Option<u64> {
        let applied = self.state.applied().log;
        let covers = self.tuning.lease_reads && self.lease.covers(applied);
        // After the lease was looked at: what the others show by then was told before.
        applied.filter(|_| covers).map(|id| id.index.max(self.told.index()))
    }

    /// Returns once this master has applied every write acknowledged, and every change shown by any master, before the call.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        let index = match self.leads_for_certain() {
            Some(index) => index,
            None => self.readers.index().await?,
        };
        let reached = |applied: &Applied| applied.log.is_some_and(|id| id.index >= index);
        if !reached(&self.state.applied()) {
            self.wait_applied(reached).await?.ok_or(StoreError::Timeout)?;
        }
        Ok(())
    }
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
async fn as_leader(node: &Node) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use futures::poll;

    use super::*;
    use crate::config::{Start, StoreConfig, Tuning};
    use crate::open::{self, Ground};
    use crate::raft_types::LogId;
    use crate::types::{Op, Txn};

    fn alone(data_dir: &Path) -> StoreConfig {
        StoreConfig {
            name: "m".to_owned(),
            id: 0,
            data_dir: data_dir.to_owned(),
            peer_listen: ([127, 0, 0, 1], 0).into(),
            peer_address: String::new(),
            api_url: String::new(),
            tls: crate::simulation::certificate(),
            start: Start::Bootstrap,
            tuning: Tuning { disk_low_bytes: 0, own_thread: false, ..Tuning::default() },
        }
    }

    async fn put(node: &Node) {
        let op = Op::Put { key: Bytes::from_static(b"k"), value: Bytes::from_static(b"v"), splice: None };
        let txn = crate::wire::txn_to_pb(&Txn { guards: Vec::new(), ops: vec![op] });
        node.propose_forwarded(vec![txn]).await;
    }

    async fn read_index(node: &Node) -> u64 {
        loop {
            if let Some(index) = node.leads_for_certain() {
                return index;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    #[tokio::test]
    async fn a_read_waits_for_what_the_others_may_have_applied() {
        let temp = tempfile::tempdir().unwrap();
        let node = open::open(alone(temp.path()), Ground::real()).await.unwrap();
        put(&node).await;
        let applied: LogId = node.state.applied().log.unwrap();
        assert_eq!(read_index(&node).await, applied.index);
        node.told.note(Some(&LogId { index: applied.index + 1, ..applied }));
        assert_eq!(read_index(&node).await, applied.index + 1);
        let mut read = std::pin::pin!(node.catch_up());
        assert!(poll!(read.as_mut()).is_pending());
        put(&node).await;
        read.await.unwrap();
        assert!(node.state.applied().log.unwrap().index > applied.index);
        open::stop(&node).await;
    }
}
