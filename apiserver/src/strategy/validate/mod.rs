//! The parts of validation that kinds share: a cursor over the object that knows its path, and rules for what occurs in
//! many kinds.

mod at;
mod errors;

pub(crate) mod affinity;
pub(crate) mod annotated;
pub(crate) mod conditions;
pub(crate) mod containers;
pub(crate) mod env;
pub(crate) mod gates;
pub(crate) mod ip;
pub(crate) mod network_volumes;
mod owner;
pub(crate) mod paths;
pub(crate) mod pod_annotations;
pub(crate) mod pod_claims;
pub(crate) mod pod_os;
pub(crate) mod pod_resources;
pub(crate) mod pod_spec;
pub(crate) mod probes;
pub(crate) mod quantities;
pub(crate) mod resources;
pub(crate) mod security;
pub(crate) mod selectors;
pub(crate) mod template;
pub(crate) mod volume_mounts;
pub(crate) mod volume_sources;
pub(crate) mod volumes;

pub(crate) use at::At;
pub(crate) use errors::{Errors, changed, dumped, dumped_list, shown};
pub(crate) use owner::Owner;
