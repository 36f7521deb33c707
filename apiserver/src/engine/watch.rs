//! Watching: the state first if wanted, then every change, filtered by selectors, without a gap.

mod judge;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Pace, Revision, StoreError};
use serde_json::Value;
use tokio::time::Instant;

use super::list::{Selection, is_pods};
use super::read::read_revision;
use super::{Engine, Target};
use crate::cache::{CacheEvent, CachedObject, Scope};
use judge::Judge;
use stream::bookmark_after;

pub use stream::{WatchEventKind, WatchItem, WatchStream};

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
    /// `continue`, which no watch heeds.
    pub continuation: String,
    /// `sendInitialEvents`, if given.
    pub send_initial_events: Option<bool>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
}

impl WatchOptions {
    /// Fills in what a watch means that says neither after which revision it begins nor how: all that is there comes first.
    pub fn complete(&mut self) {
        let open = self.send_initial_events.is_none() && self.resource_version_match.is_empty();
        if open && matches!(self.resource_version.as_str(), "" | "0") {
            self.send_initial_events = Some(true);
            "NotOlderThan".clone_into(&mut self.resource_version_match);
        }
    }
}

impl Engine {
    /// Starts a watch.
    ///
    /// # Errors
    /// 400 and 422 for options; 410 if the history after the asked revision is gone.
    pub async fn watch(&self, target: &Target, options: &WatchOptions) -> ApiResult<WatchStream> {
        let mut selection = Selection::read(&options.label_selector, &options.field_selector)?;
        validate(options)?;
        selection.fields.check(target)?;
        if !target.row.has_verb("watch") {
            return Err(Status::method_not_supported(target.group(), target.resource(), "watch"));
        }
        let after = match options.resource_version.as_str() {
            "" | "0" => None,
            text => Some(read_revision(text).map_err(Status::plain)?),
        };
        let initial = options.send_initial_events.unwrap_or(after.is_none());
        if initial {
            self.catch_up(options, after).await?;
        } else if let Some(after) = after {
            self.check_begun(after).await.map_err(|error| expired(error, after))?;
        }
        let reached = self.caches.reached();
        let cache = self.caches.of(&target.row.storage_group, target.resource());
        let subscription = cache.subscribe(scope(target, &selection), after.filter(|_| !initial));
        let at = reached.max(subscription.snapshot.revision);
        let mut stream = WatchStream {
            judge: Judge::of(&selection.fields, initial),
            selection,
            prefix: self.prefix(target),
            reached: self.caches.progress(),
            ready: VecDeque::new(),
            events: subscription.events,
            seen: subscription.snapshot.revision,
            skip: if initial { Revision(0) } else { after.unwrap_or_default() },
            bookmarks: options.bookmarks,
            next_bookmark: bookmark_after(Instant::now(), None),
            end: None,
            pace: Pace::default(),
            audience: subscription.audience,
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
    ///
    /// Kubernetes answers 410 to what is older than its watch cache, though etcd may have it. No client can rely on
    /// that: how far the cache reaches depends on how it is sized and when the server started, and nobody is told. A longer
    /// reach only spares a list; where the history ends the answer is the same 410. Only what was before the cluster had its own
    /// objects is old from the beginning ([`Engine::check_begun`]).
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

fn scope(target: &Target, selection: &Selection) -> Scope {
    if is_pods(target)
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
    if !matches!(matching, "" | "NotOlderThan") {
        errors.push(Error::not_supported(&path, Value::from(matching), &["NotOlderThan"]));
    }
    if !matching.is_empty() && !options.continuation.is_empty() {
        errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
    }
    super::options::finish("ListOptions", errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_lists_first_has_no_pages() {
        let listing = |continuation: &str| WatchOptions {
            resource_version_match: "NotOlderThan".to_owned(),
            send_initial_events: Some(true),
            continuation: continuation.to_owned(),
            ..WatchOptions::default()
        };
        assert!(validate(&listing("")).is_ok());
        let refused = validate(&listing("abc")).unwrap_err().message.into_owned();
        assert!(refused.ends_with("resourceVersionMatch is forbidden when continue is provided"), "{refused}");
        assert!(validate(&WatchOptions { continuation: "abc".to_owned(), ..WatchOptions::default() }).is_ok());
    }

    #[test]
    fn a_watch_from_no_revision_sends_what_is_there() {
        let completed = |revision: &str, send: Option<bool>| {
            let resource_version = revision.to_owned();
            let mut options = WatchOptions { resource_version, send_initial_events: send, ..WatchOptions::default() };
            options.complete();
            (options.send_initial_events, options.resource_version_match)
        };
        for open in ["", "0"] {
            assert_eq!(completed(open, None), (Some(true), "NotOlderThan".to_owned()));
            assert_eq!(completed(open, Some(false)), (Some(false), String::new()));
        }
        assert_eq!(completed("7", None), (None, String::new()));
    }
}
