//! The log's tail in memory. New entries are readable here before they are on disk.

use std::collections::VecDeque;
use std::ops::Range;

use openraft::EntryPayload;

use crate::raft_types::{LogId, RaftEntry};

/// A contiguous run of entries that ends at the log's last one, and the log's bounds.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: VecDeque<RaftEntry>,
    bytes: usize,
    limit: usize,
    /// Entries below this index are on disk and may be dropped from memory.
    durable: u64,
    last: Option<LogId>,
    purged: Option<LogId>,
}

/// What an entry weighs in memory, roughly.
pub(super) fn weight(entry: &RaftEntry) -> usize {
    const OVERHEAD: usize = 96;
    match &entry.payload {
        EntryPayload::Normal(command) => command.0.len() + OVERHEAD,
        _ => OVERHEAD,
    }
}

impl Cache {
    pub(super) fn new(limit: usize, last: Option<LogId>, purged: Option<LogId>) -> Self {
        let durable = last.map_or(0, |id| id.index + 1);
        Self { limit, durable, last, purged, ..Self::default() }
    }

    /// The last entry's id, or the purge mark when the log is empty.
    pub(super) fn last(&self) -> Option<LogId> {
        self.last.max(self.purged)
    }

    pub(super) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    pub(super) fn push(&mut self, entry: RaftEntry) {
        self.last = Some(entry.log_id);
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    /// Everything below `end` has reached the disk; sheds what is over the limit.
    pub(super) fn flushed(&mut self, end: u64) {
        self.durable = self.durable.max(end);
        while self.bytes > self.limit && self.first().is_some_and(|first| first < self.durable) {
            self.drop_front();
        }
    }

    /// Forgets everything from `from` on; `last` is the id before it.
    pub(super) fn truncate(&mut self, from: u64, last: Option<LogId>) {
        while self.entries.back().is_some_and(|entry| entry.log_id.index >= from) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= weight(&entry);
            }
        }
        self.durable = self.durable.min(from);
        self.last = self.last.min(last);
    }

    /// Forgets everything up to and including `upto`.
    pub(super) fn purge(&mut self, upto: LogId) {
        while self.first().is_some_and(|first| first <= upto.index) {
            self.drop_front();
        }
        self.purged = self.purged.max(Some(upto));
        self.durable = self.durable.max(upto.index + 1);
        if self.last.is_some_and(|last| last.index <= upto.index) {
            self.last = None;
        }
    }

    /// The part of `range` that is in memory: the entries and the index of the first of them. What lies below that
    /// index has to be read from disk.
    pub(super) fn tail_of(&self, range: &Range<u64>) -> (Vec<RaftEntry>, u64) {
        let Some(first) = self.first() else {
            return (Vec::new(), range.end);
        };
        let start = range.start.max(first);
        if start >= range.end {
            return (Vec::new(), range.end);
        }
        let skip = usize::try_from(start - first).unwrap_or(usize::MAX);
        let take = usize::try_from(range.end - start).unwrap_or(usize::MAX);
        (self.entries.iter().skip(skip).take(take).cloned().collect(), start)
    }

    fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.log_id.index)
    }

    fn drop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= weight(&entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft_types::log_id;

    fn entry(index: u64) -> RaftEntry {
        RaftEntry { log_id: log_id(1, index), payload: EntryPayload::Blank }
    }

    fn indexes(cache: &Cache, range: Range<u64>) -> (Vec<u64>, u64) {
        let (entries, from) = cache.tail_of(&range);
        (entries.iter().map(|e| e.log_id.index).collect(), from)
    }

    #[test]
    fn entries_not_on_disk_are_never_shed() {
        let mut cache = Cache::new(150, None, None);
        (0..4).for_each(|i| cache.push(entry(i)));
        assert_eq!(indexes(&cache, 0..4), (vec![0, 1, 2, 3], 0));
        cache.flushed(1);
        assert_eq!(indexes(&cache, 0..4), (vec![1, 2, 3], 1));
        cache.flushed(4);
        assert_eq!(indexes(&cache, 0..4), (vec![3], 3));
    }

    #[test]
    fn truncation_takes_the_end_and_purge_the_beginning() {
        let mut cache = Cache::new(1 << 20, None, None);
        (0..6).for_each(|i| cache.push(entry(i)));
        cache.truncate(4, Some(log_id(1, 3)));
        assert_eq!(cache.last(), Some(log_id(1, 3)));
        cache.purge(log_id(1, 1));
        assert_eq!(indexes(&cache, 0..10), (vec![2, 3], 2));
        cache.purge(log_id(1, 9));
        assert_eq!(cache.last(), Some(log_id(1, 9)));
        assert_eq!(indexes(&cache, 0..20), (vec![], 20));
    }
}
