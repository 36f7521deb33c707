//! The time of day, as the store writes it down.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, for the age of history.
pub(crate) fn now_ms() -> u64 {
    #[cfg(test)]
    if let Some(now) = crate::simulation::now_ms() {
        return now;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
