//! The node agent: keeps the pods that are bound to its node as their specs say, on containerd over CRI.
//!
//! The state machine of a pod is pure (`plan`): a worker a pod looks at the runtime, plans, acts, and writes the status.
//! The agent holds nothing that it cannot read again, so after a restart it adopts what runs.

mod agent;
mod checkpoint;
mod cluster;
mod config;
mod error;
mod identity;
mod images;
mod lease;
mod machine;
mod node;
mod plan;
mod pod;
mod rotation;
pub mod runtime;
mod server;
mod session;
mod sources;
mod volumes;

pub use agent::run;
pub use config::{AgentConfig, RuntimeKind};
pub use error::AgentError;
