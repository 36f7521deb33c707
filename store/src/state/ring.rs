//! Recent events in memory, for watchers that keep up. Bounded by bytes; older ones are read from history.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::types::{Event, Revision};

/// Every event after `covers_after`, in order.
#[derive(Debug)]
pub(crate) struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    limit: usize,
    covers_after: Revision,
}

/// Some events and the revision up to which they are all.
pub(crate) type Slice = (Vec<Arc<Event>>, Revision);

fn weight(event: &Event) -> usize {
    const OVERHEAD: usize = 128;
    event.key.len() + event.value.len() + event.previous.as_ref().map_or(0, bytes::Bytes::len) + OVERHEAD
}

impl Ring {
    /// Empty, covering what comes after `revision`.
    pub(crate) fn new(limit: usize, revision: Revision) -> Self {
        Self { events: VecDeque::new(), bytes: 0, limit, covers_after: revision }
    }

    /// Forgets all and covers what comes after `revision`.
    pub(crate) fn reset(&mut self, revision: Revision) {
        *self = Self::new(self.limit, revision);
    }

    /// Adds the next events; sheds whole revisions when over the limit.
    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        for event in events {
            self.bytes += weight(&event);
            self.events.push_back(event);
        }
        while self.bytes > self.limit {
            let Some(oldest) = self.events.front().map(|event| event.revision) else {
                return;
            };
            while let Some(event) = self.events.pop_front_if(|event| event.revision == oldest) {
                self.bytes -= weight(&event);
            }
            self.covers_after = oldest;
        }
    }

    /// Events after `after` under `prefix`, whole revisions, until `limit_bytes` are collected; `None` if the ring does
    /// not reach back that far.
    pub(crate) fn after(&self, after: Revision, upto: Revision, prefix: &[u8], limit_bytes: usize) -> Option<Slice> {
        if after < self.covers_after {
            return None;
        }
        let start = self.events.partition_point(|event| event.revision <= after);
        let mut found = Vec::new();
        let (mut bytes, mut reached) = (0, after);
        for event in self.events.range(start..) {
            if event.revision > upto {
                break;
            }
            if event.revision > reached && bytes >= limit_bytes {
                return Some((found, reached));
            }
            reached = event.revision;
            if event.key.starts_with(prefix) {
                bytes += weight(event);
                found.push(event.clone());
            }
        }
        Some((found, upto))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::types::EventKind;

    fn event(revision: u64, key: &'static str) -> Arc<Event> {
        Arc::new(Event {
            revision: Revision(revision),
            key: Bytes::from_static(key.as_bytes()),
            value: Bytes::new(),
            previous: None,
            kind: EventKind::Created,
        })
    }

    fn revisions(slice: Option<Slice>) -> Option<(Vec<u64>, u64)> {
        slice.map(|(events, reached)| (events.iter().map(|e| e.revision.0).collect(), reached.0))
    }

    #[test]
    fn only_matching_events_but_all_revisions_count() {
        let mut ring = Ring::new(1 << 20, Revision(4));
        ring.extend([event(5, "a"), event(5, "b"), event(6, "b"), event(8, "a")]);
        let all = usize::MAX;
        assert_eq!(revisions(ring.after(Revision(4), Revision(8), b"a", all)), Some((vec![5, 8], 8)));
        assert_eq!(revisions(ring.after(Revision(5), Revision(7), b"a", all)), Some((vec![], 7)));
        assert_eq!(revisions(ring.after(Revision(3), Revision(8), b"", all)), None);
    }

    #[test]
    fn revisions_are_never_split() {
        let mut ring = Ring::new(300, Revision(0));
        ring.extend([event(1, "a"), event(1, "b"), event(2, "a"), event(2, "b")]);
        assert_eq!(revisions(ring.after(Revision(0), Revision(2), b"", 1)), None);
        assert_eq!(revisions(ring.after(Revision(1), Revision(2), b"", 1)), Some((vec![2, 2], 2)));
        let mut ring = Ring::new(1 << 20, Revision(0));
        ring.extend([event(1, "a"), event(1, "b"), event(2, "a")]);
        assert_eq!(revisions(ring.after(Revision(0), Revision(2), b"", 1)), Some((vec![1, 1], 1)));
    }
}
