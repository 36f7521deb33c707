//! What informers and the writer have to tell the scheduler: the newest state of each object, so that it is bounded by
//! how many there are.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use mainstay_client::Change;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::devices;

/// The newest state, or `None` once it is gone.
type Newest<K> = HashMap<String, Option<Arc<K>>>;

/// Everything that is new.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// By name.
    pub nodes: Newest<Node>,
    /// By uid.
    pub pods: Newest<Pod>,
    /// By name.
    pub namespaces: Newest<Namespace>,
    /// By namespace/name.
    pub claims: Newest<ResourceClaim>,
    /// By name.
    pub classes: Newest<DeviceClass>,
    /// By name.
    pub slices: Newest<ResourceSlice>,
    /// Uids of claims that were not given the devices that they were to get.
    pub refused: Vec<String>,
    /// Uids of pods whose binding failed.
    pub unbound: Vec<String>,
}

/// Where it is collected.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    news: Mutex<News>,
    arrived: Notify,
}

impl Inbox {
    pub(crate) fn node(&self, change: &Change<Node>) {
        let name = change.object().metadata.name.clone().unwrap_or_default();
        self.tell(|news| news.nodes.insert(name, newest(change)));
    }

    pub(crate) fn pod(&self, change: &Change<Pod>) {
        let uid = change.object().metadata.uid.clone().unwrap_or_default();
        self.tell(|news| news.pods.insert(uid, newest(change)));
    }

    pub(crate) fn namespace(&self, change: &Change<Namespace>) {
        let name = change.object().metadata.name.clone().unwrap_or_default();
        self.tell(|news| news.namespaces.insert(name, newest(change)));
    }

    pub(crate) fn claim(&self, change: &Change<ResourceClaim>) {
        let key = devices::key(&change.object().metadata);
        self.tell(|news| news.claims.insert(key, newest(change)));
    }

    pub(crate) fn class(&self, change: &Change<DeviceClass>) {
        let name = change.object().metadata.name.clone().unwrap_or_default();
        self.tell(|news| news.classes.insert(name, newest(change)));
    }

    pub(crate) fn slice(&self, change: &Change<ResourceSlice>) {
        let name = change.object().metadata.name.clone().unwrap_or_default();
        self.tell(|news| news.slices.insert(name, newest(change)));
    }

    pub(crate) fn refused(&self, claim_uid: &str) {
        self.tell(|news| news.refused.push(claim_uid.to_owned()));
    }

    pub(crate) fn unbound(&self, uid: &str) {
        self.tell(|news| news.unbound.push(uid.to_owned()));
    }

    fn tell<R>(&self, add: impl FnOnce(&mut News) -> R) {
        add(&mut self.news.lock());
        self.arrived.notify_one();
    }

    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock())
    }

    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

fn newest<K>(change: &Change<K>) -> Option<Arc<K>> {
    match change {
        Change::Added(object) | Change::Updated { new: object, .. } => Some(object.clone()),
        Change::Deleted(_) => None,
    }
}
