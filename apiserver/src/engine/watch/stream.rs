//! A running watch: changes as its selectors see them, handed out one by one or by whole revisions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_api::meta;
use mainstay_store::{EventKind, Pace, Revision};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::judge::Judge;
use crate::cache::{CacheEvent, CachedObject, Snapshot};
use crate::engine::list::Selection;

/// How often a quiet watch that asked for bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How long before its end a watch gets its last one, so that who goes on after it begins close to what has happened.
const BEFORE_END: Duration = Duration::from_secs(2);

/// How long a batch waits for the rest of its last revision, which is all but there.
const REST_OF_REVISION: Duration = Duration::from_secs(3);

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEventKind {
    /// It is there now.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or no longer selected.
    Deleted,
}

/// One item of a watch.
#[derive(Clone, Debug)]
pub enum WatchItem {
    /// A change; the object is in its stored version.
    Event {
        /// What happened.
        kind: WatchEventKind,
        /// The object.
        object: Bytes,
        /// The revision that the watch may resume after.
        revision: Revision,
    },
    /// Everything up to here has been sent.
    Bookmark {
        /// The revision that the watch may resume after.
        revision: Revision,
        /// The initial events are complete.
        initial_end: bool,
    },
}

/// A running watch; dropping it ends it.
pub struct WatchStream {
    /// Selects what cannot be selected before it is converted.
    pub(super) judge: Option<Judge>,
    pub(super) selection: Selection,
    pub(super) prefix: Bytes,
    /// Changes up to here are in the queue, unless it was cut.
    pub(super) reached: watch::Receiver<Revision>,
    pub(super) ready: VecDeque<WatchItem>,
    pub(super) events: mpsc::Receiver<Arc<CacheEvent>>,
    /// Changes up to here have been handed out or were part of the initial state.
    pub(super) seen: Revision,
    /// Changes up to here the client knows already.
    pub(super) skip: Revision,
    pub(super) bookmarks: bool,
    pub(super) next_bookmark: Instant,
    /// When it ends, where that is known.
    pub(super) end: Option<Instant>,
    pub(super) pace: Pace,
    /// Held by each watcher who hears the same changes.
    pub(super) audience: Arc<()>,
}

impl WatchStream {
    /// Tells when the watch ends, of which its bookmarks take account.
    pub fn ends_at(&mut self, end: Instant) {
        self.end = Some(end);
        self.next_bookmark = bookmark_after(Instant::now(), self.end);
    }

    /// An item, once it is converted, as the watch sees it; `None` if it is not for it.
    pub(crate) fn judged(&mut self, item: WatchItem) -> Option<WatchItem> {
        match &mut self.judge {
            Some(judge) => judge.judge(item),
            None => Some(item),
        }
    }

    /// The next item; `None` when the watcher was too slow and has to list again.
    pub async fn next(&mut self) -> Option<WatchItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let timer = self.next_bookmark;
            let reached = *self.reached.borrow();
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    let event = event?;
                    self.push(&event);
                }
                () = tokio::time::sleep_until(timer), if self.bookmarks => {
                    self.next_bookmark = bookmark_after(Instant::now(), self.end);
                    let revision = reached.max(self.seen);
                    return Some(WatchItem::Bookmark { revision, initial_end: false });
                }
            }
        }
    }

    /// The next items, about `most`, but never a part of a revision: who resumes after the last of them misses nothing.
    /// `None` when the watcher was too slow and has to list again.
    pub async fn batch(&mut self, most: usize) -> Option<Vec<WatchItem>> {
        let behind = !self.ready.is_empty() || self.events.len() >= most;
        let mut items = vec![self.next().await?];
        if !behind {
            self.pace.turn(Arc::strong_count(&self.audience)).await;
        }
        items.extend(self.drain(most.saturating_sub(1)));
        let Some(WatchItem::Event { revision: last, .. }) = items.last() else { return Some(items) };
        let last = *last;
        let mut reached = self.reached.clone();
        let here = tokio::time::timeout(REST_OF_REVISION, reached.wait_for(|at| *at >= last)).await;
        let whole = matches!(here, Ok(Ok(_))) && self.take_rest(last, &mut items);
        if !whole {
            items.retain(|item| !matches!(item, WatchItem::Event { revision, .. } if *revision == last));
        }
        Some(items).filter(|items| !items.is_empty())
    }

    /// Takes what else there is of a revision; false if the queue was cut, so that nobody knows whether that is all.
    fn take_rest(&mut self, last: Revision, items: &mut Vec<WatchItem>) -> bool {
        loop {
            match self.ready.front() {
                Some(WatchItem::Event { revision, .. }) if *revision == last => items.extend(self.ready.pop_front()),
                Some(_) => return true,
                None => match self.events.try_recv() {
                    Ok(event) => self.push(&event),
                    Err(mpsc::error::TryRecvError::Empty) => return true,
                    Err(mpsc::error::TryRecvError::Disconnected) => return false,
                },
            }
        }
    }

    /// Items that are ready without waiting, up to `most`.
    pub fn drain(&mut self, most: usize) -> Vec<WatchItem> {
        let mut items = Vec::new();
        while items.len() < most {
            if let Some(item) = self.ready.pop_front() {
                items.push(item);
            } else if let Ok(event) = self.events.try_recv() {
                self.push(&event);
            } else {
                break;
            }
        }
        items
    }

    pub(super) fn push_state(&mut self, snapshot: &Snapshot, revision: Revision, end: bool) {
        for object in snapshot.under(&self.prefix).filter(|object| self.selection.matches(object)) {
            let item = WatchItem::Event {
                kind: WatchEventKind::Added,
                object: object.value.clone(),
                revision: object.modified,
            };
            self.ready.push_back(item);
        }
        if end {
            self.ready.push_back(WatchItem::Bookmark { revision, initial_end: true });
        }
    }

    pub(super) fn push(&mut self, event: &CacheEvent) {
        if event.revision <= self.skip || !event.object.key.starts_with(&self.prefix) {
            return;
        }
        if let Some(item) = self.item(event) {
            self.ready.push_back(item);
        }
        self.seen = self.seen.max(event.revision);
    }

    /// The event as this watcher's selectors see it.
    fn item(&self, event: &CacheEvent) -> Option<WatchItem> {
        let revision = event.revision;
        let now = event.kind != EventKind::Deleted && self.selection.matches(&event.object);
        let before = event.previous.as_deref().is_some_and(|previous| self.selection.matches(previous));
        let (kind, object) = match (before, now) {
            (false, true) => (WatchEventKind::Added, event.object.value.clone()),
            (true, true) => (WatchEventKind::Modified, event.object.value.clone()),
            (true, false) if event.kind == EventKind::Deleted => (WatchEventKind::Deleted, event.object.value.clone()),
            (true, false) => (WatchEventKind::Deleted, with_revision(event.previous.as_deref()?, revision)),
            (false, false) => return None,
        };
        Some(WatchItem::Event { kind, object, revision })
    }
}

/// When a quiet watch gets its next bookmark.
pub(super) fn bookmark_after(now: Instant, end: Option<Instant>) -> Instant {
    let regular = now + BOOKMARK_EVERY;
    let last = end.and_then(|end| end.checked_sub(BEFORE_END)).filter(|last| *last > now);
    last.map_or(regular, |last| last.min(regular))
}

/// The last selected state under the revision that ended the selection.
fn with_revision(object: &CachedObject, revision: Revision) -> Bytes {
    let mut value: Value = (*object.parse()).clone();
    meta::set(&mut value, "resourceVersion", revision.0.to_string());
    crate::codec::encode(&value).at(revision.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Feed {
        events: mpsc::Sender<Arc<CacheEvent>>,
        reached: watch::Sender<Revision>,
    }

    impl Feed {
        fn tell(&self, revision: u64, names: std::ops::Range<usize>) {
            for name in names {
                let key = Bytes::from(format!("/configmaps\0ns\0{name}"));
                let value = Bytes::from_static(br#"{"metadata":{}}"#);
                let object = Arc::new(CachedObject::new(key, value, Revision(revision)).unwrap());
                let event =
                    CacheEvent { revision: Revision(revision), kind: EventKind::Created, object, previous: None };
                self.events.try_send(Arc::new(event)).unwrap();
            }
        }
    }

    fn stream() -> (Feed, WatchStream) {
        let (events, queue) = mpsc::channel(4096);
        let (sender, reached) = watch::channel(Revision(0));
        let stream = WatchStream {
            judge: None,
            selection: Selection::read("", "").unwrap(),
            prefix: Bytes::from_static(b"/configmaps\0"),
            reached,
            ready: VecDeque::new(),
            events: queue,
            seen: Revision(0),
            skip: Revision(0),
            bookmarks: false,
            next_bookmark: Instant::now(),
            end: None,
            pace: Pace::default(),
            audience: Arc::default(),
        };
        (Feed { events, reached: sender }, stream)
    }

    fn revisions(batch: Option<Vec<WatchItem>>) -> Vec<u64> {
        let revision = |item: &WatchItem| match item {
            WatchItem::Event { revision, .. } | WatchItem::Bookmark { revision, .. } => revision.0,
        };
        batch.iter().flatten().map(revision).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_bookmark_comes_just_before_the_end() {
        let (feed, mut stream) = stream();
        feed.reached.send_replace(Revision(9));
        stream.bookmarks = true;
        let began = Instant::now();
        stream.ends_at(began + Duration::from_secs(65));
        for second in [60, 63] {
            let item = stream.next().await;
            assert!(matches!(item, Some(WatchItem::Bookmark { revision: Revision(9), initial_end: false })));
            assert_eq!(began.elapsed().as_secs(), second);
        }
        let now = Instant::now();
        assert_eq!(bookmark_after(now, Some(now + Duration::from_secs(1))), now + BOOKMARK_EVERY);
    }

    #[tokio::test]
    async fn a_batch_ends_with_a_whole_revision_even_if_it_is_larger() {
        let (feed, mut stream) = stream();
        feed.tell(6, 0..2);
        feed.tell(7, 2..300);
        feed.tell(8, 300..301);
        feed.reached.send_replace(Revision(8));
        let first = revisions(stream.batch(256).await);
        assert_eq!((first.len(), first.last()), (300, Some(&7)));
        assert_eq!(revisions(stream.batch(256).await), [8]);
    }

    #[tokio::test]
    async fn a_batch_waits_for_the_rest_of_a_revision_that_is_still_coming() {
        let (feed, mut stream) = stream();
        feed.tell(7, 0..1);
        let mut batch = Box::pin(stream.batch(256));
        assert!(futures::poll!(&mut batch).is_pending(), "half a revision was handed out");
        feed.tell(7, 1..3);
        feed.reached.send_replace(Revision(7));
        assert_eq!(revisions(batch.await), [7, 7, 7]);
    }

    #[tokio::test]
    async fn a_watcher_that_was_cut_off_is_not_told_the_revision_at_the_cut() {
        let (feed, mut stream) = stream();
        feed.tell(6, 0..1);
        feed.tell(7, 1..2);
        feed.reached.send_replace(Revision(9));
        drop(feed);
        assert_eq!(revisions(stream.batch(256).await), [6]);
        assert!(stream.batch(256).await.is_none());
    }
}
