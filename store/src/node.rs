//! A running master: what its tasks and its [`crate::Store`] handles share.

use std::sync::Arc;

use mainstay_proto::raft as pb;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answers::Answers;
use crate::cluster::{Leadership, MemberInfo};
use crate::config::Tuning;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::leadership::Heard;
use crate::lease::Lease;
use crate::log::LogStore;
use crate::peer::connect::Connections;
use crate::peer::tls::OwnCertificate;
use crate::proposals::Proposals;
use crate::readers::Readers;
use crate::state::{Applied, Raft, State};
use crate::told::Told;
use crate::verdict::verdict_to_pb;

pub(crate) struct Node {
    pub(crate) me: MemberInfo,
    /// When this process opened the store, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    pub(crate) tuning: Tuning,
    pub(crate) raft: Raft,
    pub(crate) lease: Lease,
    /// What the others may have applied already.
    pub(crate) told: Told,
    pub(crate) log: LogStore,
    pub(crate) state: Arc<State>,
    pub(crate) connections: Connections,
    pub(crate) certificate: Arc<OwnCertificate>,
    pub(crate) proposals: Proposals,
    pub(crate) readers: Readers,
    /// To the proposals of this master.
    pub(crate) answers: Answers,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// When the leader was last heard.
    pub(crate) heard: Heard,
    /// Whether the others may go on without this master: what it is asked is then refused at once, and done elsewhere.
    pub(crate) cut_off: watch::Receiver<bool>,
    pub(crate) disk: Disk,
    /// Why this master cannot go on, if so.
    pub(crate) failure: watch::Sender<Option<StoreError>>,
    /// Held while the membership changes.
    pub(crate) changing: Mutex<()>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Node {
    /// This master cannot go on; whoever runs it should end.
    pub(crate) fn fail(&self, error: StoreError) {
        self.failure.send_replace(Some(error));
    }

    /// Returns once this master is cut off from the others.
    pub(crate) async fn cut_off(&self) {
        let mut cut_off = self.cut_off.clone();
        if cut_off.wait_for(|cut_off| *cut_off).await.is_err() {
            // Nobody tells any more: this node ends.
            self.stop.cancelled().await;
        }
    }

    /// Returns once this master is cut off and stays so for some time: an answer to what is under way is not to be had.
    pub(crate) async fn lost(&self) {
        let mut cut_off = self.cut_off.clone();
        loop {
            self.cut_off().await;
            let back = cut_off.wait_for(|cut_off| !*cut_off);
            if !matches!(tokio::time::timeout(self.tuning.patience(), back).await, Ok(Ok(_))) {
                return;
            }
        }
    }

    /// Transactions from another master, which takes this one for the leader.
    pub(crate) async fn propose_forwarded(&self, txns: Vec<pb::Txn>) -> Vec<pb::Outcome> {
        let patience = self.tuning.propose_timeout;
        let proposed = txns.into_iter().map(|txn| self.proposals.propose(txn, true, patience));
        let verdicts = futures::future::join_all(proposed).await;
        verdicts.iter().map(verdict_to_pb).collect()
    }

    /// Waits for `reached`, the read timeout at the most (`None`).
    pub(crate) async fn wait_applied(
        &self,
        reached: impl FnMut(&Applied) -> bool,
    ) -> Result<Option<Applied>, StoreError> {
        let mut applied = self.state.follow();
        let waiting = tokio::time::timeout(self.tuning.read_timeout, applied.wait_for(reached));
        tokio::select! {
            () = self.stop.cancelled() => Err(StoreError::Shutdown),
            reached = waiting => match reached {
                Ok(Ok(applied)) => Ok(Some(*applied)),
                Ok(Err(_)) => Err(StoreError::Shutdown),
                Err(_) => Ok(None),
            },
        }
    }
}
