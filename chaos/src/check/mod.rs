//! What must hold after a run, a file a property.

pub mod acknowledged;
pub mod availability;
pub mod conserved;
pub mod converged;
pub mod identity;
pub mod leaks;
pub mod one_leader;
pub mod watched;

pub use mainstay_history::{Violation, linearizable};
