//! Logs of earlier versions, which kept them in RocksDB: `e` + index (big endian) → entry, `v` → vote, `p` → purge mark,
//! `c` → committed hint. Such a log is copied into a journal once; what it was is removed after the copy is on disk. Until
//! then the old one counts, so that it does not matter at which point a crash comes.

mod keys;
mod verify;
mod wal;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mainstay_proto::raft as pb;
use prost::Message as _;
use rocksdb::{DB, DBRecoveryMode, Direction, IteratorMode, Options};

use super::journal::{self, Journal, Making};
use crate::error::{StoreError, to_io};
use crate::raft_types::LogId;
use crate::state::{holds_data, small_footprint, sync_dir};
use crate::wire;

/// Bytes of entries that are copied at once, roughly.
const PIECE: usize = 1 << 20;

/// Makes the log in `dir` a journal if it is none yet.
pub(super) fn take_over(dir: &Path, data_dir: &Path, segment_bytes: usize) -> Result<(), StoreError> {
    let current = dir.join("CURRENT");
    if !current.exists() && !holds_data(dir) {
        return Ok(());
    }
    let failed = |error: std::io::Error| StoreError::io(dir, &error);
    if current.exists() {
        // It is locked until it does not count any more: of two processes that start, one copies.
        let database = open(dir, data_dir)?;
        replace(&database, dir, data_dir, segment_bytes)?;
        fs::remove_file(&current).and_then(|()| sync_dir(dir)).map_err(failed)?;
        drop(database);
    } else if journal::is_in(dir).map_err(failed)? {
        tracing::info!(dir = %dir.display(), "removes what is left of the log of an earlier version");
    } else {
        let detail = "it is missing, beside what it names".to_owned();
        return Err(StoreError::Corrupt { path: current, data_dir: data_dir.to_path_buf(), detail });
    }
    remove(dir).map_err(failed)
}

fn open(dir: &Path, data_dir: &Path) -> Result<DB, StoreError> {
    wal::check(dir, data_dir)?;
    let mut options = Options::default();
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    small_footprint(&mut options);
    DB::open(&options, dir).map_err(|error| StoreError::from_rocksdb(&error, dir, data_dir))
}

/// Makes a journal of what the database holds.
fn replace(database: &DB, dir: &Path, data_dir: &Path, segment_bytes: usize) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::io(dir, &error);
    let first = database.iterator(IteratorMode::Start).next().transpose();
    let empty = first.map_err(|error| StoreError::from_rocksdb(&error, dir, data_dir))?.is_none();
    if empty && journal::is_in(dir).map_err(failed)? {
        // An earlier version that was started once more, and does not know journals, began a log of its own beside it.
        tracing::info!(dir = %dir.display(), "removes an empty log of an earlier version");
        return Ok(());
    }
    journal::remove(dir).map_err(failed)?;
    copy(database, dir, data_dir, segment_bytes)?;
    tracing::info!(dir = %dir.display(), "took over the log of an earlier version");
    Ok(())
}

fn copy(database: &DB, dir: &Path, data_dir: &Path, segment_bytes: usize) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::io(dir, &error);
    let purged = log_id(database, keys::PURGED).map_err(failed)?;
    verify::entries(database, purged).map_err(|damage| damage.named(dir, data_dir))?;
    let (mut journal, _) = Journal::open(dir, data_dir, segment_bytes, Making::Thread)?;
    copy_marks(database, purged, &mut journal).and_then(|()| copy_entries(database, &mut journal)).map_err(failed)
}

fn copy_marks(database: &DB, purged: Option<LogId>, journal: &mut Journal) -> std::io::Result<()> {
    if let Some(vote) = database.get(keys::VOTE).map_err(to_io)? {
        journal.vote(wire::vote_from_pb(Some(pb::Ballot::decode(vote.as_slice()).map_err(to_io)?))?)?;
    }
    if let Some(committed) = log_id(database, keys::COMMITTED)? {
        journal.committed(committed)?;
    }
    if let Some(purged) = purged {
        journal.purge(purged)?;
    }
    journal.write()
}

fn copy_entries(database: &DB, journal: &mut Journal) -> std::io::Result<()> {
    let mut bytes = 0;
    for item in database.iterator(IteratorMode::From(keys::ENTRIES, Direction::Forward)) {
        let (key, value) = item.map_err(to_io)?;
        if !key.starts_with(keys::ENTRIES) {
            break;
        }
        bytes += value.len();
        journal.entry(&wire::decode_entry(Bytes::from(value))?)?;
        if bytes > PIECE {
            journal.write()?;
            bytes = 0;
        }
    }
    journal.write()
}

fn log_id(database: &DB, key: &[u8]) -> std::io::Result<Option<LogId>> {
    let found = database.get(key).map_err(to_io)?;
    let id = found.map(|bytes| pb::LogId::decode(bytes.as_slice()).map_err(to_io)).transpose()?;
    Ok(id.map(wire::log_id_from_pb))
}

/// Removes RocksDB's files, those last by which it is noticed that there are any.
fn remove(dir: &Path) -> std::io::Result<()> {
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let ours = |path: &PathBuf| !journal::owns(path);
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(ours).collect();
    files.sort_by_key(|path| path.extension().is_some_and(|ending| ending == "log" || ending == "sst"));
    files.iter().try_for_each(fs::remove_file)?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use rocksdb::WriteBatch;
    use tempfile::TempDir;

    use super::super::journal::read;
    use super::*;
    use crate::raft_types::{Command, RaftEntry, Vote, log_id};

    fn entry(index: u64) -> RaftEntry {
        RaftEntry { log_id: log_id(2, index), payload: EntryPayload::Normal(Command(vec![7; 300].into())) }
    }

    /// As an earlier version left it: entries 5 to 40, cut off up to 4.
    fn former(temp: &TempDir) -> PathBuf {
        let dir = temp.path().join("log");
        let database = DB::open_default(&dir).unwrap();
        let mut batch = WriteBatch::default();
        batch.put(keys::VOTE, wire::vote_to_pb(&Vote::new(3, 1)).encode_to_vec());
        batch.put(keys::PURGED, wire::log_id_to_pb(&log_id(2, 4)).encode_to_vec());
        for index in 5..=40 {
            batch.put(keys::entry(index), wire::entry_to_pb(&entry(index)).unwrap().encode_to_vec());
        }
        database.write(batch).unwrap();
        dir
    }

    fn check(dir: &Path, data_dir: &Path) {
        take_over(dir, data_dir, 1 << 12).unwrap();
        let (journal, last) = Journal::open(dir, data_dir, 1 << 12, Making::Thread).unwrap();
        assert_eq!(last, Some(log_id(2, 40)));
        assert_eq!(journal.contents().lock().marks().vote, Some(Vote::new(3, 1)));
        assert_eq!(read(journal.contents(), 5..41, usize::MAX).unwrap(), (5..41).map(entry).collect::<Vec<_>>());
        let foreign = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).find(|path| !journal::owns(path));
        assert_eq!(foreign, None);
    }

    #[test]
    fn a_former_log_is_taken_over_once() {
        let temp = TempDir::new().unwrap();
        let dir = former(&temp);
        check(&dir, temp.path());
        check(&dir, temp.path());
    }

    #[test]
    fn a_crash_in_between_changes_nothing() {
        let temp = TempDir::new().unwrap();
        let dir = former(&temp);
        // Before the copy was complete.
        drop(Journal::open(&dir, temp.path(), 1 << 12, Making::Thread).unwrap());
        let left = dir.join("000123.sst");
        check(&dir, temp.path());
        // Before all of the old one was removed.
        fs::write(&left, "x").unwrap();
        check(&dir, temp.path());
        assert!(!left.exists());
    }

    #[test]
    fn an_empty_log_beside_a_journal_does_not_replace_it() {
        let temp = TempDir::new().unwrap();
        let dir = former(&temp);
        check(&dir, temp.path());
        drop(DB::open_default(&dir).unwrap());
        check(&dir, temp.path());
    }

    #[test]
    fn while_another_process_copies_its_copy_stays() {
        let temp = TempDir::new().unwrap();
        let dir = former(&temp);
        let other = DB::open_default(&dir).unwrap();
        let (mut journal, _) = Journal::open(&dir, temp.path(), 1 << 12, Making::Thread).unwrap();
        journal.vote(Vote::new(3, 1)).unwrap();
        journal.write().unwrap();
        assert!(matches!(take_over(&dir, temp.path(), 1 << 12), Err(StoreError::InUse { .. })));
        drop(journal);
        let (journal, _) = Journal::open(&dir, temp.path(), 1 << 12, Making::Thread).unwrap();
        assert_eq!(journal.contents().lock().marks().vote, Some(Vote::new(3, 1)));
        drop((journal, other));
        check(&dir, temp.path());
    }

    #[test]
    fn a_former_log_without_its_beginning_is_refused() {
        let temp = TempDir::new().unwrap();
        let dir = former(&temp);
        fs::remove_file(dir.join("CURRENT")).unwrap();
        let error = take_over(&dir, temp.path(), 1 << 12).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}
