//! When a watcher is served again that has just been served.

use std::time::Duration;

use tokio::time::Instant;

/// Several times what it takes to serve one watcher, with what the watcher itself does on the same machine: with twice that long,
/// a thousand watchers received a fifth less in all.
const TURN: Duration = Duration::from_micros(100);
/// Nobody waits longer, however many there are.
const LONGEST: Duration = Duration::from_millis(50);
/// The few watchers for whom it would be less do not wait.
const SHORTEST: Duration = Duration::from_micros(2500);

/// One of many watchers of the same changes. To hand on a message costs far more than to hand on a change in it: where
/// many watch what changes all the time, each is served again only when all have had their turn, and then gets at once
/// what there is. A watcher among few, or one that nothing was to be told for a while, does not wait.
#[derive(Debug, Default)]
pub struct Pace {
    served: Option<Instant>,
}

impl Pace {
    /// Waits for the turn of one of so many watchers, 50 ms at the most.
    pub async fn turn(&mut self, watchers: usize) {
        let pause = self.pause(watchers, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        self.served = Some(Instant::now());
    }

    fn pause(&self, watchers: usize, now: Instant) -> Duration {
        let round = TURN.saturating_mul(u32::try_from(watchers).unwrap_or(u32::MAX)).min(LONGEST);
        match self.served {
            Some(served) if round >= SHORTEST => (served + round).saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_many_waits_and_only_if_it_was_just_served() {
        let now = Instant::now();
        let served = |before: u64| Pace { served: Some(now - Duration::from_millis(before)) };
        assert_eq!(Pace::default().pause(1000, now), Duration::ZERO);
        assert_eq!(served(0).pause(24, now), Duration::ZERO);
        assert_eq!(served(0).pause(100, now), Duration::from_millis(10));
        assert_eq!(served(1).pause(100, now), Duration::from_millis(9));
        assert_eq!(served(11).pause(100, now), Duration::ZERO);
        assert_eq!(served(0).pause(1_000_000, now), LONGEST);
    }
}
