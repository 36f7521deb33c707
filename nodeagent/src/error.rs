//! Why the agent cannot start.

use std::path::PathBuf;

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A directory cannot be made.
    #[error("cannot make the directory {path}: {source}; run as root or choose another directory")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The node has no address.
    #[error("cannot tell the node's address: {0}; name it with --node-ip")]
    Address(std::io::Error),
    /// The machine's facts cannot be read.
    #[error("cannot read {path}: {source}")]
    Machine {
        /// Where from.
        path: &'static str,
        /// Why.
        source: std::io::Error,
    },
}
