//! The kinds, a file each; small ones of one area together.

pub(crate) mod admission;
pub(crate) mod apps;
pub(crate) mod autoscaling;
pub(crate) mod batch;
pub(crate) mod certificates;
pub(crate) mod config;
pub(crate) mod devices;
pub(crate) mod discovery;
pub(crate) mod events;
pub(crate) mod flow;
pub(crate) mod namespace;
pub(crate) mod networking;
pub(crate) mod node;
pub mod pod;
pub(crate) mod quota;
pub(crate) mod rbac;
pub(crate) mod scheduling;
pub(crate) mod service;
pub(crate) mod storage;
pub(crate) mod volumes;
