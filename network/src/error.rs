//! What can go wrong on the way into the kernel.

use std::time::Duration;

/// Why rules did not get into force.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The program is not there or cannot be talked to.
    #[error("cannot run {program}; install the package that carries it (nftables, conntrack)")]
    Start {
        /// The program.
        program: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It did not end in time.
    #[error("{program} took longer than {limit:?}")]
    Slow {
        /// The program.
        program: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// It refused the rules.
    #[error("{program} refused: {said}")]
    Refused {
        /// The program.
        program: &'static str,
        /// The first line of what it said.
        said: String,
    },
}
