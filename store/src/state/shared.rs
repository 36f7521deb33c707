//! What readers of the state share with the machine that changes it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::checkpoint::{Checkpoint, Dirs};
use super::db::StateDb;
use super::marks::{Mark, Marks};
use super::ring::Ring;
use crate::error::StoreError;
use crate::query::{ListQuery, Page};
use crate::raft_types::LogId;
use crate::types::{Entry, Event, Freshness, Guard, Revision, Txn, TxnOutcome};

/// How far this master has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) log: Option<LogId>,
    pub(crate) revision: Revision,
}

/// What readers share with the state machine.
pub(crate) struct State {
    pub(super) dirs: Dirs,
    db: RwLock<Arc<StateDb>>,
    pub(super) ring: Mutex<Ring>,
    pub(super) marks: Mutex<Marks>,
    pub(super) applied: watch::Sender<Applied>,
    /// Held by each watcher.
    audience: Arc<()>,
}

impl State {
    /// Opens the state under `data_dir`.
    pub(super) fn open(data_dir: &Path, ring_bytes: usize) -> Result<Self, StoreError> {
        let dirs = Dirs::open(data_dir)?;
        let db = StateDb::open(&dirs.current()?, data_dir)?;
        let progress = db.progress()?;
        let applied = Applied { log: progress.applied, revision: progress.revision };
        Ok(Self {
            dirs,
            db: RwLock::new(Arc::new(db)),
            ring: Mutex::new(Ring::new(ring_bytes, applied.revision)),
            marks: Mutex::default(),
            applied: watch::Sender::new(applied),
            audience: Arc::default(),
        })
    }

    /// The database in use now.
    pub(crate) fn db(&self) -> Arc<StateDb> {
        self.db.read().clone()
    }

    /// Directories for copies.
    pub(crate) fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    pub(super) fn swap(&self, db: StateDb, revision: Revision) {
        let mut ring = self.ring.lock();
        let old = std::mem::replace(&mut *self.db.write(), Arc::new(db));
        ring.reset(revision);
        old.remove_when_unused();
    }

    /// A copy of the state as it is, and its revision.
    pub(crate) fn copy(&self) -> Result<(Checkpoint, Revision), StoreError> {
        let dir = self.dirs.new_checkpoint();
        let checkpoint = self.db().copy_to(dir.clone())?;
        // What the copy holds, not what has been applied since.
        let revision = StateDb::open(&dir, self.dirs.data_dir())?.progress()?.revision;
        Ok((checkpoint, revision))
    }

    /// What has been applied so far.
    pub(crate) fn applied(&self) -> Applied {
        *self.applied.borrow()
    }

    /// Recent checksums of what was applied, the newest last.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.marks.lock().to_vec()
    }

    /// Follows what is applied.
    pub(crate) fn follow(&self) -> watch::Receiver<Applied> {
        self.applied.subscribe()
    }

    /// For each watcher to hold.
    pub(crate) fn audience(&self) -> Arc<()> {
        self.audience.clone()
    }

    /// One value; `fresh` only matters for a read at a revision, waiting is done already.
    pub(crate) fn get(&self, key: &Bytes, fresh: Freshness) -> Result<(Option<Entry>, Revision), StoreError> {
        match fresh {
            Freshness::Exactly(revision) => Ok((self.db().read_at(key, revision)?, revision)),
            _ => {
                let reached = self.applied().revision;
                self.db().read_after(reached, key)
            }
        }
    }

    /// What will become of a transaction, where that is certain already: a key that was changed or removed after the
    /// revision that a guard wants never comes back to it. Saves a doomed write its way through the log.
    pub(crate) fn refusal(&self, txn: &Txn) -> Result<Option<TxnOutcome>, StoreError> {
        for (position, guard) in txn.guards.iter().enumerate() {
            let Guard::At(key, wanted) = guard else { continue };
            if self.applied().revision < *wanted {
                continue;
            }
            let found = self.db().modified(key)?;
            if found != Some(*wanted) {
                let guard = u32::try_from(position).unwrap_or(u32::MAX);
                return Ok(Some(TxnOutcome::Refused { guard, found }));
            }
        }
        Ok(None)
    }

    /// A listing; likewise.
    pub(crate) fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        let at = match query.fresh {
            Freshness::Exactly(revision) => Some(revision),
            _ => None,
        };
        let (entries, more, revision) = self.db().list(&query.prefix, query.after.as_deref(), query.limit, at)?;
        Ok(Page { entries, revision, more })
    }

    /// Events after `after`, up to what is applied; from memory if it reaches back that far.
    pub(crate) fn events(
        &self,
        after: Revision,
        upto: Revision,
        prefix: &[u8],
        limit_bytes: usize,
    ) -> Result<(Vec<Arc<Event>>, Revision), StoreError> {
        let recent = self.ring.lock().after(after, upto, prefix, limit_bytes);
        match recent {
            Some(slice) => Ok(slice),
            None => self.db().history(after, upto, prefix, limit_bytes),
        }
    }
}
