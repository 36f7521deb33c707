//! What can go wrong, as callers need to tell it apart: try again, give up, or ask a person.

use std::path::{Path, PathBuf};

use crate::types::Revision;

/// Failure of a store operation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was done because no leader was found in time. Safe to retry.
    #[error("no leader: fewer than half of the masters can be reached, or an election is on")]
    NoLeader,
    /// Nothing was done because too many proposals wait. Safe to retry.
    #[error("too many writes are waiting")]
    Busy,
    /// No answer in time. A write may or may not have happened.
    #[error("no answer in time; a write may or may not have been done")]
    Timeout,
    /// The history up to (not including) `oldest` is gone.
    #[error("history before revision {} is compacted", oldest.0)]
    Compacted {
        /// The first revision after which changes are still kept.
        oldest: Revision,
    },
    /// The revision has not been reached within the read timeout.
    #[error("revision {} is in the future; this master is at {}", asked.0, applied.0)]
    FutureRevision {
        /// What was asked for.
        asked: Revision,
        /// What this master has applied.
        applied: Revision,
    },
    /// A disk is nearly full. Deletes and reads go on; puts work again once there is space.
    #[error("the disk of a master is nearly full; delete something or add space")]
    DiskFull,
    /// Data on disk cannot be read.
    #[error("{} is damaged ({detail}); remove the directory {} and rejoin as a new master, or restore a backup", path.display(), data_dir.display())]
    Corrupt {
        /// The damaged file, or the database's directory if the file is not known.
        path: PathBuf,
        /// The master's data directory.
        data_dir: PathBuf,
        /// What was found.
        detail: String,
    },
    /// This master has applied something differently from a majority of the others.
    #[error("what this master holds differs from what the others hold, as of log entry {index}; start it again and it sets its data in {} aside and joins as a new master", data_dir.display())]
    Diverged {
        /// The entry at which it was noticed.
        index: u64,
        /// The master's data directory.
        data_dir: PathBuf,
    },
    /// The others go on without this master.
    #[error("this master was removed from the cluster; remove {} if it is to join again", data_dir.display())]
    Removed {
        /// The master's data directory.
        data_dir: PathBuf,
    },
    /// Another process has the data directory open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// A transaction is larger than the limit.
    #[error("transaction of {size} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Bytes of keys and values.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The store is shutting down.
    #[error("the store is shutting down")]
    Shutdown,
    /// A membership change was refused.
    #[error("membership: {0}")]
    Membership(String),
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(String),
    /// The disk or the operating system failed.
    #[error("{0}")]
    Io(String),
}

impl StoreError {
    /// Nothing was done and another try may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoLeader | Self::Busy)
    }

    /// Sorts a RocksDB error of the database at `db` into locked, damaged and the rest.
    pub(crate) fn from_rocksdb(error: &rocksdb::Error, db: &Path, data_dir: &Path) -> Self {
        let text = error.to_string();
        let locked = text.contains("lock hold by") || text.contains("While lock file");
        if locked {
            return Self::InUse { path: data_dir.to_path_buf() };
        }
        let missing = text.contains("CURRENT") || text.contains("No such file");
        if error.kind() == rocksdb::ErrorKind::Corruption || missing {
            return Self::Corrupt {
                path: file_named_in(&text).unwrap_or_else(|| db.to_path_buf()),
                data_dir: data_dir.to_path_buf(),
                detail: text,
            };
        }
        Self::Io(format!("{}: {text}", db.display()))
    }

    /// What openraft says when it cannot read what is there at start; it wraps the text of RocksDB, which holds the state,
    /// in its own.
    pub(crate) fn reading(data_dir: &Path, text: &str) -> Self {
        let Some(at) = text.find("Corruption:") else { return Self::Io(text.to_owned()) };
        let detail = &text[at..];
        Self::Corrupt {
            path: file_named_in(detail).unwrap_or_else(|| data_dir.join("state")),
            data_dir: data_dir.to_path_buf(),
            detail: detail.to_owned(),
        }
    }

    /// An I/O error with the file it happened on.
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io(format!("{}: {error}", path.display()))
    }
}

/// RocksDB names files in the text of its errors only.
fn file_named_in(text: &str) -> Option<PathBuf> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| matches!(c, ':' | ',' | ';' | '\'' | '"' | '(' | ')')))
        .find(|word| word.starts_with('/') && word.len() > 1)
        .map(PathBuf::from)
}

/// For openraft, whose storage traits speak `io::Error`.
pub(crate) fn to_io(error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_file_is_named() {
        let text = "Corruption: block checksum mismatch: stored = 1 in /d/log/000012.sst offset 0";
        assert_eq!(file_named_in(text), Some(PathBuf::from("/d/log/000012.sst")));
        assert_eq!(file_named_in("Corruption: no file"), None);
    }

    #[test]
    fn damage_is_told_from_other_failures_at_start() {
        let told = |text| StoreError::reading(Path::new("/d"), text).to_string();
        assert!(told("when Read Logs: Corruption: bad block in /d/log/1.sst").starts_with("/d/log/1.sst is damaged"));
        assert_eq!(told("when Read Logs: EIO"), "when Read Logs: EIO");
    }

    #[test]
    fn only_failures_without_effect_are_retryable() {
        assert!(StoreError::NoLeader.is_retryable());
        assert!(StoreError::Busy.is_retryable());
        assert!(!StoreError::Timeout.is_retryable());
    }
}
