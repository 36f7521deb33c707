//! `mainstay scale`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use mainstay_client::Patch;
use serde_json::json;

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
    #[arg(long)]
    replicas: i32,
    /// Only if this is the number now
    #[arg(long)]
    current_replicas: Option<i32>,
}

/// Scales.
pub(crate) async fn run(args: ScaleArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    for (row, name) in selection::named(&session, &args.what).await? {
        let api = session.api(&row);
        if let Some(expected) = args.current_replicas {
            let now = api.get(&name, "scale").await?["spec"]["replicas"].as_i64().unwrap_or(0);
            if now != i64::from(expected) {
                bail!("Expected replicas to be {expected}, was {now}");
            }
        }
        api.patch(&name, "scale", &Patch::Merge(json!({"spec": {"replicas": args.replicas}}))).await?;
        print::line(&format!("{} scaled", print::kind_name(&row, &name)))?;
    }
    Ok(ExitCode::SUCCESS)
}
