//! The watch caches: every resource's objects in memory, fed by one watch of the store.

mod entry;
mod pages;
mod reader;
mod resource;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use mainstay_store::{Freshness, ListQuery, Revision, StoreError};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::encryption::SealedStore;

pub use entry::CachedObject;
pub use reader::CacheReader;
pub use resource::{CacheEvent, ResourceCache, Scope, Subscription};
pub use snapshot::Snapshot;

/// How long a read waits for the caches to catch up with the store.
const CATCH_UP: Duration = Duration::from_secs(3);
/// Between looks for what lists by pages have left behind.
const TIDY: Duration = Duration::from_secs(5);
/// Between tries to begin again after the store refused a watch.
const RETRY: Duration = Duration::from_millis(200);

type Map = foldhash::HashMap<String, Arc<ResourceCache>>;

/// The caches of all resources of this process.
pub struct Caches {
    store: SealedStore,
    by_resource: RwLock<Map>,
    /// Everything up to this revision is in the caches and in the queues of the watchers.
    reached: watch::Sender<Revision>,
}

/// A cache of `<group>/<resource>` that has seen everything up to `revision`.
fn new_cache(name: &str, revision: Revision) -> Arc<ResourceCache> {
    Arc::new(ResourceCache::new(name == "/pods", revision))
}

/// Lets go what lists by pages have left behind, also of resources that nobody changes any more.
async fn tidy(by_resource: &RwLock<Map>) {
    loop {
        tokio::time::sleep(TIDY).await;
        let caches: Vec<Arc<ResourceCache>> = by_resource.read().values().cloned().collect();
        caches.iter().for_each(|cache| cache.forget_idle(Instant::now()));
    }
}

impl Caches {
    /// Fills the caches from the store and keeps them current until `stop`.
    ///
    /// # Errors
    /// What the store answers to the initial listing.
    pub async fn start(store: SealedStore, stop: CancellationToken) -> Result<Arc<Self>, StoreError> {
        let caches = Arc::new(Self {
            store,
            by_resource: RwLock::new(Map::default()),
            reached: watch::Sender::new(Revision(0)),
        });
        let revision = caches.load().await?;
        let feed = caches.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = feed.follow(revision) => {}
                () = tidy(&feed.by_resource) => {}
            }
        });
        Ok(caches)
    }

    /// The cache of `<group>/<resource>`, empty if nothing of it is stored.
    pub fn of(&self, group: &str, resource: &str) -> Arc<ResourceCache> {
        self.named(&format!("{group}/{resource}"))
    }

    fn named(&self, name: &str) -> Arc<ResourceCache> {
        if let Some(cache) = self.by_resource.read().get(name) {
            return cache.clone();
        }
        let mut map = self.by_resource.write();
        let reached = *self.reached.borrow();
        map.entry(name.to_owned()).or_insert_with(|| new_cache(name, reached)).clone()
    }

    /// Everything up to this revision has been delivered.
    pub fn reached(&self) -> Revision {
        *self.reached.borrow()
    }

    /// Follows [`Caches::reached`].
    pub fn progress(&self) -> watch::Receiver<Revision> {
        self.reached.subscribe()
    }

    /// Watches that are open, over all resources.
    pub fn watchers(&self) -> usize {
        self.by_resource.read().values().map(|cache| cache.watchers()).sum()
    }

    /// Waits until the caches hold at least `revision`; `false` after three seconds.
    pub async fn wait_for(&self, revision: Revision) -> bool {
        if self.reached() >= revision {
            return true;
        }
        let mut reached = self.reached.subscribe();
        let wait = reached.wait_for(|at| *at >= revision);
        matches!(tokio::time::timeout(CATCH_UP, wait).await, Ok(Ok(_)))
    }

    /// Waits until the caches show every write acknowledged before this call.
    ///
    /// # Errors
    /// What the store answers when it has no leader; a timeout if the caches do not catch up.
    pub async fn consistent(&self) -> Result<Revision, StoreError> {
        let revision = self.store.consistent_revision().await?;
        if self.wait_for(revision).await { Ok(revision) } else { Err(StoreError::Timeout) }
    }

    /// An object of a resource as every write acknowledged before this call has left it. If the caches are behind, they
    /// are not waited for.
    ///
    /// # Errors
    /// As the store's consistent reads.
    pub async fn latest(
        &self,
        group: &str,
        resource: &str,
        key: &[u8],
    ) -> Result<Option<Arc<CachedObject>>, StoreError> {
        let revision = self.store.consistent_revision().await?;
        if self.reached() >= revision {
            return Ok(self.of(group, resource).get(key));
        }
        let (entry, _) = self.store.get(key, Freshness::Local).await?;
        let object = entry.and_then(|entry| CachedObject::new(entry.key, entry.value, entry.modified));
        Ok(object.map(Arc::new))
    }

    async fn load(&self) -> Result<Revision, StoreError> {
        let query = ListQuery { prefix: bytes::Bytes::new(), after: None, limit: 0, fresh: Freshness::Local };
        let page = self.store.list(query).await?;
        let mut map = Map::default();
        for entry in page.entries {
            let Some(object) = CachedObject::new(entry.key, entry.value, entry.modified) else { continue };
            if let Some((resource, _, _)) = crate::key::split(&object.key.clone()) {
                map.entry(resource.to_owned()).or_insert_with(|| new_cache(resource, page.revision)).seed(object);
            }
        }
        // In this order: who sees the revision has to find what it covers.
        *self.by_resource.write() = map;
        self.reached.send_replace(page.revision);
        Ok(page.revision)
    }

    /// Follows the store's events; begins again from a listing if its history was lost.
    async fn follow(&self, mut from: Revision) {
        loop {
            if let Err(error) = self.feed(&mut from).await {
                tracing::warn!(%error, revision = from.0, "watch of the store ended");
            }
            tokio::time::sleep(RETRY).await;
            if self.store.watch(bytes::Bytes::new(), from).is_err()
                && let Ok(revision) = self.load().await
            {
                from = revision;
            }
        }
    }

    async fn feed(&self, from: &mut Revision) -> Result<(), StoreError> {
        let mut watch = self.store.watch(bytes::Bytes::new(), *from)?;
        loop {
            let batch = watch.next().await?;
            for event in &batch.events {
                if let Some((resource, _, _)) = crate::key::split(&event.key) {
                    self.named(resource).apply(event);
                }
            }
            *from = batch.revision;
            self.reached.send_replace(batch.revision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_lets_go_what_lists_by_pages_leave_behind() {
        let (by_resource, moment) = (RwLock::new(Map::default()), Revision(1));
        let pods = new_cache("/pods", moment);
        pods.keep(moment, &pods.snapshot());
        by_resource.write().insert("/pods".to_owned(), pods.clone());
        let tidied = async |time: Duration| tokio::time::timeout(time, tidy(&by_resource)).await.unwrap_err();
        tidied(pages::IDLE / 2).await;
        assert!(pods.kept(moment).is_some());
        tidied(pages::IDLE).await;
        assert!(pods.kept(moment).is_none());
    }
}
