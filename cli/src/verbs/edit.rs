//! `mainstay edit`

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use mainstay_api::yaml;
use serde_json::Value;

use super::get::without_managed_fields;
use super::print;
use super::selection;
use super::session::Common;

/// `mainstay edit`
#[derive(Args)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    common: Common,
    /// What: deployment/web
    #[arg(required = true, value_name = "TYPE NAME")]
    what: Vec<String>,
}

/// Opens the object in the user's editor and writes back what comes of it.
pub(crate) async fn run(args: EditArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let (row, name) = selection::one(&session, &args.what).await?;
    let api = session.api(&row).manager("mainstay-edit");
    let mut object = api.get(&name, "").await?;
    without_managed_fields(&mut object);
    let before = yaml::to_string(&object);
    let file = tempfile::Builder::new()
        .prefix("mainstay-edit-")
        .suffix(".yaml")
        .tempfile()
        .context("cannot make a file to edit")?;
    std::fs::write(file.path(), &before).context("cannot write the file to edit")?;
    let editor =
        ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "vi".to_owned());
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(file.path()).status();
    if !status.with_context(|| format!("cannot run {editor}"))?.success() {
        bail!("{editor} ended with a failure; nothing was changed");
    }
    let after = std::fs::read_to_string(file.path()).context("cannot read what was edited")?;
    if after == before {
        print::line("Edit cancelled, no changes made.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let edited: Value =
        yaml::parse_all(&after).context("what was edited is not YAML")?.into_iter().next().unwrap_or_default();
    if let Err(error) = api.update(&edited, "").await {
        let (_, kept) = file.keep().context("cannot keep what was edited")?;
        bail!("{error} (what you wrote is kept in {})", kept.display());
    }
    print::line(&format!("{} edited", print::kind_name(&row, &name)))?;
    Ok(ExitCode::SUCCESS)
}
