//! Whether the log takes lines. They go to stderr; once nobody reads its other end, whoever writes there waits.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(60);
/// How long ago the last good look may be.
const LIMIT: Duration = Duration::from_secs(120);

/// When stderr was last free. A thread of its own looks, since it may wait for good.
static FREE: LazyLock<Arc<Mutex<Instant>>> = LazyLock::new(|| {
    let free = Arc::new(Mutex::new(Instant::now()));
    let noted = free.clone();
    let look = move || {
        loop {
            // Who writes a line holds the lock until it is written.
            drop(std::io::stderr().lock());
            *noted.lock() = Instant::now();
            std::thread::sleep(PERIOD);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("log-check".to_owned()).spawn(look) {
        tracing::warn!(%error, "the log is not looked after");
    }
    free
});

/// What is wrong with the log.
pub(super) fn fault() -> Option<String> {
    let free = *FREE.lock();
    is_blocked(free, Instant::now()).then(|| "logging blocked".to_owned())
}

fn is_blocked(free: Instant, now: Instant) -> bool {
    now.saturating_duration_since(free) >= LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_takes_nothing_for_two_minutes_is_blocked() {
        let now = Instant::now();
        assert!(!is_blocked(now, now + PERIOD));
        assert!(is_blocked(now, now + LIMIT));
        assert_eq!(fault(), None);
    }
}
