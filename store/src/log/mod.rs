//! The Raft log on disk.
//!
//! Entries, the vote, the purge mark and a hint at what is committed, in a [`journal`]. One thread writes it ([`writer`]):
//! what has queued up becomes one synced write in order of arrival. Recent entries stay in memory ([`cache`]), where
//! replication and apply read them; entries that are not on disk yet are only there. At the start all of it is read: a torn
//! last write is dropped (it was never acknowledged), damage anywhere else is an error, never a silent loss. Each entry has
//! a checksum of its own, too, from the master that sent it on.
//!
//! Earlier versions kept the log in RocksDB; [`former`] takes over what they wrote.

mod cache;
#[cfg(test)]
mod damage_test;
mod former;
mod journal;
mod offline;
mod writer;

use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{StoreError, to_io};
use crate::raft_types::{LogId, RaftEntry, TypeConfig, Vote};
use cache::Cache;
use journal::{Journal, Shared};
pub(crate) use offline::OfflineLog;
pub(crate) use writer::Writing;
use writer::{Job, Jobs};

/// Bytes sent to a follower in one message, roughly.
const READ_BYTES: usize = 1 << 20;

/// How large things are, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Of recent entries in memory.
    pub(crate) cache: usize,
    /// Of a file on disk.
    pub(crate) segment: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { cache: 4 << 20, segment: 4 << 20 }
    }
}

/// Handle on the log; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    contents: Shared,
    cache: Arc<Mutex<Cache>>,
    jobs: Jobs,
    me: u64,
    /// This master leads, as far as the votes that were saved say.
    leads: Arc<AtomicBool>,
    appended: Arc<Mutex<Appended>>,
}

/// What was appended since the process began; says when to cut the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// Index of the last entry.
    pub(crate) last: u64,
}

impl LogStore {
    /// Opens or creates the log of member `me` in `dir`.
    pub(crate) fn open(
        dir: &Path,
        data_dir: &Path,
        sizes: Sizes,
        me: u64,
        writing: Writing,
    ) -> Result<Self, StoreError> {
        former::take_over(dir, data_dir, sizes.segment)?;
        let (journal, last) = Journal::open(dir, data_dir, sizes.segment, writing.making())?;
        let contents = journal.contents().clone();
        let purged = contents.lock().marks().purged;
        let cache = Arc::new(Mutex::new(Cache::new(sizes.cache, last, purged)));
        let jobs = Jobs::start(journal, cache.clone(), writing).map_err(|error| StoreError::io(dir, &error))?;
        Ok(Self { contents, cache, jobs, me, leads: Arc::default(), appended: Arc::default() })
    }

    /// What was appended so far.
    pub(crate) fn appended(&self) -> Appended {
        *self.appended.lock()
    }

    /// Bytes on disk, with what is set aside for entries to come.
    pub(crate) fn size(&self) -> u64 {
        self.contents.lock().size()
    }

    /// Whether nothing was ever written here.
    pub(crate) fn is_new(&self) -> bool {
        self.contents.lock().marks().vote.is_none() && self.cache.lock().last().is_none()
    }

    /// The id up to which entries were cut off.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.cache.lock().purged()
    }

    async fn send_and_wait(
        &self,
        job: impl FnOnce(oneshot::Sender<std::io::Result<()>>) -> Job,
    ) -> std::io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.jobs.send(job(done))?;
        wait.await.map_err(|_| to_io("the log's writer is gone"))?
    }

    /// Entries of `range` that exist; stops early once `limit` bytes are read, but not before the first entry.
    fn read(&self, range: Range<u64>, limit: usize) -> std::io::Result<Vec<RaftEntry>> {
        let (tail, tail_start) = self.cache.lock().tail_of(&range);
        let mut entries = journal::read(&self.contents, range.start..tail_start.min(range.end), limit)?;
        let mut bytes: usize = entries.iter().map(cache::weight).sum();
        let complete = entries.last().map_or(range.start, |entry| entry.log_id.index + 1) == tail_start;
        if entries.is_empty() || complete {
            for entry in tail {
                if bytes >= limit {
                    break;
                }
                bytes += cache::weight(&entry);
                entries.push(entry);
            }
        }
        check_contiguous(&entries)?;
        Ok(entries)
    }
}

fn check_contiguous(entries: &[RaftEntry]) -> std::io::Result<()> {
    match entries.windows(2).find(|pair| pair[0].log_id.index + 1 != pair[1].log_id.index) {
        None => Ok(()),
        Some(pair) => Err(to_io(format!("the log has a hole after entry {}", pair[0].log_id.index))),
    }
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, std::io::Error> {
        self.read(to_range(&range), usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, std::io::Error> {
        Ok(self.contents.lock().marks().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, std::io::Error> {
        self.read(start..end, READ_BYTES)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, std::io::Error> {
        let cache = self.cache.lock();
        Ok(LogState { last_purged_log_id: cache.purged(), last_log_id: cache.last() })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), std::io::Error> {
        let vote = *vote;
        self.leads.store(vote.committed && vote.leader_id.voted_for == self.me, Ordering::Relaxed);
        self.send_and_wait(|done| Job::Vote { vote, done }).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), std::io::Error> {
        if let Some(id) = committed {
            self.jobs.remember_committed(id);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, std::io::Error> {
        // The hint is not synced and may name an entry that a torn tail took away.
        let last = self.cache.lock().last();
        let saved = self.contents.lock().marks().committed.max(self.jobs.remembered());
        Ok(saved.min(last))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), std::io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<RaftEntry> = entries.into_iter().collect();
        let bytes: usize = entries.iter().map(cache::weight).sum();
        if let Some(last) = entries.last() {
            let mut appended = self.appended.lock();
            appended.bytes += bytes as u64;
            appended.entries += entries.len() as u64;
            appended.last = last.log_id.index;
        }
        {
            let mut cache = self.cache.lock();
            entries.iter().for_each(|entry| cache.push(entry.clone()));
        }
        let job = Job::Append { entries, flushed: callback };
        // A leader has followers to feed while its disk works.
        if self.leads.load(Ordering::Relaxed) { self.jobs.send(job) } else { self.jobs.do_or_send(job) }
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), std::io::Error> {
        let from = last_log_id.map_or(0, |id| id.index + 1);
        // First the disk: entries before the cut may still be on their way there and would count as durable after it.
        self.send_and_wait(|done| Job::Truncate { from, done }).await?;
        self.cache.lock().truncate(from, last_log_id);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), std::io::Error> {
        self.cache.lock().purge(upto);
        self.send_and_wait(|done| Job::Purge { upto, done }).await
    }
}
