//! Other programs, started for what they do.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs a tool; its own words are the error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
