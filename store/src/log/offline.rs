//! A log that no Raft runs on, for recovery and restoration.

use std::path::{Path, PathBuf};

use mainstay_proto::raft as pb;
use openraft::EntryPayload;
use prost::Message as _;
use rocksdb::{DB, WriteBatch, WriteOptions};

use super::{keys, last_entry, options, read_log_id};
use crate::error::StoreError;
use crate::raft_types::{LogId, Membership, RaftEntry, Vote, log_id};
use crate::wire;

/// An opened log.
pub(crate) struct OfflineLog {
    db: DB,
    dir: PathBuf,
}

impl OfflineLog {
    /// Opens or creates the log in `dir`.
    pub(crate) fn open(dir: &Path, data_dir: &Path) -> Result<Self, StoreError> {
        let db =
            DB::open(&options(dir, data_dir)?, dir).map_err(|error| StoreError::from_rocksdb(&error, dir, data_dir))?;
        Ok(Self { db, dir: dir.to_path_buf() })
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Io(format!("{}: {error}", self.dir.display()))
    }

    /// The last entry, or the purge mark.
    pub(crate) fn last(&self) -> Result<Option<LogId>, StoreError> {
        let purged = read_log_id(&self.db, keys::PURGED).map_err(|error| self.failed(error))?;
        let last = last_entry(&self.db).map_err(|error| self.failed(error))?;
        let last = last.map(wire::decode_entry).transpose().map_err(|error| self.failed(error))?;
        Ok(last.map(|entry| entry.log_id).max(purged))
    }

    fn voted_term(&self) -> Result<u64, StoreError> {
        let Some(bytes) = self.db.get(keys::VOTE).map_err(|error| self.failed(error))? else {
            return Ok(0);
        };
        Ok(pb::Ballot::decode(bytes.as_slice()).map_err(|error| self.failed(error))?.term)
    }

    /// Ends the log with `membership`, in a term after all it has seen, and votes for `voter` in it. `after` is the last
    /// id; an empty log then begins behind it.
    pub(crate) fn end_with(&self, after: LogId, membership: Membership, voter: u64) -> Result<(), StoreError> {
        let term = self.voted_term()?.max(after.committed_leader_id().term) + 1;
        let id = log_id(term, after.index + 1);
        let entry = RaftEntry { log_id: id, payload: EntryPayload::Membership(membership) };
        let entry = wire::entry_to_pb(&entry).map_err(|error| self.failed(error))?;
        let mut batch = WriteBatch::default();
        if self.last()? < Some(after) {
            // The state is ahead, by a snapshot; older entries would leave a hole before the new one.
            batch.delete_range(keys::ENTRIES, keys::ENTRIES_END);
            batch.put(keys::PURGED, wire::log_id_to_pb(&after).encode_to_vec());
        }
        batch.put(keys::entry(id.index), entry.encode_to_vec());
        batch.put(keys::VOTE, wire::vote_to_pb(&Vote::new(term, voter)).encode_to_vec());
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        self.db.write_opt(batch, &sync).map_err(|error| self.failed(error))
    }
}
