//! Reading all entries once: a damaged or missing one is noticed before anything relies on it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use super::keys;
use crate::error::StoreError;
use crate::raft_types::LogId;
use crate::wire;

/// Read ahead while going through everything.
const AHEAD: usize = 2 << 20;

/// What is wrong with the log.
#[derive(Debug)]
pub(super) enum Damage {
    /// RocksDB cannot read it.
    Unreadable(rocksdb::Error),
    /// It is not what was written.
    Wrong(String),
}

impl From<rocksdb::Error> for Damage {
    fn from(error: rocksdb::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl Damage {
    /// With the place where it is.
    pub(super) fn named(self, dir: &Path, data_dir: &Path) -> StoreError {
        match self {
            Self::Unreadable(error) => StoreError::from_rocksdb(&error, dir, data_dir),
            Self::Wrong(detail) => {
                StoreError::Corrupt { path: PathBuf::from(dir), data_dir: data_dir.to_path_buf(), detail }
            }
        }
    }
}

/// Checks that every entry after `purged` is there and is what was written.
pub(super) fn entries(db: &DB, purged: Option<LogId>) -> Result<(), Damage> {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(keys::ENTRIES_END);
    options.set_readahead_size(AHEAD);
    options.fill_cache(false);
    let mut last: Option<LogId> = None;
    for item in db.iterator_opt(IteratorMode::From(keys::ENTRIES, Direction::Forward), options) {
        let (key, value) = item?;
        let index = keys::index_of(&key).ok_or_else(|| Damage::Wrong("a key that is none of the log's".to_owned()))?;
        let entry = wire::decode_entry(Bytes::from(value)).map_err(|error| Damage::Wrong(error.to_string()))?;
        follows(last.or(purged), index, &entry.log_id)?;
        last = Some(entry.log_id);
    }
    Ok(())
}

fn follows(previous: Option<LogId>, index: u64, id: &LogId) -> Result<(), Damage> {
    let expected = previous.map_or(0, |previous| previous.index + 1);
    if index != expected {
        return Err(Damage::Wrong(format!("entry {index} is there where {expected} should be")));
    }
    if id.index != index || previous.is_some_and(|previous| previous > *id) {
        return Err(Damage::Wrong(format!("entry {index} says that it is {id}")));
    }
    Ok(())
}
