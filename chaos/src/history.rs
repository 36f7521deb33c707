//! What clients did and saw, with times, so that checks can judge it afterwards.

use std::time::Duration;

pub use mainstay_history::call::{Action, Call, INITIAL, Outcome};
use parking_lot::Mutex;

/// The calls of a run, collected from all clients.
#[derive(Debug, Default)]
pub struct History {
    calls: Mutex<Vec<Call>>,
    /// When writes were acknowledged, those on registers and all others.
    acknowledgements: Mutex<Vec<Duration>>,
}

impl History {
    /// Adds a call that has ended.
    pub fn record(&self, call: Call) {
        if call.outcome == Outcome::Done {
            self.acknowledge(call.answered);
        }
        self.calls.lock().push(call);
    }

    /// Notes that a write was acknowledged at this time.
    pub fn acknowledge(&self, at: Duration) {
        self.acknowledgements.lock().push(at);
    }

    /// When writes were acknowledged.
    #[must_use]
    pub fn acknowledgements(&self) -> Vec<Duration> {
        self.acknowledgements.lock().clone()
    }

    /// How many writes were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledgements.lock().len()
    }

    /// All calls, in the order in which they were sent.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let mut calls = self.calls.lock().clone();
        calls.sort_by_key(|call| call.sent);
        calls
    }

    /// The time from `from` to the next acknowledged write; `None` when there was none.
    #[must_use]
    pub fn gap_after(&self, from: Duration) -> Option<Duration> {
        let times = self.acknowledgements.lock();
        let next = times.iter().filter(|at| **at > from).min()?;
        Some(*next - from)
    }

    /// The longest time between two acknowledged writes that follow each other.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap_within(Duration::ZERO, Duration::MAX)
    }

    /// The longest such time of which some part lies between `from` and `to`.
    #[must_use]
    pub fn longest_gap_within(&self, from: Duration, to: Duration) -> Duration {
        let mut times = self.acknowledgements.lock().clone();
        times.sort_unstable();
        let gaps = times.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
        gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(answered: u64, outcome: Outcome) -> Call {
        Call {
            register: 0,
            action: Action::CompareAndSet { expected: 0, new: 1 },
            outcome,
            sent: Duration::from_millis(answered - 1),
            answered: Duration::from_millis(answered),
        }
    }

    #[test]
    fn gaps_count_acknowledged_writes_only() {
        let history = History::default();
        for (answered, outcome) in
            [(10, Outcome::Done), (20, Outcome::Unknown), (400, Outcome::Done), (410, Outcome::Done)]
        {
            history.record(write(answered, outcome));
        }
        assert_eq!(history.longest_gap(), Duration::from_millis(390));
        assert_eq!(
            history.longest_gap_within(Duration::from_millis(401), Duration::from_secs(1)),
            Duration::from_millis(10)
        );
        assert_eq!(history.gap_after(Duration::from_millis(15)), Some(Duration::from_millis(385)));
        assert_eq!(history.gap_after(Duration::from_millis(500)), None);
    }
}
