//! A log that no Raft runs on, for recovery and restoration.

use std::path::{Path, PathBuf};

use openraft::EntryPayload;

use super::journal::{Journal, Making};
use super::{Sizes, former};
use crate::error::StoreError;
use crate::raft_types::{LogId, Membership, RaftEntry, Vote, log_id};

/// An opened log.
pub(crate) struct OfflineLog {
    journal: Journal,
    last: Option<LogId>,
    dir: PathBuf,
}

impl OfflineLog {
    /// Opens or creates the log in `dir`.
    pub(crate) fn open(dir: &Path, data_dir: &Path) -> Result<Self, StoreError> {
        let segment = Sizes::default().segment;
        former::take_over(dir, data_dir, segment)?;
        let (journal, last) = Journal::open(dir, data_dir, segment, Making::Thread)?;
        Ok(Self { journal, last, dir: dir.to_path_buf() })
    }

    /// The last entry, or the purge mark.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.last.max(self.journal.contents().lock().marks().purged)
    }

    /// Ends the log with `membership`, in a term after all it has seen, and votes for `voter` in it. `after` is the last
    /// id; an empty log then begins behind it.
    pub(crate) fn end_with(&mut self, after: LogId, membership: Membership, voter: u64) -> Result<(), StoreError> {
        let voted = self.journal.contents().lock().marks().vote.map_or(0, |vote| vote.leader_id.term);
        let term = voted.max(after.committed_leader_id().term) + 1;
        let id = log_id(term, after.index + 1);
        let entry = RaftEntry { log_id: id, payload: EntryPayload::Membership(membership) };
        let beyond = self.last() < Some(after);
        self.write(after, beyond, &entry, Vote::new(term, voter)).map_err(|error| StoreError::io(&self.dir, &error))?;
        self.last = Some(id);
        Ok(())
    }

    fn write(&mut self, after: LogId, beyond: bool, entry: &RaftEntry, vote: Vote) -> std::io::Result<()> {
        if beyond {
            // The state is ahead, by a snapshot; older entries would leave a hole before the new one.
            self.journal.truncate(0)?;
            self.journal.purge(after)?;
        }
        self.journal.entry(entry)?;
        self.journal.vote(vote)?;
        self.journal.write()
    }
}
