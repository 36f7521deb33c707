//! What a scenario says must come about during or after a fault, and how long it took.

use serde::{Deserialize, Serialize};

pub use crate::state::State;

/// What a step of a scenario asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expected {
    /// What must come about.
    pub state: State,
    /// How long after the fault, or after its end, in milliseconds.
    pub within_ms: u64,
    /// Sooner would be wrong, in milliseconds.
    #[serde(default)]
    pub not_before_ms: u64,
    /// It must stay so for this long, in milliseconds.
    #[serde(default)]
    pub for_ms: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    /// The state.
    pub state: State,
    /// The bound, in milliseconds.
    pub within_ms: u64,
    /// After how long it was there, in milliseconds; `None` if it was not in time.
    pub took_ms: Option<u64>,
    /// What was wrong although it came about.
    pub wrong: Option<&'static str>,
}
