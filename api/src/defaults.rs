//! Defaulting: what Kubernetes fills in when an object is read, and the small repairs its version conversions make.
//!
//! Most rules are rows of `rules`; the rest are functions. Objects must be in normal form (see [`crate::decode`]),
//! so that an absent member means both "unset" and, for members that are no Go pointers, "zero".

mod core;
mod image;
mod others;
mod path;
mod pod;
mod quantities;
mod rules;

use serde_json::Value;

pub use quantities::{container_limits, container_requests};

/// Fills in the defaults of a built-in kind; unknown kinds stay as they are.
pub fn apply(group: &str, version: &str, kind: &str, object: &mut Value) {
    core::before_rules(group, kind, object);
    others::before_rules(group, version, kind, object);
    if let Some(rules) = rules::of(group, version, kind) {
        rules.apply(object);
    }
    for place in pod::specs(group, kind) {
        path::each(object, place, &mut pod::apply);
        path::each(object, pod::holder(place), &mut pod::forget_annotations);
    }
    core::after_rules(group, kind, object);
    quantities::round(group, kind, object);
}

#[cfg(test)]
mod tests;
