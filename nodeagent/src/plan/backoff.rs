//! Waiting times that double: 10 s, 20 s, … up to 5 minutes, forgotten after twice that without use.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// First wait.
const INITIAL: SignedDuration = SignedDuration::from_secs(10);
/// Longest wait.
const LONGEST: SignedDuration = SignedDuration::from_secs(300);

#[derive(Clone, Copy, Debug)]
struct Entry {
    wait: SignedDuration,
    updated: Timestamp,
}

/// One waiting time per key (a container's name, an image).
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    entries: HashMap<String, Entry>,
}

impl Backoff {
    /// How long to wait still, if the last failure was at `since`. The first failure waits for nothing.
    pub fn remaining(&self, key: &str, since: Timestamp, now: Timestamp) -> Option<SignedDuration> {
        let entry = self.entries.get(key).filter(|e| !expired(e, now))?;
        let left = (since + entry.wait).duration_since(now);
        left.is_positive().then_some(left)
    }

    /// How long to wait still, counted from the last failure itself.
    pub fn since_last(&self, key: &str, now: Timestamp) -> Option<SignedDuration> {
        let updated = self.entries.get(key)?.updated;
        self.remaining(key, updated, now)
    }

    /// How long the wait is that runs now.
    pub fn wait(&self, key: &str) -> SignedDuration {
        self.entries.get(key).map_or(SignedDuration::ZERO, |e| e.wait)
    }

    /// Records another try.
    pub fn advance(&mut self, key: &str, now: Timestamp) {
        let known = self.entries.get(key).filter(|e| !expired(e, now));
        let wait = known.map_or(INITIAL, |e| (e.wait * 2).min(LONGEST));
        self.entries.insert(key.to_owned(), Entry { wait, updated: now });
    }

    /// Forgets a key, after success.
    pub fn reset(&mut self, key: &str) {
        self.entries.remove(key);
    }
}

fn expired(entry: &Entry, now: Timestamp) -> bool {
    entry.updated + LONGEST * 2 < now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn doubles_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.remaining("a", at(0), at(0)), None);
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            backoff.advance("a", at(0));
            assert_eq!(backoff.wait("a").as_secs(), expected);
        }
        assert_eq!(backoff.remaining("a", at(0), at(100)).map(|d| d.as_secs()), Some(200));
        assert_eq!(backoff.remaining("a", at(0), at(300)), None);
    }

    #[test]
    fn forgets_after_ten_quiet_minutes() {
        let mut backoff = Backoff::default();
        backoff.advance("a", at(0));
        backoff.advance("a", at(0));
        backoff.advance("a", at(601));
        assert_eq!(backoff.wait("a").as_secs(), 10);
    }
}
