//! APIServices: what each group and version is served by. Those that this server serves itself are registered by the
//! leader and always available.

pub(crate) mod controller;
mod local;
mod rules;

pub(crate) use rules::API_SERVICE;

/// Group of APIServices.
pub(crate) const GROUP: &str = "apiregistration.k8s.io";
/// Plural of APIServices.
pub(crate) const API_SERVICES: &str = "apiservices";
