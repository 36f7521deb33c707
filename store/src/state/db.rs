//! The state's database: opening, reading, and writing one step of applied entries.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint as RocksCheckpoint;
use rocksdb::{ColumnFamily, DB, Direction, FlushOptions, IteratorMode, WriteBatch, WriteOptions};

use super::checkpoint::{Checkpoint, Removal};
use super::columns::{self, Column};
use super::keys::{self, Stored};
use super::progress::{Progress, encode_applied};
use crate::error::StoreError;
use crate::raft_types::LogId;
use crate::types::Revision;

/// An open state database.
pub(crate) struct StateDb {
    pub(super) db: DB,
    dir: PathBuf,
    data_dir: PathBuf,
    /// After `db`, so that the files go after the database is closed.
    removal: Removal,
}

/// Whether a database that was written to is in `dir`: without its `CURRENT` RocksDB would begin a new one over it.
pub(crate) fn holds_data(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter_map(|path| path.extension().map(|end| end == "log" || end == "sst")).any(|data| data)
}

impl StateDb {
    /// Opens or creates the database in `dir`.
    pub(crate) fn open(dir: &Path, data_dir: &Path) -> Result<Self, StoreError> {
        let db = DB::open_cf_descriptors(&columns::options(!holds_data(dir)), dir, columns::descriptors())
            .map_err(|error| StoreError::from_rocksdb(&error, dir, data_dir))?;
        let removal = Removal::new(dir.to_path_buf(), false);
        let opened = Self { db, dir: dir.to_path_buf(), data_dir: data_dir.to_path_buf(), removal };
        opened.forget_mixed_history()?;
        Ok(opened)
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

    /// Earlier versions kept events beside the data; such a directory goes on without its old history.
    fn forget_mixed_history(&self) -> Result<(), StoreError> {
        let start = keys::history(Revision(0));
        let found = self.db.iterator(IteratorMode::From(&start, Direction::Forward)).next();
        let found = found.transpose().map_err(|error| self.explain(&error))?;
        if found.is_none_or(|(key, _)| key.first() != Some(&keys::HISTORY)) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put(keys::FLOOR, self.progress()?.revision.0.to_be_bytes());
        batch.delete_range(start, vec![keys::HISTORY + 1]);
        self.write(batch)
    }

    /// The handle of a column.
    pub(super) fn column(&self, column: Column) -> &ColumnFamily {
        self.db.cf_handle(column.name()).expect("every column is created when the database is opened")
    }

    /// Bytes on disk and in memtables.
    pub(crate) fn size(&self) -> u64 {
        let of = |column: Column, name: &str| {
            self.db.property_int_value_cf(self.column(column), name).ok().flatten().unwrap_or(0)
        };
        let names = ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size", "rocksdb.cur-size-all-mem-tables"];
        Column::ALL.iter().flat_map(|column| names.map(|name| of(*column, name))).sum()
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
            progress = Progress::decode_applied(&bytes).ok_or_else(|| self.damaged("applied mark"))?;
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

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get(key).map_err(|error| self.explain(&error))?;
        Ok(value.map(Bytes::from))
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
        batch.delete_range_cf(self.column(Column::History), keys::history(Revision(0)), vec![keys::HISTORY + 1]);
        batch.delete_range(keys::time(0), vec![keys::TIME + 1]);
        self.write(batch)
    }

    /// Puts everything written so far on disk, all columns at once.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let columns = Column::ALL.map(|column| self.column(column));
        self.db.flush_cfs_opt(&columns, &FlushOptions::default()).map_err(|error| self.explain(&error))
    }

    /// A record as it was read.
    pub(super) fn stored(&self, record: Bytes) -> Result<Stored, StoreError> {
        Stored::decode(record).ok_or_else(|| self.damaged("value record"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::raft_types::log_id;

    fn put(db: &StateDb, key: &[u8], value: &Bytes) {
        let stored = Stored { created: Revision(1), modified: Revision(1), value: value.clone() };
        let mut batch = WriteBatch::default();
        batch.put(keys::data(key), stored.encode());
        db.write(batch).unwrap();
    }

    #[test]
    fn a_damaged_value_in_a_file_of_its_own_is_refused_and_a_copy_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, copy) = (temp.path().join("0"), temp.path().join("copy"));
        let (key, value) = (Bytes::from_static(b"k"), Bytes::from(vec![b'v'; 4096]));
        let db = StateDb::open(&dir, temp.path()).unwrap();
        put(&db, &key, &value);
        db.flush().unwrap();
        let copied = db.copy_to(copy.clone()).unwrap();
        drop(db);
        let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path());
        let file = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "blob")).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // Not through the hard link, which the copy shares.
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        let error = StateDb::open(&dir, temp.path()).unwrap().read(&key).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        let whole = StateDb::open(&copy, temp.path()).unwrap();
        assert_eq!(whole.read(&key).unwrap().0.unwrap().value, value);
        drop((whole, copied));
    }

    #[test]
    fn a_directory_with_events_beside_the_data_goes_on_without_them() {
        let temp = tempfile::tempdir().unwrap();
        let applied = encode_applied(Some(log_id(1, 7)), Revision(5), 0);
        {
            let db = DB::open_default(temp.path()).unwrap();
            db.put(keys::APPLIED, applied).unwrap();
            db.put(keys::history(Revision(5)), b"an event").unwrap();
            db.put(
                keys::data(b"k"),
                Stored { created: Revision(1), modified: Revision(5), value: Bytes::new() }.encode(),
            )
            .unwrap();
        }
        for _ in 0..2 {
            let db = StateDb::open(temp.path(), temp.path()).unwrap();
            assert_eq!(db.floor().unwrap(), Revision(5));
            assert_eq!(db.progress().unwrap().revision, Revision(5));
            assert!(db.read(&Bytes::from_static(b"k")).unwrap().0.is_some());
            assert_eq!(db.get(&keys::history(Revision(5))).unwrap(), None);
            db.flush().unwrap();
        }
    }
}
