//! The Raft log on disk.
//!
//! A RocksDB of its own, one column family: `e` + index (big endian) → entry, `v` → vote, `p` → purge mark, `c` →
//! committed hint. One thread writes it ([`writer`]): what has queued up becomes one synced batch in order of arrival.
//! Recent entries stay in memory ([`cache`]), where replication and apply read them; entries that are not on disk yet are
//! only there. At the start a torn tail of the write-ahead log is dropped (it was never acknowledged). Damage anywhere else
//! is an error, never a silent loss: [`wal`] looks through the write-ahead log, [`verify`] through all entries, each of
//! which has a checksum of its own from the master that sent it on.

mod cache;
#[cfg(test)]
mod damage_test;
mod keys;
mod offline;
mod verify;
mod wal;
mod writer;

use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mainstay_proto::raft as pb;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use prost::Message as _;
use rocksdb::{DB, DBRecoveryMode, Direction, IteratorMode, Options, ReadOptions};
use tokio::sync::oneshot;

use crate::error::{StoreError, to_io};
use crate::raft_types::{LogId, RaftEntry, TypeConfig, Vote};
use crate::wire;
use cache::Cache;
pub(crate) use offline::OfflineLog;
#[cfg(test)]
pub(crate) use wal::filler;
pub(crate) use writer::Writing;
use writer::{Job, Jobs};

/// Bytes sent to a follower in one message, roughly.
const READ_BYTES: usize = 1 << 20;

/// Handle on the log; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    db: Arc<DB>,
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
        cache_bytes: usize,
        me: u64,
        writing: Writing,
    ) -> Result<Self, StoreError> {
        let explain = |error: rocksdb::Error| StoreError::from_rocksdb(&error, dir, data_dir);
        let db = Arc::new(DB::open(&options(dir, data_dir)?, dir).map_err(explain)?);
        let purged = read_log_id(&db, keys::PURGED).map_err(to_store(dir))?;
        let last = verify::entries(&db, purged).map_err(|damage| damage.named(dir, data_dir))?;
        let cache = Arc::new(Mutex::new(Cache::new(cache_bytes, last, purged)));
        let jobs = Jobs::start(db.clone(), cache.clone(), writing).map_err(|error| StoreError::io(dir, &error))?;
        Ok(Self { db, cache, jobs, me, leads: Arc::default(), appended: Arc::default() })
    }

    /// What was appended so far.
    pub(crate) fn appended(&self) -> Appended {
        *self.appended.lock()
    }

    /// Bytes on disk, write-ahead log not counted.
    pub(crate) fn size(&self) -> u64 {
        let size = |name: &str| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        size("rocksdb.total-sst-files-size") + size("rocksdb.cur-size-all-mem-tables")
    }

    /// Whether nothing was ever written here.
    pub(crate) fn is_new(&self) -> Result<bool, StoreError> {
        let vote = self.db.get(keys::VOTE).map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(vote.is_none() && self.cache.lock().last().is_none())
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
        let mut entries = self.read_disk(range.start..tail_start.min(range.end), limit)?;
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

    fn read_disk(&self, range: Range<u64>, limit: usize) -> std::io::Result<Vec<RaftEntry>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::entry(range.end));
        let start = keys::entry(range.start);
        let mut entries = Vec::new();
        let mut bytes = 0;
        for item in self.db.iterator_opt(IteratorMode::From(&start, Direction::Forward), options) {
            let (key, value) = item.map_err(to_io)?;
            if keys::index_of(&key).is_none() || bytes >= limit {
                break;
            }
            bytes += value.len();
            entries.push(wire::decode_entry(Bytes::from(value))?);
        }
        Ok(entries)
    }
}

/// How to open the database in `dir`, once its write-ahead logs have been looked through.
fn options(dir: &Path, data_dir: &Path) -> Result<Options, StoreError> {
    wal::check(dir, data_dir)?;
    let mut options = Options::default();
    options.create_if_missing(!crate::state::holds_data(dir));
    // A log file that is gone is noticed.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // Entries are cut long before their memtable is full; what was cut by then never becomes a file.
    options.set_write_buffer_size(64 << 20);
    options.set_max_write_buffer_number(3);
    options.set_max_total_wal_size(256 << 20);
    crate::state::small_footprint(&mut options);
    Ok(options)
}

fn to_store(dir: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    move |error| StoreError::io(dir, &error)
}

fn read_log_id(db: &DB, key: &[u8]) -> std::io::Result<Option<LogId>> {
    let Some(bytes) = db.get(key).map_err(to_io)? else {
        return Ok(None);
    };
    let id = pb::LogId::decode(bytes.as_slice()).map_err(to_io)?;
    Ok(Some(wire::log_id_from_pb(id)))
}

fn last_entry(db: &DB) -> Result<Option<Bytes>, rocksdb::Error> {
    let from = IteratorMode::From(keys::ENTRIES_END, Direction::Reverse);
    let last = db.iterator(from).next().transpose()?;
    Ok(last.filter(|(key, _)| keys::index_of(key).is_some()).map(|(_, value)| Bytes::from(value)))
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
        let Some(bytes) = self.db.get(keys::VOTE).map_err(to_io)? else {
            return Ok(None);
        };
        let ballot = pb::Ballot::decode(bytes.as_slice()).map_err(to_io)?;
        Ok(Some(wire::vote_from_pb(Some(ballot))?))
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
        let saved = read_log_id(&self.db, keys::COMMITTED)?.max(self.jobs.remembered());
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
