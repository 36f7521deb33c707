//! What a server does once after it has begun, as its health checks tell of it. Each step has the name of the check that
//! Kubernetes has for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::cache::Caches;

/// The FlowSchemas of the cluster have been taken over.
pub(crate) const FLOW_SCHEMAS: &str = "poststarthook/priority-and-fairness-config-consumer";
/// The definitions that there were have made their rows, and changes of them are heard of.
pub(crate) const DEFINITIONS: &str = "poststarthook/crd-informer-synced";
/// What is to be done for the definitions that there were has been begun.
pub(crate) const DEFINITIONS_KEPT: &str = "poststarthook/start-apiextensions-controllers";
/// The caches have shown everything that was acknowledged when the server began.
pub(crate) const CAUGHT_UP: &str = "poststarthook/storage-readiness";
/// The servers of other groups have been asked what they have.
pub(crate) const REMOTES: &str = "poststarthook/apiservice-discovery-controller";

/// Between tries to catch up.
const RETRY: Duration = Duration::from_millis(200);

/// The steps that are done. None is taken back: what goes wrong later is for other checks.
#[derive(Debug, Default)]
pub(crate) struct Startup(Mutex<BTreeSet<&'static str>>);

impl Startup {
    /// A step is done.
    pub fn finish(&self, step: &'static str) {
        self.0.lock().insert(step);
    }

    /// Whether a step is done.
    pub fn is_finished(&self, step: &str) -> bool {
        self.0.lock().contains(step)
    }

    /// Notes when the caches show everything that was acknowledged before this call.
    pub async fn follow(self: Arc<Self>, caches: Arc<Caches>, stop: CancellationToken) {
        let caught_up = async {
            while let Err(error) = caches.consistent().await {
                tracing::debug!(%error, "the watch caches are behind");
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = caught_up => self.finish(CAUGHT_UP),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_stays_done() {
        let startup = Startup::default();
        assert!(!startup.is_finished(DEFINITIONS));
        startup.finish(DEFINITIONS);
        startup.finish(DEFINITIONS);
        assert!(startup.is_finished(DEFINITIONS) && !startup.is_finished(REMOTES));
    }
}
