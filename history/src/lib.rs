//! Judging histories: what clients did to a store and saw of it, and the properties that this must have. Pure; the
//! simulation of the store and the chaos harness record, this crate judges.
//!
//! [`linearizable`] trusts nothing but the clients' clock and works on histories of registers; on long ones only where nothing
//! is set blindly. [`revisions`] takes the revisions that the store hands out for the order of everything, and checks every
//! answer against it: any number of keys, transactions, listings and watches, in linear time.

pub mod call;
mod chain;
pub mod linearizable;
pub mod revisions;

/// A property that did not hold, in words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// The property's name.
    pub property: &'static str,
    /// What was seen.
    pub seen: String,
}
