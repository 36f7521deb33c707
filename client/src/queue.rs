//! Keys to work on: each at most once in the queue and never with two workers, failures after a growing pause.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The pauses between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure; doubled with each further one.
    pub first: Duration,
    /// Never longer than this.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { first: Duration::from_millis(5), max: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The pause after this many failures (1 is the first).
    pub fn after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        self.first.saturating_mul(1 << doublings).min(self.max)
    }
}

/// A queue of keys; clones share it.
pub struct WorkQueue<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        WorkQueue { inner: self.inner.clone() }
    }
}

struct Inner<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    backoff: Backoff,
    capacity: usize,
}

struct State<K> {
    ready: VecDeque<K>,
    /// In `ready`, or to be put there when its worker is done.
    dirty: HashSet<K>,
    working: HashSet<K>,
    delayed: BTreeMap<(Instant, u64), K>,
    delayed_at: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    sequence: u64,
    shut_down: bool,
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// A queue of at most `capacity` distinct keys.
    pub fn new(capacity: usize, backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            working: HashSet::new(),
            delayed: BTreeMap::new(),
            delayed_at: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
            shut_down: false,
        };
        WorkQueue { inner: Arc::new(Inner { state: Mutex::new(state), changed: Notify::new(), backoff, capacity }) }
    }

    /// Puts a key in, unless it is there already. False if the queue is full or shut down: the key was not taken.
    pub fn add(&self, key: K) -> bool {
        let mut state = self.inner.state.lock();
        if state.shut_down {
            return false;
        }
        state.unschedule(&key);
        let taken = state.push(key, self.inner.capacity);
        drop(state);
        self.inner.changed.notify_one();
        if !taken {
            tracing::error!(capacity = self.inner.capacity, "a work queue is full; a key was dropped");
        }
        taken
    }

    /// Puts a key in after `delay`; an earlier time that is already set stays.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            self.add(key);
            return;
        }
        let mut state = self.inner.state.lock();
        if state.shut_down {
            return;
        }
        let at = Instant::now() + delay;
        if state.delayed_at.get(&key).is_some_and(|(earlier, _)| *earlier <= at) {
            return;
        }
        state.unschedule(&key);
        state.sequence += 1;
        let slot = (at, state.sequence);
        state.delayed.insert(slot, key.clone());
        state.delayed_at.insert(key, slot);
        drop(state);
        self.inner.changed.notify_one();
    }

    /// Puts a key in again after a failure, later with each one in a row. Returns the pause.
    pub fn retry(&self, key: K) -> Duration {
        let failures = {
            let mut state = self.inner.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            *failures
        };
        let pause = self.inner.backoff.after(failures);
        self.add_after(key, pause);
        pause
    }

    /// The key succeeded: its next failure counts as the first.
    pub fn forget(&self, key: &K) {
        self.inner.state.lock().failures.remove(key);
    }

    /// The next key, when there is one; None once the queue is shut down. [`WorkQueue::done`] must follow.
    pub async fn get(&self) -> Option<K> {
        loop {
            let notified = self.inner.changed.notified();
            let next_due = {
                let mut state = self.inner.state.lock();
                if state.shut_down {
                    drop(state);
                    self.inner.changed.notify_one();
                    return None;
                }
                state.promote(Instant::now());
                if let Some(key) = state.take() {
                    let more = !state.ready.is_empty() || !state.delayed.is_empty();
                    drop(state);
                    if more {
                        self.inner.changed.notify_one();
                    }
                    return Some(key);
                }
                state.delayed.keys().next().map(|(at, _)| *at)
            };
            match next_due {
                Some(at) => tokio::select! {
                    () = notified => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => notified.await,
            }
        }
    }

    /// The worker is through with the key; if it was added meanwhile, it is queued again.
    pub fn done(&self, key: &K) {
        let mut state = self.inner.state.lock();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.inner.changed.notify_one();
        }
    }

    /// Keys that are ready to be worked on.
    pub fn len(&self) -> usize {
        self.inner.state.lock().ready.len()
    }

    /// Whether none is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets all workers end.
    pub fn shut_down(&self) {
        self.inner.state.lock().shut_down = true;
        self.inner.changed.notify_waiters();
        self.inner.changed.notify_one();
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn push(&mut self, key: K, capacity: usize) -> bool {
        if self.dirty.contains(&key) {
            return true;
        }
        if self.dirty.len() >= capacity {
            return false;
        }
        self.dirty.insert(key.clone());
        if !self.working.contains(&key) {
            self.ready.push_back(key);
        }
        true
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }

    fn unschedule(&mut self, key: &K) {
        if let Some(slot) = self.delayed_at.remove(key) {
            self.delayed.remove(&slot);
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry().filter(|e| e.key().0 <= now) {
            let key = entry.remove();
            self.delayed_at.remove(&key);
            // What is due was bounded when it was added.
            self.push(key, usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> WorkQueue<u32> {
        WorkQueue::new(10, Backoff { first: Duration::from_millis(10), max: Duration::from_millis(40) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_comes_once() {
        let queue = queue();
        assert!(queue.add(1) && queue.add(1) && queue.add(2));
        assert_eq!((queue.get().await, queue.get().await, queue.len()), (Some(1), Some(2), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_worked_on_comes_again_afterwards() {
        let queue = queue();
        queue.add(1);
        assert_eq!(queue.get().await, Some(1));
        queue.add(1);
        assert!(queue.is_empty(), "not with two workers at once");
        queue.done(&1);
        assert_eq!(queue.get().await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_and_success_resets() {
        let queue = queue();
        let pauses: Vec<u128> = (0..4).map(|_| queue.retry(7).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 40]);
        queue.forget(&7);
        assert_eq!(queue.retry(7).as_millis(), 10);
        assert_eq!(queue.get().await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_keys_come_in_time_order_and_the_earlier_time_wins() {
        let queue = queue();
        let start = Instant::now();
        queue.add_after(1, Duration::from_millis(100));
        queue.add_after(2, Duration::from_millis(50));
        queue.add_after(1, Duration::from_millis(300));
        assert_eq!(queue.get().await, Some(2));
        assert_eq!(queue.get().await, Some(1));
        assert!(start.elapsed() < Duration::from_millis(200));
    }

    #[tokio::test]
    async fn shutting_down_frees_all_workers() {
        let queue = queue();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let q = queue.clone();
                    async move { q.get().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.shut_down();
        for worker in workers {
            assert_eq!(worker.await.unwrap(), None);
        }
        assert!(!queue.add(1));
    }

    #[tokio::test]
    async fn a_full_queue_says_so() {
        let queue = WorkQueue::new(1, Backoff::default());
        assert!(queue.add(1));
        assert!(!queue.add(2));
    }
}
