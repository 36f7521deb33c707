//! Devices (<https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>): which of those that
//! drivers offer a pod's claims get on a node. All pure; what is decided is written by the binder.

mod allocate;
mod assignment;
mod capacity;
mod choice;
mod constraint;
mod counters;
mod known;
mod obstacle;
mod offers;
mod outcome;
mod readiness;
mod request;
mod selectors;
mod taken;
#[cfg(test)]
mod tests;
mod wanted;

pub use assignment::Assignment;
pub use known::Devices;
pub(crate) use known::key;
pub(crate) use obstacle::Obstacle;
pub(crate) use readiness::{BINDING_TIMEOUT, Readiness, is_overdue, may_wait, readiness};
pub(crate) use wanted::Wanted;
