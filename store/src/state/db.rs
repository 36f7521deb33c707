//! The state's database: opening, reading, and writing one step of applied entries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mainstay_proto::raft as pb;
use prost::Message as _;
use rocksdb::checkpoint::Checkpoint as RocksCheckpoint;
use rocksdb::{BlockBasedOptions, Cache, DB, Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};

use super::apply::{Change, Lookup};
use super::checkpoint::{Checkpoint, Removal};
use super::keys::{self, Stored};
use crate::error::StoreError;
use crate::raft_types::{LogId, StoredMembership, log_id};
use crate::types::{Entry, Event, EventKind, Revision};

/// Bytes of events after which a block ends.
const BLOCK: usize = 64 << 10;

/// How far the state has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) applied: Option<LogId>,
    pub(crate) revision: Revision,
    /// Over everything applied; see [`super::apply::Applier`].
    pub(crate) checksum: u32,
    pub(crate) membership: StoredMembership,
}

/// An open state database.
pub(crate) struct StateDb {
    db: DB,
    dir: PathBuf,
    data_dir: PathBuf,
    /// After `db`, so that the files go after the database is closed.
    removal: Removal,
}

/// Keeps a database's memory and its side files small.
pub(crate) fn small_footprint(options: &mut Options) {
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(rocksdb::LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_max_manifest_file_size(16 << 20);
}

/// Whether a database that was written to is in `dir`: without its `CURRENT` RocksDB would begin a new one over it.
pub(crate) fn holds_data(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter_map(|path| path.extension().map(|end| end == "log" || end == "sst")).any(|data| data)
}

fn options(cache: &Cache, dir: &Path) -> Options {
    let mut options = Options::default();
    options.create_if_missing(!holds_data(dir));
    options.set_write_buffer_size(16 << 20);
    options.set_max_write_buffer_number(3);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_bytes_per_sync(1 << 20);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    options.set_block_based_table_factory(&table);
    small_footprint(&mut options);
    options
}

impl StateDb {
    /// Opens or creates the database in `dir`.
    pub(crate) fn open(dir: &Path, data_dir: &Path) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(8 << 20);
        let db =
            DB::open(&options(&cache, dir), dir).map_err(|error| StoreError::from_rocksdb(&error, dir, data_dir))?;
        let removal = Removal::new(dir.to_path_buf(), false);
        Ok(Self { db, dir: dir.to_path_buf(), data_dir: data_dir.to_path_buf(), removal })
    }

    /// Removes the files once nobody reads them any more.
    pub(super) fn remove_when_unused(&self) {
        self.removal.arm(true);
    }

    /// Copies everything to the new directory `dir`, by hard links where possible.
    pub(super) fn copy_to(&self, dir: PathBuf) -> Result<Checkpoint, StoreError> {
        let make = || RocksCheckpoint::new(&self.db)?.create_checkpoint(&dir);
        make().map_err(|error| self.explain(&error))?;
        Ok(Checkpoint::owning(dir))
    }

    /// Bytes on disk and in memtables.
    pub(crate) fn size(&self) -> u64 {
        let size = |name: &str| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        size("rocksdb.total-sst-files-size") + size("rocksdb.cur-size-all-mem-tables")
    }

    /// An error with its file.
    pub(super) fn explain(&self, error: &rocksdb::Error) -> StoreError {
        StoreError::from_rocksdb(error, &self.dir, &self.data_dir)
    }

    pub(super) fn damaged(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { path: self.dir.clone(), data_dir: self.data_dir.clone(), detail: what.to_string() }
    }

    /// What was applied and is still there after a restart.
    pub(crate) fn progress(&self) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        if let Some(bytes) = self.get(keys::APPLIED)? {
            let (applied, revision, checksum) = decode_applied(&bytes).ok_or_else(|| self.damaged("applied mark"))?;
            progress.applied = applied;
            progress.revision = revision;
            progress.checksum = checksum;
        }
        if let Some(json) = self.get(keys::MEMBERSHIP)? {
            progress.membership = serde_json::from_slice(&json).map_err(|error| self.damaged(error))?;
        }
        Ok(progress)
    }

    /// The revision up to which history is gone.
    pub(crate) fn floor(&self) -> Result<Revision, StoreError> {
        self.number_at(keys::FLOOR).map(Revision)
    }

    fn number_at(&self, key: &[u8]) -> Result<u64, StoreError> {
        let Some(bytes) = self.get(key)? else {
            return Ok(0);
        };
        keys::number(&bytes).ok_or_else(|| self.damaged("number record"))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get(key).map_err(|error| self.explain(&error))?;
        Ok(value.map(Bytes::from))
    }

    /// A value and the revision at which it was read.
    pub(crate) fn read(&self, key: &Bytes) -> Result<(Option<Entry>, Revision), StoreError> {
        let snapshot = self.db.snapshot();
        let get = |key: &[u8]| snapshot.get(key).map_err(|error| self.explain(&error));
        let revision = self.revision_in(get(keys::APPLIED)?)?;
        let Some(bytes) = get(&keys::data(key))? else {
            return Ok((None, revision));
        };
        Ok((Some(self.entry(key.clone(), bytes.into())?), revision))
    }

    /// When a key was last changed.
    pub(crate) fn modified(&self, key: &[u8]) -> Result<Option<Revision>, StoreError> {
        let pinned = self.db.get_pinned(keys::data(key)).map_err(|error| self.explain(&error))?;
        pinned.map(|bytes| keys::modified(&bytes).ok_or_else(|| self.damaged("value record"))).transpose()
    }

    fn revision_in(&self, applied: Option<Vec<u8>>) -> Result<Revision, StoreError> {
        match applied {
            None => Ok(Revision(0)),
            Some(bytes) => {
                decode_applied(&bytes).map(|(_, revision, _)| revision).ok_or_else(|| self.damaged("applied mark"))
            }
        }
    }

    fn entry(&self, key: Bytes, bytes: Bytes) -> Result<Entry, StoreError> {
        let stored = Stored::decode(bytes).ok_or_else(|| self.damaged("value record"))?;
        Ok(to_entry(key, stored))
    }

    /// Entries under `prefix` after `after`, `limit` at the most (0: all), as of `at` (`None`: now); whether there are
    /// more; the revision of what was read.
    pub(crate) fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<(Vec<Entry>, bool, Revision), StoreError> {
        let snapshot = self.db.snapshot();
        let applied = snapshot.get(keys::APPLIED).map_err(|error| self.explain(&error))?;
        let now = self.revision_in(applied)?;
        let mut undo = match at {
            Some(revision) if revision < now => self.undo(&snapshot, revision, |key| key.starts_with(prefix))?,
            _ => BTreeMap::new(),
        };
        let revision = at.map_or(now, |revision| revision.min(now));
        if let Some(after) = after {
            undo.retain(|key, _| key.as_ref() > after);
        }
        let limit = if limit == 0 { usize::MAX } else { limit };
        let rows = self.rows(&snapshot, prefix, after);
        let (entries, more) = self.merge(rows, undo, limit)?;
        Ok((entries, more, revision))
    }

    /// The stored records under `prefix` after `after`, in key order.
    fn rows<'a>(
        &'a self,
        snapshot: &'a rocksdb::Snapshot<'a>,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> + 'a {
        let full_prefix = keys::data(prefix);
        let start = match after {
            // The smallest key after `after`.
            Some(after) => [&keys::data(after)[..], &[0]].concat().max(full_prefix.clone()),
            None => full_prefix.clone(),
        };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::end_of(&full_prefix));
        options.set_readahead_size(256 << 10);
        snapshot.iterator_opt(IteratorMode::From(&start, Direction::Forward), options).map(move |item| {
            let (key, value) = item.map_err(|error| self.explain(&error))?;
            Ok((Bytes::from(key).slice(1..), Bytes::from(value)))
        })
    }

    /// Current rows with `undo` laid over them.
    fn merge(
        &self,
        rows: impl Iterator<Item = Result<(Bytes, Bytes), StoreError>>,
        undo: BTreeMap<Bytes, Option<Stored>>,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let mut entries = Vec::new();
        let mut undo = undo.into_iter().peekable();
        for row in rows {
            let (key, value) = row?;
            while let Some((gone, state)) = undo.next_if(|(changed, _)| *changed < key) {
                entries.extend(state.map(|stored| to_entry(gone, stored)));
            }
            match undo.next_if(|(changed, _)| *changed == key) {
                Some((key, state)) => entries.extend(state.map(|stored| to_entry(key, stored))),
                None => entries.push(self.entry(key, value)?),
            }
            if entries.len() > limit {
                break;
            }
        }
        if entries.len() <= limit {
            entries.extend(undo.filter_map(|(key, state)| state.map(|stored| to_entry(key, stored))));
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok((entries, more))
    }

    /// The state at `revision` of each key that changed after it: the state before its first change.
    fn undo(
        &self,
        snapshot: &rocksdb::Snapshot<'_>,
        revision: Revision,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<BTreeMap<Bytes, Option<Stored>>, StoreError> {
        let floor = snapshot.get(keys::FLOOR).map_err(|error| self.explain(&error))?;
        let floor = floor.and_then(|bytes| keys::number(&bytes)).unwrap_or(0);
        if revision.0 < floor {
            return Err(StoreError::Compacted { oldest: Revision(floor) });
        }
        let mut undo = BTreeMap::new();
        for block in self.blocks(snapshot, revision) {
            for event in block?.events.into_iter().filter(|event| event.revision > revision.0 && wanted(&event.key)) {
                let previous = previous_of(&event);
                undo.entry(event.key).or_insert(previous);
            }
        }
        Ok(undo)
    }

    /// The value of `key` as of `revision`.
    pub(crate) fn read_at(&self, key: &Bytes, revision: Revision) -> Result<Option<Entry>, StoreError> {
        let snapshot = self.db.snapshot();
        let mut undo = self.undo(&snapshot, revision, |changed| changed == key)?;
        match undo.remove(key) {
            Some(state) => Ok(state.map(|stored| to_entry(key.clone(), stored))),
            None => {
                let bytes = snapshot.get(keys::data(key)).map_err(|error| self.explain(&error))?;
                bytes.map(|bytes| self.entry(key.clone(), bytes.into())).transpose()
            }
        }
    }

    /// Kept events after `after` whose keys begin with `prefix`, whole revisions, until `limit_bytes` are read or `upto`
    /// is reached; and the revision up to which that is all.
    pub(crate) fn history(
        &self,
        after: Revision,
        upto: Revision,
        prefix: &[u8],
        limit_bytes: usize,
    ) -> Result<(Vec<Arc<Event>>, Revision), StoreError> {
        let snapshot = self.db.snapshot();
        let floor = snapshot.get(keys::FLOOR).map_err(|error| self.explain(&error))?;
        let floor = floor.and_then(|bytes| keys::number(&bytes)).unwrap_or(0);
        if after.0 < floor {
            return Err(StoreError::Compacted { oldest: Revision(floor) });
        }
        let mut events = Vec::new();
        let (mut bytes, mut reached) = (0, after);
        for block in self.blocks(&snapshot, after) {
            for event in block?.events.into_iter().filter(|event| event.revision > after.0) {
                let revision = Revision(event.revision);
                if revision > upto {
                    return Ok((events, upto));
                }
                if revision > reached && bytes >= limit_bytes {
                    return Ok((events, reached));
                }
                reached = revision;
                bytes += event.key.len() + event.value.len() + event.previous.as_ref().map_or(0, Bytes::len);
                if event.key.starts_with(prefix) {
                    events.push(Arc::new(to_event(event)));
                }
            }
        }
        Ok((events, upto))
    }

    /// Blocks of events that hold changes after `after`; the first may begin with earlier ones.
    fn blocks<'a>(
        &'a self,
        snapshot: &'a rocksdb::Snapshot<'a>,
        after: Revision,
    ) -> impl Iterator<Item = Result<pb::StoredEvents, StoreError>> + 'a {
        let start = keys::history(Revision(after.0.saturating_add(1)));
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(vec![keys::HISTORY + 1]);
        snapshot.iterator_opt(IteratorMode::From(&start, Direction::Forward), options).map(move |item| {
            let (_, value) = item.map_err(|error| self.explain(&error))?;
            pb::StoredEvents::decode(Bytes::from(value)).map_err(|error| self.damaged(error))
        })
    }

    /// The last revision marked at or before `millis`, and the key range of marks up to it.
    fn revision_at(&self, millis: u64) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let start = keys::time(millis);
        let mut marks = self.db.iterator(IteratorMode::From(&start, Direction::Reverse));
        let Some((key, value)) = marks.next().transpose().map_err(|error| self.explain(&error))? else {
            return Ok(None);
        };
        if key.first() != Some(&keys::TIME) {
            return Ok(None);
        }
        let revision = keys::number(&value).ok_or_else(|| self.damaged("time mark"))?;
        Ok(Some((key.into_vec(), Revision(revision))))
    }

    /// Drops history that was made at or before `millis`. Affects no outcome, so masters need not agree on it.
    /// Returns the new floor if it moved.
    pub(crate) fn compact(&self, millis: u64) -> Result<Option<Revision>, StoreError> {
        let Some((mark, revision)) = self.revision_at(millis)? else {
            return Ok(None);
        };
        let floor = self.floor()?;
        if revision <= floor {
            return Ok(None);
        }
        let mut batch = WriteBatch::default();
        batch.put(keys::FLOOR, revision.0.to_be_bytes());
        batch.delete_range(keys::history(floor), keys::history(Revision(revision.0 + 1)));
        batch.delete_range(keys::time(0), mark);
        self.write(batch)?;
        Ok(Some(revision))
    }

    /// The time of the last mark, 0 if there is none.
    pub(super) fn last_mark(&self) -> Result<u64, StoreError> {
        let found = self.revision_at(u64::MAX)?;
        Ok(found.and_then(|(key, _)| keys::number(&key[1..])).unwrap_or(0))
    }

    /// Writes without a log of its own: after a crash the Raft log fills in what is missing.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(|error| self.explain(&error))
    }

    /// Goes on at `revision` with no history before it.
    pub(crate) fn leap(&self, applied: LogId, revision: Revision) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put(keys::APPLIED, encode_applied(Some(applied), revision, 0));
        batch.put(keys::FLOOR, revision.0.to_be_bytes());
        batch.delete_range(keys::history(Revision(0)), vec![keys::HISTORY + 1]);
        batch.delete_range(keys::time(0), vec![keys::TIME + 1]);
        self.write(batch)
    }

    /// Puts everything written so far on disk.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| self.explain(&error))
    }
}

impl Lookup for StateDb {
    type Error = StoreError;

    fn lookup(&self, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        match self.get(&keys::data(key))? {
            None => Ok(None),
            Some(bytes) => Stored::decode(bytes).map(Some).ok_or_else(|| self.damaged("value record")),
        }
    }
}

/// Adds changes to a batch, in blocks of whole revisions: inserting many small records costs more than one large one.
pub(super) fn put_events(batch: &mut WriteBatch, changes: &[Change]) {
    let mut block = Vec::new();
    let mut changes = changes.iter().peekable();
    while let Some(change) = changes.next() {
        let revision = change.event.revision;
        // As a field of `StoredEvents`: its tag, its length, itself.
        prost::encoding::message::encode(1, &stored_event(change), &mut block);
        let ends = changes.peek().is_none_or(|next| next.event.revision != revision);
        if ends && (block.len() >= BLOCK || changes.peek().is_none()) {
            batch.put(keys::history(revision), &block);
            block.clear();
        }
    }
}

fn stored_event(change: &Change) -> pb::StoredEvent {
    let event = &change.event;
    pb::StoredEvent {
        kind: match event.kind {
            EventKind::Created => pb::stored_event::Kind::Created,
            EventKind::Updated => pb::stored_event::Kind::Updated,
            EventKind::Deleted => pb::stored_event::Kind::Deleted,
        }
        .into(),
        key: event.key.clone(),
        value: event.value.clone(),
        previous: event.previous.clone(),
        created: change.previous_created.0,
        modified: change.previous_modified.0,
        revision: event.revision.0,
    }
}

/// The record of what has been applied: term, index + 1 (0: nothing), revision, checksum.
pub(super) fn encode_applied(applied: Option<LogId>, revision: Revision, checksum: u32) -> [u8; 28] {
    let (term, next) = applied.map_or((0, 0), |id| (id.committed_leader_id().term, id.index + 1));
    let mut bytes = [0; 28];
    bytes[..8].copy_from_slice(&term.to_be_bytes());
    bytes[8..16].copy_from_slice(&next.to_be_bytes());
    bytes[16..24].copy_from_slice(&revision.0.to_be_bytes());
    bytes[24..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn decode_applied(bytes: &[u8]) -> Option<(Option<LogId>, Revision, u32)> {
    let term = keys::number(bytes.get(..8)?)?;
    let next = keys::number(bytes.get(8..16)?)?;
    let revision = keys::number(bytes.get(16..24)?)?;
    let checksum = u32::from_be_bytes(bytes.get(24..28)?.try_into().ok()?);
    let applied = next.checked_sub(1).map(|index| log_id(term, index));
    Some((applied, Revision(revision), checksum))
}

fn to_entry(key: Bytes, stored: Stored) -> Entry {
    Entry { key, value: stored.value, created: stored.created, modified: stored.modified }
}

fn to_event(event: pb::StoredEvent) -> Event {
    let revision = Revision(event.revision);
    let kind = match event.kind() {
        pb::stored_event::Kind::Created => EventKind::Created,
        pb::stored_event::Kind::Updated => EventKind::Updated,
        pb::stored_event::Kind::Deleted => EventKind::Deleted,
    };
    Event { revision, key: event.key, value: event.value, previous: event.previous, kind }
}

fn previous_of(event: &pb::StoredEvent) -> Option<Stored> {
    event.previous.clone().map(|value| Stored {
        created: Revision(event.created),
        modified: Revision(event.modified),
        value,
    })
}
