//! The one door to the state.

pub mod pki;
