//! What an informer knows: the objects by key, and by the indexes that were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::key::Key;
use crate::object::{Observed, object_key};

/// Says under which values an object is found in an index.
pub(crate) type IndexFn<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// A shared, read-only view on what an informer knows.
pub struct Store<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Store { inner: self.inner.clone() }
    }
}

struct Inner<K> {
    state: RwLock<State<K>>,
    synced: watch::Sender<bool>,
}

struct State<K> {
    objects: BTreeMap<Key, Arc<K>>,
    indexes: HashMap<&'static str, Index<K>>,
}

struct Index<K> {
    values: IndexFn<K>,
    keys: HashMap<String, BTreeSet<Key>>,
}

impl<K: Observed> Default for Store<K> {
    fn default() -> Self {
        let state = State { objects: BTreeMap::new(), indexes: HashMap::default() };
        Store { inner: Arc::new(Inner { state: RwLock::new(state), synced: watch::Sender::new(false) }) }
    }
}

impl<K: Observed> Store<K> {
    /// A store that no informer fills: for tests of what reads one. It counts as synced.
    pub fn fixed(objects: impl IntoIterator<Item = K>) -> Self {
        let store = Self::default();
        for object in objects {
            store.put(Arc::new(object));
        }
        store.mark_synced();
        store
    }

    /// The object of this key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.inner.state.read().objects.get(key).cloned()
    }

    /// The object of this namespace (empty for cluster-scoped kinds) and name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&Key::new(namespace, name))
    }

    /// All objects, ordered by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.inner.state.read().objects.values().cloned().collect()
    }

    /// All keys, ordered.
    pub fn keys(&self) -> Vec<Key> {
        self.inner.state.read().objects.keys().cloned().collect()
    }

    /// The objects of one namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.inner.state.read();
        let from = Key::new(namespace, "");
        let range = state.objects.range(from..).take_while(|(key, _)| &*key.namespace == namespace);
        range.map(|(_, object)| object.clone()).collect()
    }

    /// The objects that an index finds under `value`; none if there is no such index.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let state = self.inner.state.read();
        let keys = state.indexes.get(index).and_then(|i| i.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.inner.state.read().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first complete state is in and its handlers have run.
    pub fn has_synced(&self) -> bool {
        *self.inner.synced.borrow()
    }

    /// Waits until [`Store::has_synced`].
    pub async fn synced(&self) {
        let mut synced = self.inner.synced.subscribe();
        if synced.wait_for(|done| *done).await.is_err() {
            tracing::debug!("the store went away before it was complete");
        }
    }

    pub(crate) fn add_index(&self, name: &'static str, values: IndexFn<K>) {
        let mut state = self.inner.state.write();
        let mut index = Index { values, keys: HashMap::default() };
        for (key, object) in &state.objects {
            index.insert(key, object);
        }
        state.indexes.insert(name, index);
    }

    pub(crate) fn mark_synced(&self) {
        self.inner.synced.send_replace(true);
    }

    /// Keeps the object; returns what was there before.
    pub(crate) fn put(&self, object: Arc<K>) -> Option<Arc<K>> {
        let key = object_key(&*object);
        let mut state = self.inner.state.write();
        let State { objects, indexes } = &mut *state;
        let old = objects.insert(key.clone(), object.clone());
        for index in indexes.values_mut() {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, &object);
        }
        old
    }

    /// Forgets the object; returns it.
    pub(crate) fn remove(&self, key: &Key) -> Option<Arc<K>> {
        let mut state = self.inner.state.write();
        let State { objects, indexes } = &mut *state;
        let old = objects.remove(key)?;
        for index in indexes.values_mut() {
            index.remove(key, &old);
        }
        Some(old)
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}
