//! Whether the log takes lines. They go to stderr; once nobody reads its other end, whoever writes there waits.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(60);
/// How long ago the last good look may be.
const LIMIT: Duration = Duration::from_secs(120);

/// Looks after the log until it is dropped: a look that waits for stderr then ends with it.
pub(crate) struct LogWatch {
    /// When stderr was last free.
    free: Arc<Mutex<Instant>>,
    /// Nothing is sent: the thread hears that this is gone.
    _owner: Sender<Infallible>,
}

impl LogWatch {
    /// Begins to look, on a thread of its own, since that may wait for good.
    pub fn start() -> Self {
        let free = Arc::new(Mutex::new(Instant::now()));
        let noted = free.clone();
        let (owner, gone) = mpsc::channel();
        // Who writes a line holds the lock until it is written.
        let look = move || keep_looking(&noted, || drop(std::io::stderr().lock()), &gone);
        if let Err(error) = std::thread::Builder::new().name("log-check".to_owned()).spawn(look) {
            tracing::warn!(%error, "the log is not looked after");
        }
        Self { free, _owner: owner }
    }

    /// What is wrong with the log.
    pub fn fault(&self) -> Option<String> {
        is_blocked(*self.free.lock(), Instant::now()).then(|| "logging blocked".to_owned())
    }
}

/// Notes when each look was over, until the owner is gone.
fn keep_looking(free: &Mutex<Instant>, look: impl Fn(), gone: &Receiver<Infallible>) {
    loop {
        look();
        *free.lock() = Instant::now();
        if gone.recv_timeout(PERIOD) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
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
        assert_eq!(LogWatch::start().fault(), None);
    }

    #[test]
    fn nobody_looks_once_the_owner_is_gone() {
        let begun = Instant::now();
        let free = Arc::new(Mutex::new(begun));
        let noted = free.clone();
        let (owner, gone) = mpsc::channel();
        let thread = std::thread::spawn(move || keep_looking(&noted, || {}, &gone));
        drop(owner);
        thread.join().unwrap();
        assert!(*free.lock() > begun);
    }
}
