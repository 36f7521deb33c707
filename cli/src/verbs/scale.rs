//! `mainstay scale`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use mainstay_client::Patch;
use serde_json::json;

use super::dry_run::{DryRun, DryRunArgs};
use super::print;
use super::selection;
use super::session::Common;

/// `mainstay scale`
#[derive(Args)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    common: Common,
    /// What: deployment/web
    #[arg(required = true, value_name = "TYPE NAME")]
    what: Vec<String>,
    /// The number of pods wanted
    #[arg(long, allow_negative_numbers = true)]
    replicas: i32,
    /// Only if this is the number now
    #[arg(long)]
    current_replicas: Option<i32>,
    #[command(flatten)]
    dry_run: DryRunArgs,
}

/// Scales.
pub(crate) async fn run(args: ScaleArgs) -> Result<ExitCode> {
    if args.replicas < 0 {
        bail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    }
    let dry_run = args.dry_run.how()?;
    let session = args.common.session()?;
    for (row, name) in selection::named(&session, &args.what).await? {
        let api = session.api(&row).dry_run(dry_run == DryRun::Server);
        if let Some(expected) = args.current_replicas {
            let now = api.get(&name, "scale").await?["spec"]["replicas"].as_i64().unwrap_or(0);
            if now != i64::from(expected) {
                bail!("Expected replicas to be {expected}, was {now}");
            }
        }
        if dry_run == DryRun::Client {
            api.get(&name, "").await?;
        } else {
            api.patch(&name, "scale", &Patch::Merge(json!({"spec": {"replicas": args.replicas}}))).await?;
        }
        print::line(&format!("{} scaled{}", print::kind_name(&row, &name), dry_run.note()))?;
    }
    Ok(ExitCode::SUCCESS)
}
