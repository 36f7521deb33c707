//! What the runtime makes or starts is not dropped half way.
//!
//! A call that is cancelled leaves containerd with a container that is neither started nor to be removed for a second or two,
//! or with a half-made sandbox. Whoever wants to drop what a worker does waits for the moment between two such calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

/// A call that takes longer is dropped all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// One worker's calls that make something, one after the other.
#[derive(Clone, Default)]
pub(super) struct Making(Arc<Mutex<()>>);

impl Making {
    /// Does a call that shall come to its end.
    pub async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let _held = self.0.lock().await;
        call.await
    }

    /// Returns when no such call is under way; the next one has to wait until this was polled.
    pub async fn paused(&self) {
        drop(tokio::time::timeout(PATIENCE, self.0.lock()).await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Makes three things that take a second each, unless that is dropped at `at`; gives what was begun and what came to its end.
    async fn made(at: Duration) -> (usize, usize) {
        let (making, begun, ended) = (Making::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let all = async {
            for _ in 0..3 {
                let one = async {
                    begun.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                };
                making.call(one).await;
            }
        };
        let dropped = async {
            tokio::time::sleep(at).await;
            making.paused().await;
        };
        tokio::select! {
            () = all => {}
            () = dropped => {}
        }
        (begun.into_inner(), ended.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_ends_and_nothing_else_begins() {
        assert_eq!(made(Duration::from_millis(1500)).await, (2, 2));
        assert_eq!(made(Duration::from_secs(9)).await, (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_end_is_dropped() {
        let making = Making::default();
        tokio::select! {
            () = making.call(std::future::pending()) => {}
            () = async { tokio::task::yield_now().await; making.paused().await } => {}
        }
    }
}
