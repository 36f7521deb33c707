//! Watching: the state first if wanted, then every change, filtered by selectors, without a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{EventKind, Revision, StoreError};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::list::Selection;
use super::read::parse_revision;
use super::{Engine, Target};
use crate::cache::{CacheEvent, CachedObject, Caches, Scope, Snapshot};

/// How often a quiet watch that asked for bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// What is asked of a watch.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// `resourceVersion`.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: String,
    /// `sendInitialEvents`, if given.
    pub send_initial_events: Option<bool>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
}

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
    selection: Selection,
    prefix: Bytes,
    caches: Arc<Caches>,
    ready: VecDeque<WatchItem>,
    events: mpsc::Receiver<Arc<CacheEvent>>,
    /// Changes up to here have been handed out or were part of the initial state.
    seen: Revision,
    /// Changes up to here the client knows already.
    skip: Revision,
    bookmarks: bool,
    next_bookmark: Instant,
}

impl Engine {
    /// Starts a watch.
    ///
    /// # Errors
    /// 400 and 422 for options; 410 if the history after the asked revision is gone.
    pub async fn watch(&self, target: &Target, options: &WatchOptions) -> ApiResult<WatchStream> {
        validate(options)?;
        let selection = Selection::parse(target, &options.label_selector, &options.field_selector)?;
        let after = match options.resource_version.as_str() {
            "" | "0" => None,
            text => Some(parse_revision(text)?),
        };
        let initial = options.send_initial_events.unwrap_or(after.is_none());
        if initial {
            self.catch_up(options, after).await?;
        }
        let reached = self.caches.reached();
        let cache = self.caches.of(&target.row.storage_group, target.resource());
        let subscription = cache.subscribe(scope(target, &selection), after.filter(|_| !initial));
        let at = reached.max(subscription.snapshot.revision);
        let mut stream = WatchStream {
            selection,
            prefix: self.prefix(target),
            caches: self.caches.clone(),
            ready: VecDeque::new(),
            events: subscription.events,
            seen: subscription.snapshot.revision,
            skip: if initial { Revision(0) } else { after.unwrap_or_default() },
            bookmarks: options.bookmarks,
            next_bookmark: Instant::now() + BOOKMARK_EVERY,
        };
        if initial {
            stream.push_state(
                &subscription.snapshot,
                at,
                options.send_initial_events == Some(true) && options.bookmarks,
            );
        } else if let Some(after) = after {
            let backlog = match subscription.backlog {
                Some(backlog) => backlog,
                None => self.history(target, after, subscription.snapshot.revision).await?,
            };
            backlog.iter().for_each(|event| stream.push(event));
            stream.seen = stream.seen.max(after);
        }
        Ok(stream)
    }

    async fn catch_up(&self, options: &WatchOptions, after: Option<Revision>) -> ApiResult<()> {
        match after {
            Some(revision) => self.wait_until(revision).await,
            None if options.resource_version.is_empty() => {
                self.caches.consistent().await.map(drop).map_err(super::store_status)
            }
            None => Ok(()),
        }
    }

    /// Changes after `after` and up to `until`, from the store's history.
    async fn history(&self, target: &Target, after: Revision, until: Revision) -> ApiResult<Vec<Arc<CacheEvent>>> {
        let mut watch = self.store.watch(self.prefix(target), after).map_err(|error| expired(error, after))?;
        let mut events = Vec::new();
        if after >= until {
            return Ok(events);
        }
        loop {
            let batch = watch.next().await.map_err(|error| expired(error, after))?;
            for event in batch.events.iter().filter(|event| event.revision <= until) {
                let object = CachedObject::new(event.key.clone(), event.value.clone(), event.revision).map(Arc::new);
                let previous = event
                    .previous
                    .clone()
                    .and_then(|bytes| CachedObject::new(event.key.clone(), bytes, Revision(0)))
                    .map(Arc::new);
                if let Some(object) = object {
                    events.push(Arc::new(CacheEvent { revision: event.revision, kind: event.kind, object, previous }));
                }
            }
            if batch.revision >= until {
                break;
            }
        }
        Ok(events)
    }
}

impl WatchStream {
    /// The next item; `None` when the watcher was too slow and has to list again.
    pub async fn next(&mut self) -> Option<WatchItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let timer = self.next_bookmark;
            let reached = self.caches.reached();
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    let event = event?;
                    self.push(&event);
                }
                () = tokio::time::sleep_until(timer), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    let revision = reached.max(self.seen);
                    return Some(WatchItem::Bookmark { revision, initial_end: false });
                }
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

    fn push_state(&mut self, snapshot: &Snapshot, revision: Revision, end: bool) {
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

    fn push(&mut self, event: &CacheEvent) {
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

/// The last selected state under the revision that ended the selection.
fn with_revision(object: &CachedObject, revision: Revision) -> Bytes {
    let mut value: Value = (*object.parse()).clone();
    meta::set(&mut value, "resourceVersion", revision.0.to_string());
    crate::codec::encode(&value).at(revision.0)
}

fn scope(target: &Target, selection: &Selection) -> Scope {
    if target.resource() == "pods"
        && target.group().is_empty()
        && let Some(node) = selection.fields.pinned("spec.nodeName")
    {
        return Scope::Node(node.to_owned());
    }
    if target.namespace.is_empty() || !target.row.resource.namespaced {
        Scope::All
    } else {
        Scope::Namespace(target.namespace.clone())
    }
}

fn expired(error: StoreError, after: Revision) -> Status {
    match error {
        StoreError::Compacted { oldest } => {
            Status::expired(format!("too old resource version: {} ({})", after.0, oldest.0))
        }
        other => super::store_status(other),
    }
}

fn validate(options: &WatchOptions) -> ApiResult<()> {
    let mut errors = ErrorList::new();
    let path = Path::new("resourceVersionMatch");
    let matching = options.resource_version_match.as_str();
    match options.send_initial_events {
        Some(_) if matching != "NotOlderThan" => {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(Error::forbidden(&path, detail));
        }
        Some(_) => {}
        None if !matching.is_empty() => {
            errors.push(Error::forbidden(
                &path,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        None => {}
    }
    super::options::finish("ListOptions", errors)
}
