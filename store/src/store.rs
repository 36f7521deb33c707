//! The handle everybody uses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::backup::{self, BackupFile, BackupInfo};
use crate::clock::now_ms;
use crate::cluster::{ClusterStatus, Leadership, MemberInfo};
use crate::config::{PeerTls, StoreConfig};
use crate::error::StoreError;
use crate::membership::Change;
use crate::node::Node;
use crate::open::{self, Ground};
use crate::query::{ListQuery, Page};
use crate::removal::Removal;
use crate::thread::{StoreThread, blocking};
use crate::types::{Entry, Freshness, Revision, Txn, TxnOutcome};
use crate::watch::Watch;
use crate::wire;

/// For a membership change to find a leader.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);

/// A master's store; clones share it.
#[derive(Clone)]
pub struct Store {
    node: Arc<Node>,
    thread: Arc<StoreThread>,
}

impl Store {
    /// Opens the data directory, starts Raft and the listener for other masters, and begins, joins or resumes. Returns
    /// when this master votes.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Corrupt`], [`StoreError::Config`], I/O errors; for a joining master the last
    /// refusal.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        let (thread, askers) = if config.tuning.own_thread {
            (StoreThread::start(&config.name)?, Some(Handle::current()))
        } else {
            (StoreThread::current(), None)
        };
        let thread = Arc::new(thread);
        let node = thread.run(open::open(config, Ground { askers, ..Ground::real() })).await??;
        Ok(Self { node, thread })
    }

    /// The same on another ground, and on the caller's runtime.
    #[cfg(test)]
    pub(crate) async fn open_on(config: StoreConfig, ground: Ground) -> Result<Self, StoreError> {
        let node = open::open(config, ground).await?;
        Ok(Self { node, thread: Arc::new(StoreThread::current()) })
    }

    /// Does something that sends messages on the store's own thread, whose connections it uses.
    async fn on_thread<T, F>(&self, work: impl FnOnce(Arc<Node>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.thread.run(work(self.node.clone())).await
    }

    async fn change(&self, change: Change) -> Result<(), StoreError> {
        self.on_thread(|node| async move { node.change(change, CHANGE_PATIENCE).await }).await?
    }

    /// This member.
    pub fn me(&self) -> &MemberInfo {
        &self.node.me
    }

    /// Applies a transaction; from any master. Once it returns `Ok`, the outcome survives any minority of failures.
    ///
    /// # Errors
    /// Retryable ones ([`StoreError::is_retryable`]) had no effect; after [`StoreError::Timeout`] and
    /// [`StoreError::Shutdown`] it may or may not have happened.
    pub async fn propose(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        if let Some(refused) = self.node.state.refusal(&txn)? {
            return Ok(refused);
        }
        let patience = self.node.tuning.propose_timeout;
        self.node.proposals.propose(wire::txn_to_pb(&txn), false, patience).await
    }

    /// A value and the revision at which it was read.
    ///
    /// # Errors
    /// [`StoreError::NoLeader`], [`StoreError::FutureRevision`], [`StoreError::Compacted`], storage errors.
    pub async fn get(&self, key: &[u8], fresh: Freshness) -> Result<(Option<Entry>, Revision), StoreError> {
        self.freshen(fresh).await?;
        self.node.state.get(&Bytes::copy_from_slice(key), fresh)
    }

    /// Keys with a prefix, in order, a page at a time. Pages of one listing are consistent with each other when the later
    /// ones are read at the first one's revision.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn list(&self, query: ListQuery) -> Result<Page, StoreError> {
        self.freshen(query.fresh).await?;
        let state = self.node.state.clone();
        let listing = blocking(move || state.list(&query));
        listing.await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    async fn freshen(&self, fresh: Freshness) -> Result<(), StoreError> {
        match fresh {
            Freshness::Local => Ok(()),
            Freshness::Consistent => self.node.catch_up().await,
            Freshness::AtLeast(asked) | Freshness::Exactly(asked) => {
                let reached = self.node.wait_applied(|applied| applied.revision >= asked).await?;
                let future = || StoreError::FutureRevision { asked, applied: self.applied() };
                reached.map(|_| ()).ok_or_else(future)
            }
        }
    }

    /// Changes of keys with a prefix (empty: all) after a revision.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if the history after that revision is not kept any more.
    pub fn watch(&self, prefix: Bytes, after: Revision) -> Result<Watch, StoreError> {
        Watch::new(self.node.state.clone(), self.node.stop.clone(), prefix, after)
    }

    /// A revision that covers every write acknowledged before the call; this master has applied it.
    ///
    /// # Errors
    /// [`StoreError::NoLeader`], [`StoreError::Timeout`], [`StoreError::Shutdown`].
    pub async fn consistent_revision(&self) -> Result<Revision, StoreError> {
        self.node.catch_up().await?;
        Ok(self.applied())
    }

    /// The revision this master has applied.
    pub fn applied(&self) -> Revision {
        self.node.state.applied().revision
    }

    /// Follows who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.node.leadership.clone()
    }

    /// Returns once this master is cut off: it leads and has not heard from a majority for some time, or has not heard from
    /// a leader for longer than elections take. Who follows changes here sees none, and does better at another master.
    pub async fn cut_off(&self) {
        self.node.cut_off().await;
    }

    /// Whether it is.
    pub fn is_cut_off(&self) -> bool {
        *self.node.cut_off.borrow()
    }

    /// All members, by name.
    pub fn members(&self) -> Vec<MemberInfo> {
        self.node.members()
    }

    /// How the cluster is; asks every member, half a second at the most.
    ///
    /// # Errors
    /// [`StoreError::Shutdown`].
    pub async fn status(&self) -> Result<ClusterStatus, StoreError> {
        self.on_thread(|node| async move { node.cluster_status().await }).await
    }

    /// Adds a running master (or tells a new address of a known one); returns once it votes.
    ///
    /// # Errors
    /// [`StoreError::Membership`] with the reason; [`StoreError::NoLeader`].
    pub async fn add_member(&self, member: MemberInfo) -> Result<(), StoreError> {
        self.change(Change::Add(member)).await
    }

    /// Takes a master out of the cluster: the one that has the name now, not one that comes back under it while this waits
    /// for a leader.
    ///
    /// # Errors
    /// As [`Store::add_member`]. While this master lags, the name may still mean one to it that is gone: refused, too.
    pub async fn remove_member(&self, name: &str) -> Result<(), StoreError> {
        let order = self.node.removal_of(name).await?;
        self.change(Change::Remove(order)).await
    }

    /// Takes out the master of that name with this id, as [`Store::members`] told it before, and never its successor.
    ///
    /// # Errors
    /// As [`Store::add_member`]; [`StoreError::Membership`] if it is gone.
    pub async fn remove_member_with_id(&self, name: &str, id: u64) -> Result<(), StoreError> {
        self.change(Change::Remove(Removal::of(name, id))).await
    }

    /// Makes another master the leader: the named one, or whichever is furthest along.
    ///
    /// # Errors
    /// As [`Store::add_member`].
    pub async fn transfer_leader(&self, to: Option<String>) -> Result<(), StoreError> {
        self.change(Change::HandOver(to)).await
    }

    /// Writes a consistent copy of everything to the file `to`, on this master, while it goes on serving. It holds all
    /// writes acknowledged before the call.
    ///
    /// # Errors
    /// As [`Store::consistent_revision`], and I/O errors.
    pub async fn backup(&self, to: &Path) -> Result<BackupInfo, StoreError> {
        self.node.catch_up().await?;
        let (state, to) = (self.node.state.clone(), to.to_path_buf());
        let written = blocking(move || {
            let (checkpoint, revision) = state.copy()?;
            let info = BackupInfo { revision, made_at_ms: now_ms() };
            backup::write(&checkpoint, &info, &to)?;
            Ok(info)
        });
        written.await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    /// The same, to a file of this master's own that goes with its handle; for sending it elsewhere.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub async fn backup_file(&self) -> Result<BackupFile, StoreError> {
        let path = self.node.state.dirs().new_backup();
        let info = self.backup(&path).await?;
        BackupFile::new(path, info)
    }

    /// Shows another certificate (of the same authority) to the other masters from the next connection on.
    ///
    /// # Errors
    /// [`StoreError::Config`] if it is not a master's or does not parse; the present one stays.
    pub fn renew(&self, tls: &PeerTls) -> Result<(), StoreError> {
        self.node.certificate.set(tls)
    }

    /// Returns when this master cannot go on (its storage failed, or it differs from the others); the process should end.
    pub async fn fatal(&self) -> StoreError {
        let mut failure = self.node.failure.subscribe();
        let failed = async {
            match failure.wait_for(Option::is_some).await.map(|failed| failed.clone()) {
                Ok(Some(error)) => error,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            error = failed => error,
            error = self.raft_failure() => error,
        }
    }

    async fn raft_failure(&self) -> StoreError {
        let mut metrics = self.node.raft.metrics();
        loop {
            let state = metrics.borrow_watched().running_state.clone();
            match state {
                Err(Fatal::StorageError(error)) => return StoreError::Io(error.to_string()),
                Err(Fatal::Panicked) => return StoreError::Io("raft panicked".to_owned()),
                Err(Fatal::Stopped) => std::future::pending().await,
                Ok(()) => {}
            }
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hands leadership over, then stops everything. Later calls fail with [`StoreError::Shutdown`].
    pub async fn shutdown(&self) {
        if let Err(error) = self.on_thread(|node| async move { open::leave(&node).await }).await {
            tracing::debug!(%error, "stopped already");
        }
    }
}
