//! What a controller has done but its informers do not show yet. Without it a controller that is faster than its watch
//! would make the same pods twice.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Key, Store, object_key};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::meta::{is_deleting, uid};

/// Longer than any watch lags; afterwards the informer is believed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Expectations {
    pending: Mutex<HashMap<Key, Vec<Expected>>>,
}

struct Expected {
    pod: Key,
    uid: String,
    deleted: bool,
    until: Instant,
}

impl Expectations {
    /// `owner` made this pod.
    pub(crate) fn created(&self, owner: &Key, pod: &Pod) {
        self.expect(owner, pod, false);
    }

    /// `owner` deleted this pod.
    pub(crate) fn deleted(&self, owner: &Key, pod: &Pod) {
        self.expect(owner, pod, true);
    }

    fn expect(&self, owner: &Key, pod: &Pod, deleted: bool) {
        let expected = Expected {
            pod: object_key(pod),
            uid: uid(&pod.metadata).to_owned(),
            deleted,
            until: Instant::now() + PATIENCE,
        };
        self.pending.lock().entry(owner.clone()).or_default().push(expected);
    }

    /// The informer saw the pod go: nothing more is to be expected of it.
    pub(crate) fn gone(&self, owner: &Key, pod: &Pod) {
        if let Some(list) = self.pending.lock().get_mut(owner) {
            list.retain(|e| e.uid != uid(&pod.metadata));
        }
    }

    /// Whether the informer shows everything that `owner` did.
    pub(crate) fn settled(&self, owner: &Key, pods: &Store<Pod>) -> bool {
        let mut pending = self.pending.lock();
        let Some(list) = pending.get_mut(owner) else { return true };
        let now = Instant::now();
        list.retain(|e| e.until > now && !e.is_visible(pods));
        if list.is_empty() {
            pending.remove(owner);
            return true;
        }
        false
    }
}

impl Expected {
    fn is_visible(&self, pods: &Store<Pod>) -> bool {
        let known = pods.get(&self.pod).filter(|p| uid(&p.metadata) == self.uid);
        match known {
            Some(pod) => !self.deleted || is_deleting(&pod.metadata),
            None => self.deleted,
        }
    }
}
