//! How far this master, while it led, let the others apply the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::raft_types::LogId;

/// The highest index that any other master was told to be committed. Clones share it.
///
/// The others may apply such an entry, and show it, before this master has applied it itself. A consistent read that is
/// sent after that must not be older, so it waits for this index, not only for what was acknowledged (Raft, section 6.4:
/// the read index is the commit index).
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<AtomicU64>);

impl Told {
    /// Called before the others can hear of it. What was committed stays so: it never falls, whoever leads next.
    pub(crate) fn note(&self, commit: Option<&LogId>) {
        if let Some(commit) = commit {
            self.0.fetch_max(commit.index, Ordering::SeqCst);
        }
    }

    /// The index; 0 if nobody was told of any.
    pub(crate) fn index(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft_types::log_id;

    #[test]
    fn it_never_falls_and_clones_share_it() {
        let told = Told::default();
        let clone = told.clone();
        assert_eq!(told.index(), 0);
        for (commit, index) in [(Some(log_id(1, 7)), 7), (Some(log_id(2, 5)), 7), (None, 7), (Some(log_id(2, 8)), 8)] {
            clone.note(commit.as_ref());
            assert_eq!(told.index(), index);
        }
    }
}
