//! Keeps a local copy of a collection and tells what changes in it: list, then watch from there; list again only when
//! the server has forgotten the revision.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mainstay_proto::v1::WatchEventType;
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::client::Client;
use crate::dynamic::DynamicApi;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::object::{MetadataObject, Object, Observed, object_key};
use crate::options::ListParams;
use crate::raw::Raw;
use crate::store::Store;
use crate::target::Target;
use crate::watch::WireEvent;

const PAGE: u32 = 2000;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A change of one object. Level-triggered readers only need the key; the states are there for those who compare.
#[derive(Debug)]
pub enum Change<K> {
    /// It is new to this informer.
    Added(Arc<K>),
    /// It changed.
    Updated {
        /// The state before, as this informer knew it.
        old: Arc<K>,
        /// The state now.
        new: Arc<K>,
    },
    /// It is gone; the last state that is known.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The newest known state.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Change::Added(object) | Change::Deleted(object) => object,
            Change::Updated { new, .. } => new,
        }
    }
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// Follows one collection. Set up indexes and handlers, take the [`Store`], then [`Informer::run`] it.
pub struct Informer<K> {
    raw: Raw,
    params: ListParams,
    store: Store<K>,
    handlers: Vec<Handler<K>>,
}

impl<K: Object> Informer<K> {
    /// Follows what `api` lists.
    pub fn new(api: &Api<K>) -> Self {
        Self::of(api.raw.clone())
    }
}

impl Informer<MetadataObject> {
    /// Follows identity and metadata of any resource, over all namespaces.
    pub fn of_metadata(client: &Client, target: Target) -> Self {
        Self::of(DynamicApi::all(client.clone(), target).raw)
    }
}

impl<K: Observed> Informer<K> {
    fn of(raw: Raw) -> Self {
        Informer { raw, params: ListParams::default(), store: Store::default(), handlers: Vec::new() }
    }

    /// Follows only what these selectors select.
    #[must_use]
    pub fn select(mut self, params: ListParams) -> Self {
        self.params = params;
        self
    }

    /// Objects can be found under the values that `values` gives for them.
    #[must_use]
    pub fn index(self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.store.add_index(name, Box::new(values));
        self
    }

    /// Calls `handler` after each change, in order; the store has it by then. It must not block.
    pub fn on_change(&mut self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// The view on what this informer knows.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Follows the collection until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let follow = async {
            let mut backoff = FIRST_BACKOFF;
            loop {
                let error = match self.list_and_watch(&mut backoff).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                if error.is_expired() {
                    tracing::debug!(resource = %self.raw.target.resource, "watch expired, listing again");
                } else {
                    tracing::warn!(resource = %self.raw.target.resource, %error, "cannot follow the collection, trying again");
                }
                let pause = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
                tokio::time::sleep(pause).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
        };
        tokio::select! {
            () = follow => {}
            () = stop.cancelled() => {}
        }
    }

    async fn list_and_watch(&self, backoff: &mut Duration) -> Result<std::convert::Infallible> {
        let resource_version = self.take_over().await?;
        self.store.mark_synced();
        let params = ListParams { resource_version, ..self.params.clone() };
        let mut watcher = self.raw.watch(&params).await?;
        loop {
            let batch = watcher.next().await?;
            *backoff = FIRST_BACKOFF;
            for event in batch {
                self.apply(&event)?;
            }
        }
    }

    /// Takes the whole state over, each page as it comes: a large collection need not be in memory a second time. What is in
    /// no page was deleted meanwhile. Returns the revision to go on from.
    async fn take_over(&self) -> Result<String> {
        let mut params = ListParams { limit: PAGE, ..self.params.clone() };
        let (mut seen, mut revision) = (BTreeSet::new(), String::new());
        loop {
            let page = self.raw.list(&params).await?;
            if revision.is_empty() {
                revision = page.resource_version;
            }
            for item in &page.items {
                let object = K::decode(item)?;
                seen.insert(object_key(&object));
                self.put(object);
            }
            if page.continue_token.is_empty() {
                self.keep_only(&seen);
                return Ok(revision);
            }
            params.continue_token = page.continue_token;
        }
    }

    fn keep_only(&self, seen: &BTreeSet<Key>) {
        for key in self.store.keys() {
            if !seen.contains(&key) {
                self.remove(&key);
            }
        }
    }

    fn apply(&self, event: &WireEvent) -> Result<()> {
        match event.kind {
            WatchEventType::Added | WatchEventType::Modified => self.put(K::decode(&event.object)?),
            WatchEventType::Deleted => self.delete(K::decode(&event.object)?),
            WatchEventType::Bookmark => {}
            WatchEventType::Unspecified => {
                return Err(Error::Config("the server sent an event of unknown type".into()));
            }
        }
        Ok(())
    }

    fn put(&self, object: K) {
        let new = Arc::new(object);
        let Some(old) = self.store.put(new.clone()) else {
            return self.tell(&Change::Added(new));
        };
        let (old_meta, new_meta) = (old.meta(), new.meta());
        if old_meta.resource_version == new_meta.resource_version && new_meta.resource_version.is_some() {
            return;
        }
        if old_meta.uid != new_meta.uid {
            // Deleted and made again while nobody looked.
            self.tell(&Change::Deleted(old));
            return self.tell(&Change::Added(new));
        }
        self.tell(&Change::Updated { old, new });
    }

    fn delete(&self, last: K) {
        if self.store.remove(&object_key(&last)).is_some() {
            self.tell(&Change::Deleted(Arc::new(last)));
        }
    }

    fn remove(&self, key: &Key) {
        if let Some(old) = self.store.remove(key) {
            self.tell(&Change::Deleted(old));
        }
    }

    fn tell(&self, change: &Change<K>) {
        for handler in &self.handlers {
            handler(change);
        }
    }
}
