//! `mainstay version`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::print;
use super::session::Common;

/// `mainstay version`
#[derive(Args)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    common: Common,
    /// Only of this program
    #[arg(long)]
    client: bool,
}

/// Says which versions there are.
pub(crate) async fn run(args: VersionArgs) -> Result<ExitCode> {
    print::line(&format!("Client Version: v{}", env!("CARGO_PKG_VERSION")))?;
    if !args.client {
        let body = args.common.session()?.rest.get("/version", &[]).await?;
        let version: Value = serde_json::from_slice(&body).context("the server sent something that is not JSON")?;
        print::line(&format!("Server Version: {}", version["gitVersion"].as_str().unwrap_or_default()))?;
    }
    Ok(ExitCode::SUCCESS)
}
