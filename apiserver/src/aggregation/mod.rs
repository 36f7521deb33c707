//! APIServices: what each group and version is served by. Those that this server serves itself are registered by the
//! leader and always available. Those of other servers are asked what they have, by every master, and requests for them
//! are passed on (`rest/aggregated.rs`); the leader writes down whether they can be reached.

pub(crate) mod aggregator;
pub(crate) mod backend;
pub(crate) mod controller;
mod local;
pub(crate) mod remote;
mod rules;

pub(crate) use aggregator::Aggregator;
pub(crate) use local::unregistered;

pub(crate) use rules::API_SERVICE;

/// Group of APIServices.
pub(crate) const GROUP: &str = "apiregistration.k8s.io";
/// Plural of APIServices.
pub(crate) const API_SERVICES: &str = "apiservices";
/// The name that remotes know the masters' certificate by.
pub(crate) const CLIENT: &str = "front-proxy-client";
