//! What a pod's worker is told.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a worker is to do: keep the newest spec, or end the pod.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub pod: Arc<Pod>,
    pub gone: bool,
}

/// The way to a worker.
pub(crate) struct Inbox {
    wanted: Mutex<Wanted>,
    notify: Notify,
}

impl Inbox {
    pub fn new(pod: Arc<Pod>, gone: bool) -> Inbox {
        Inbox { wanted: Mutex::new(Wanted { pod, gone }), notify: Notify::new() }
    }

    /// A newer state of the pod.
    pub fn put(&self, pod: Arc<Pod>) {
        self.wanted.lock().pod = pod;
        self.notify.notify_one();
    }

    /// The pod's object is gone.
    pub fn end(&self) {
        self.wanted.lock().gone = true;
        self.notify.notify_one();
    }

    /// Something may have changed in the runtime.
    pub fn wake(&self) {
        self.notify.notify_one();
    }

    pub fn wanted(&self) -> Wanted {
        self.wanted.lock().clone()
    }

    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Returns when the pod has to end sooner than `known` said.
    pub(super) async fn hurried(&self, known: &Wanted) {
        loop {
            let now = self.wanted();
            if urgency(&now) > urgency(known) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Higher is more urgent: kept, ending with so much grace, gone.
fn urgency(wanted: &Wanted) -> i64 {
    let meta = &wanted.pod.metadata;
    match (wanted.gone, &meta.deletion_timestamp) {
        (true, _) => i64::MAX,
        (_, None) => i64::MIN,
        (_, Some(_)) => -meta.deletion_grace_period_seconds.unwrap_or(30),
    }
}
