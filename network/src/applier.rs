//! Loads rules with `nft`.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::rules;

/// Thousands of services load within a second; a busy machine may need longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Why rules cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The program cannot be run.
    #[error("cannot run {program}: {source}; install it (on Debian: apt-get install nftables conntrack)")]
    Start {
        /// Which one.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It refused.
    #[error("{program} failed: {message}")]
    Refused {
        /// Which one.
        program: &'static str,
        /// Its own words.
        message: String,
    },
    /// It did not end in time.
    #[error("{0} did not end within {LIMIT:?}")]
    Timeout(&'static str),
}

/// Loads a ruleset, all of it or nothing.
///
/// # Errors
/// [`NetworkError`] if `nft` is missing, refuses the text or does not end.
pub async fn apply(ruleset: &str) -> Result<(), NetworkError> {
    call("nft", &["-f", "-"], ruleset).await
}

/// Removes all rules of ours.
///
/// # Errors
/// As [`apply`].
pub async fn cleanup() -> Result<(), NetworkError> {
    apply(&rules::removal()).await
}

/// Runs a program to its end with this input.
pub(crate) async fn call(program: &'static str, arguments: &[&str], input: &str) -> Result<(), NetworkError> {
    let started = |source| NetworkError::Start { program, source };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(started)?;
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that refuses early closes its input; its own words then say why.
            if let Err(error) = stdin.write_all(input.as_bytes()).await {
                tracing::debug!(%error, program, "input not taken");
            }
        }
        child.wait_with_output().await
    };
    let output =
        tokio::time::timeout(LIMIT, work).await.map_err(|_| NetworkError::Timeout(program))?.map_err(started)?;
    match output.status.success() {
        true => Ok(()),
        false => {
            Err(NetworkError::Refused { program, message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
        }
    }
}
