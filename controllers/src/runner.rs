//! What all controllers share: keys come from a queue, workers reconcile them, failures come back later.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mainstay_client::{Backoff, Error, Key, WorkQueue};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Distinct keys that may wait for one controller.
const QUEUE: usize = 1_000_000;
/// No reconciliation takes longer; its calls have shorter limits of their own.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(120);

/// What follows a reconciliation that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something changes.
    Settled,
    /// Look again after this time, for instance when a deadline passes.
    After(Duration),
}

impl Next {
    /// Look again after the time, if there is one.
    pub(crate) fn maybe(after: Option<Duration>) -> Self {
        after.map_or(Next::Settled, Next::After)
    }
}

/// Brings the world nearer to what the object of a key asks for.
#[async_trait]
pub(crate) trait Controller: Send + Sync + 'static {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Looks at the newest known state of the key's object and acts. Called by one worker a key at a time.
    async fn reconcile(&self, key: &Key) -> Result<Next, Error>;
}

/// A queue of object keys.
pub(crate) type Keys = WorkQueue<Key>;

/// A queue as controllers use it.
pub(crate) fn keys() -> Keys {
    WorkQueue::new(QUEUE, Backoff { first: Duration::from_millis(10), max: Duration::from_secs(30) })
}

/// Works the queue off until `stop`.
pub(crate) async fn work(controller: Arc<dyn Controller>, queue: Keys, workers: usize, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(worker(controller.clone(), queue.clone()));
    }
    stop.cancelled().await;
    queue.shut_down();
    // A reconciliation under way may be cut anywhere: the next leader starts from what is stored.
    tasks.shutdown().await;
}

async fn worker(controller: Arc<dyn Controller>, queue: Keys) {
    while let Some(key) = queue.get().await {
        let result = tokio::time::timeout(RECONCILE_TIMEOUT, controller.reconcile(&key)).await;
        match result.unwrap_or(Err(Error::Timeout(RECONCILE_TIMEOUT))) {
            Ok(next) => {
                queue.forget(&key);
                if let Next::After(pause) = next {
                    queue.add_after(key.clone(), pause);
                }
            }
            Err(error) => {
                let pause = queue.retry(key.clone());
                report(controller.name(), &key, &error, pause);
            }
        }
        queue.done(&key);
    }
}

/// A conflict only says that somebody was faster.
fn report(controller: &str, key: &Key, error: &Error, pause: Duration) {
    if error.is_conflict() {
        tracing::debug!(controller, %key, %error, ?pause, "trying again on the newer state");
    } else {
        tracing::warn!(controller, %key, %error, ?pause, "could not reconcile, trying again");
    }
}
