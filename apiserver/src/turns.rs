//! Requests of one connection take turns with those of others.
//!
//! A client that multiplexes a flood over one connection sends it in bursts, and each request costs processor time before
//! flow control has looked at it: headers, authentication, impersonation. If all of a burst were run as it comes in,
//! a calm client's only request would wait behind it. So of each connection only a few begin in one round of the
//! scheduler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Requests of one connection that begin in one round.
const AT_ONCE: usize = 2;

/// The requests of a connection that have not begun.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Inner>);

struct Inner {
    arrived: AtomicUsize,
    round: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Inner { arrived: AtomicUsize::new(0), round: Semaphore::new(AT_ONCE) }))
    }
}

impl Turns {
    /// A request has come in.
    pub fn arrived(&self) -> Arrived {
        self.0.arrived.fetch_add(1, Ordering::Relaxed);
        Arrived(self.0.clone())
    }
}

/// A request that has not begun; it counts until it is dropped.
pub(crate) struct Arrived(Arc<Inner>);

impl Arrived {
    /// Waits until it may begin: at once, if it came alone.
    pub async fn turn(self) {
        if self.0.arrived.load(Ordering::Relaxed) <= AT_ONCE {
            return;
        }
        // The semaphore is never closed; and its waiters are served in the order of their coming.
        if let Ok(_begins) = self.0.round.acquire().await {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.0.arrived.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    async fn order(of: &[(&'static str, usize)]) -> Vec<&'static str> {
        let began = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for (name, count) in of {
            let turns = Turns::default();
            // A connection reads all that has come before the first of it is run.
            for arrived in (0..*count).map(|_| turns.arrived()).collect::<Vec<_>>() {
                let (name, began) = (*name, began.clone());
                tasks.spawn(async move {
                    arrived.turn().await;
                    began.lock().push(name);
                });
            }
        }
        tasks.join_all().await;
        Arc::into_inner(began).unwrap().into_inner()
    }

    #[tokio::test]
    async fn a_burst_does_not_go_before_who_comes_alone() {
        let order = order(&[("flood", 100), ("calm", 1)]).await;
        assert_eq!(order.len(), 101);
        let place = order.iter().position(|name| *name == "calm").unwrap();
        assert!(place <= AT_ONCE, "at place {place}");
    }

    #[tokio::test]
    async fn two_bursts_take_turns() {
        let order = order(&[("a", 50), ("b", 50)]).await;
        let early = order[..20].iter().filter(|name| **name == "b").count();
        assert!((8..=12).contains(&early), "{order:?}");
    }
}
