//! `--dry-run`: the same for every verb that writes.

use anyhow::{Result, bail};
use clap::Args;

/// `--dry-run`
#[derive(Args, Clone, Debug)]
pub(crate) struct DryRunArgs {
    /// Only say what would be done: none, client or server
    #[arg(long, global = true, default_value = "none", value_name = "HOW")]
    dry_run: String,
}

/// How far a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    /// All the way.
    No,
    /// Not to the server.
    Client,
    /// Through everything of the server but the store.
    Server,
}

impl DryRunArgs {
    /// What is asked for.
    ///
    /// # Errors
    /// There is no such way: then nothing may be written.
    pub(crate) fn how(&self) -> Result<DryRun> {
        match self.dry_run.as_str() {
            "none" | "false" => Ok(DryRun::No),
            "client" | "true" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            other => bail!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."),
        }
    }
}

impl DryRun {
    /// What is added to what is said of the object.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(text: &str) -> Result<DryRun> {
        DryRunArgs { dry_run: text.to_owned() }.how()
    }

    #[test]
    fn what_is_not_known_is_no_write() {
        assert_eq!(how("none").unwrap(), DryRun::No);
        assert_eq!(how("client").unwrap().note(), " (dry run)");
        assert_eq!(how("server").unwrap().note(), " (server dry run)");
        let wrong = how("clint").unwrap_err().to_string();
        assert_eq!(wrong, "Invalid dry-run value (clint). Must be \"none\", \"server\", or \"client\".");
    }
}
