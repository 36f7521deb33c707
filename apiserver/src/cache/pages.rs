//! The moments of a resource that lists by pages were begun at. The next page is taken from the same moment, without
//! asking the store for its history.

use std::collections::VecDeque;
use std::time::Duration;

use mainstay_store::Revision;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::snapshot::Snapshot;

/// Lists under way at once whose moments are kept; of older ones, pages come from the store's history.
const KEPT: usize = 16;
/// A moment that no page was asked of for so long is let go: it keeps every object that has gone since.
pub(super) const IDLE: Duration = Duration::from_secs(20);

struct Moment {
    revision: Revision,
    asked: Instant,
    view: Snapshot,
}

/// Those that are kept, the longest unasked first.
#[derive(Default)]
pub(super) struct Pages(Mutex<VecDeque<Moment>>);

impl Pages {
    /// Keeps what a page was taken from.
    pub fn keep(&self, revision: Revision, view: &Snapshot) {
        let mut kept = self.0.lock();
        kept.retain(|moment| moment.revision != revision);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Moment { revision, asked: Instant::now(), view: view.clone() });
    }

    /// The moment of a revision, if it is kept.
    pub fn at(&self, revision: Revision) -> Option<Snapshot> {
        self.0.lock().iter().find(|moment| moment.revision == revision).map(|moment| moment.view.clone())
    }

    /// Lets go what nobody has asked for in a while.
    pub fn forget_idle(&self, now: Instant) {
        let mut kept = self.0.lock();
        while kept.front().is_some_and(|moment| now.duration_since(moment.asked) > IDLE) {
            kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_kept_for_the_last_lists_and_for_a_while() {
        let pages = Pages::default();
        for revision in 1..=KEPT as u64 + 1 {
            pages.keep(Revision(revision), &Snapshot::empty(false, Revision(revision)));
        }
        assert!(pages.at(Revision(1)).is_none());
        assert_eq!(pages.at(Revision(2)).map(|view| view.revision), Some(Revision(2)));
        pages.forget_idle(Instant::now());
        assert!(pages.at(Revision(2)).is_some());
        pages.forget_idle(Instant::now() + IDLE * 2);
        assert!(pages.at(Revision(2)).is_none());
    }
}
