//! The service proxy: every node's nftables send connections for a service to one of its ready endpoints.
//!
//! Rules are a pure function of services, endpoint slices and pod networks ([`ruleset`]); they are loaded whole, atomically,
//! when they change. While no master answers, the rules stay as they are.

mod applier;
mod conntrack;
mod model;
mod proxy;
mod rules;
#[cfg(test)]
mod tests;

pub use applier::{NetworkError, apply, cleanup};
pub use model::{Port, Target, ports};
pub use proxy::{NetworkConfig, run};
pub use rules::{TABLE, removal, ruleset};
