//! Timestamps as Kubernetes writes and reads them.

use jiff::Timestamp;

mod parse;

pub use parse::{Layout, parse};

/// RFC 3339 with whole seconds, in UTC: the form of `Time`.
#[must_use]
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 with six decimals, in UTC: the form of `MicroTime`.
#[must_use]
pub fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads either form; None if it is neither.
#[must_use]
pub fn read(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
