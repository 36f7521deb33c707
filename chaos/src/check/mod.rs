//! What must hold after a run, a file a property.

pub mod acknowledged;
pub mod availability;
pub mod conserved;
pub mod converged;
pub mod identity;
pub mod leaks;
pub mod linearizable;
pub mod one_leader;
pub mod watched;

/// A property that did not hold, in words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// The property's name.
    pub property: &'static str,
    /// What was seen.
    pub seen: String,
}
