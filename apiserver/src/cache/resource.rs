//! The watch cache of one resource: its objects in order, its recent events, and who watches them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mainstay_store::{Event, EventKind, Revision};
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::entry::CachedObject;
use super::pages::Pages;
use super::snapshot::Snapshot;

/// Bytes of recent events that a resource keeps for watches that resume.
const RING_BYTES: usize = 8 << 20;
/// Events that a watcher may lag behind before it is cut off.
const WATCHER_QUEUE: usize = 4096;

/// A change as the cache hands it to watchers.
#[derive(Debug)]
pub struct CacheEvent {
    /// The change's revision.
    pub revision: Revision,
    /// What it did.
    pub kind: EventKind,
    /// The state after it; of a deletion the last state.
    pub object: Arc<CachedObject>,
    /// The state before it.
    pub previous: Option<Arc<CachedObject>>,
}

/// Which part of a resource a watcher wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// One namespace.
    Namespace(String),
    /// Objects whose `spec.nodeName` is this.
    Node(String),
}

/// A running watch of a resource; dropping it ends it.
pub struct Subscription {
    /// The changes, in order. Closed when the watcher was too slow.
    pub events: mpsc::Receiver<Arc<CacheEvent>>,
    /// The state at the moment of subscribing.
    pub snapshot: Snapshot,
    /// What happened after the asked revision and up to the snapshot; `None`: older than the ring reaches.
    pub backlog: Option<Vec<Arc<CacheEvent>>>,
    /// Held by each who hears the same changes.
    pub audience: Arc<()>,
}

struct State {
    snapshot: Snapshot,
    ring: VecDeque<Arc<CacheEvent>>,
    ring_bytes: usize,
    /// Every change after this revision is in the ring.
    ring_after: Revision,
    watchers: HashMap<Scope, Vec<mpsc::Sender<Arc<CacheEvent>>>>,
    /// Held by all watchers but those of single nodes, who hardly ever hear the same.
    audience: Arc<()>,
}

/// The cache of one resource.
pub struct ResourceCache {
    state: RwLock<State>,
    pages: Pages,
}

impl ResourceCache {
    /// An empty cache that has seen everything up to `revision`.
    pub fn new(indexed_by_node: bool, revision: Revision) -> Self {
        let snapshot = Snapshot::empty(indexed_by_node, revision);
        let state = State {
            snapshot,
            ring: VecDeque::new(),
            ring_bytes: 0,
            ring_after: revision,
            watchers: HashMap::new(),
            audience: Arc::default(),
        };
        Self { state: RwLock::new(state), pages: Pages::default() }
    }

    /// Puts an object of the initial listing in.
    pub fn seed(&self, object: CachedObject) {
        let object = Arc::new(object);
        let mut state = self.state.write();
        state.snapshot.revision = state.snapshot.revision.max(object.modified);
        state.snapshot.put(object, None);
    }

    /// The present state.
    pub fn snapshot(&self) -> Snapshot {
        self.state.read().snapshot.clone()
    }

    /// Keeps a view for the pages of a list that is as of `revision`.
    pub fn keep(&self, revision: Revision, view: &Snapshot) {
        self.pages.keep(revision, view);
    }

    /// The view of a list that is as of `revision`, if it is kept.
    pub fn kept(&self, revision: Revision) -> Option<Snapshot> {
        self.pages.at(revision)
    }

    /// Lets go the views that nobody has asked for in a while.
    pub fn forget_idle(&self, now: Instant) {
        self.pages.forget_idle(now);
    }

    /// One object.
    pub fn get(&self, key: &[u8]) -> Option<Arc<CachedObject>> {
        self.state.read().snapshot.objects.get(key).cloned()
    }

    /// Applies a change and tells the watchers.
    pub fn apply(&self, event: &Event) {
        let mut state = self.state.write();
        let previous = state.snapshot.objects.get(&event.key).cloned();
        // An event's bytes are a piece of a log entry, or of a message with many of them, which would be kept with them.
        let (key, value) = (Bytes::copy_from_slice(&event.key), Bytes::copy_from_slice(&event.value));
        let Some(object) = CachedObject::new(key, value, event.revision) else { return };
        let object = Arc::new(object);
        let scopes = state.scopes(&object, previous.as_deref());
        match &previous {
            Some(previous) if event.kind == EventKind::Deleted => state.snapshot.remove(previous),
            None if event.kind == EventKind::Deleted => {}
            previous => state.snapshot.put(object.clone(), previous.as_deref()),
        }
        state.snapshot.revision = event.revision;
        let event = Arc::new(CacheEvent { revision: event.revision, kind: event.kind, object, previous });
        state.remember(event.clone());
        state.tell(&scopes, &event);
    }

    /// Starts a watch. With `after`, the changes since then come as backlog.
    pub fn subscribe(&self, scope: Scope, after: Option<Revision>) -> Subscription {
        let (sender, events) = mpsc::channel(WATCHER_QUEUE);
        let mut state = self.state.write();
        let audience = if matches!(scope, Scope::Node(_)) { Arc::default() } else { state.audience.clone() };
        let list = state.watchers.entry(scope).or_default();
        list.retain(|watcher| !watcher.is_closed());
        list.push(sender);
        let backlog = after.and_then(|after| state.since(after));
        Subscription { events, snapshot: state.snapshot.clone(), backlog, audience }
    }

    /// Watches that are open.
    pub fn watchers(&self) -> usize {
        self.state.read().watchers.values().flatten().filter(|watcher| !watcher.is_closed()).count()
    }
}

impl State {
    fn scopes(&self, object: &CachedObject, previous: Option<&CachedObject>) -> Vec<Scope> {
        let mut scopes = vec![Scope::All];
        if !object.namespace.is_empty() {
            scopes.push(Scope::Namespace(object.namespace.clone()));
        }
        if self.snapshot.is_indexed_by_node() {
            let nodes = [object.node_name(), previous.and_then(CachedObject::node_name)];
            for node in nodes.into_iter().flatten() {
                let scope = Scope::Node(node);
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        scopes
    }

    fn remember(&mut self, event: Arc<CacheEvent>) {
        self.ring_bytes += event.object.size();
        self.ring.push_back(event);
        while self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.object.size();
            self.ring_after = oldest.revision;
        }
    }

    fn since(&self, after: Revision) -> Option<Vec<Arc<CacheEvent>>> {
        if after < self.ring_after {
            return None;
        }
        let from = self.ring.partition_point(|event| event.revision <= after);
        Some(self.ring.iter().skip(from).cloned().collect())
    }

    /// A watcher whose queue is full is dropped: it hears that its stream has ended and lists again.
    fn tell(&mut self, scopes: &[Scope], event: &Arc<CacheEvent>) {
        for scope in scopes {
            let Some(watchers) = self.watchers.get_mut(scope) else { continue };
            watchers.retain(|watcher| watcher.try_send(event.clone()).is_ok());
            if watchers.is_empty() {
                self.watchers.remove(scope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(revision: u64, name: &str, node: &str, kind: EventKind) -> Event {
        let key = Bytes::from(format!("/pods\0ns\0{name}"));
        let value = Bytes::from(format!("{{\"metadata\":{{}},\"spec\":{{\"nodeName\":\"{node}\"}}}}"));
        Event { revision: Revision(revision), key, value, previous: None, kind }
    }

    #[test]
    fn a_node_watcher_hears_of_pods_that_come_and_leave() {
        let cache = ResourceCache::new(true, Revision(0));
        let mut watch = cache.subscribe(Scope::Node("n1".into()), None);
        cache.apply(&event(1, "a", "", EventKind::Created));
        cache.apply(&event(2, "a", "n1", EventKind::Updated));
        cache.apply(&event(3, "b", "n2", EventKind::Created));
        cache.apply(&event(4, "a", "n1", EventKind::Deleted));
        let seen: Vec<u64> =
            std::iter::from_fn(|| watch.events.try_recv().ok()).map(|event| event.revision.0).collect();
        assert_eq!(seen, [2, 4]);
        assert!(cache.snapshot().on_node("n1").is_empty());
        assert_eq!(cache.snapshot().on_node("n2").len(), 1);
    }

    #[test]
    fn backlog_begins_after_the_asked_revision() {
        let cache = ResourceCache::new(false, Revision(5));
        cache.apply(&event(6, "a", "", EventKind::Created));
        cache.apply(&event(7, "b", "", EventKind::Created));
        let backlog = cache.subscribe(Scope::All, Some(Revision(6))).backlog.map(|events| events.len());
        assert_eq!(backlog, Some(1));
        assert!(cache.subscribe(Scope::All, Some(Revision(4))).backlog.is_none());
    }

    #[test]
    fn the_views_of_pages_go_also_when_nothing_changes() {
        let cache = ResourceCache::new(false, Revision(0));
        cache.apply(&event(1, "a", "", EventKind::Created));
        let (view, object) = (cache.snapshot(), Arc::downgrade(&cache.get(b"/pods\0ns\0a").unwrap()));
        cache.keep(view.revision, &view);
        drop(view);
        cache.apply(&event(2, "a", "", EventKind::Deleted));
        cache.state.write().ring.clear();
        assert!(object.upgrade().is_some(), "the next page shows it");
        cache.forget_idle(Instant::now() + Duration::from_secs(60));
        assert!(object.upgrade().is_none());
    }

    #[test]
    fn a_slow_watcher_is_cut_off() {
        let cache = ResourceCache::new(false, Revision(0));
        let watch = cache.subscribe(Scope::All, None);
        for revision in 0..=WATCHER_QUEUE as u64 {
            cache.apply(&event(revision + 1, "a", "", EventKind::Updated));
        }
        assert!(watch.events.is_closed());
        assert_eq!(cache.watchers(), 0);
    }
}
