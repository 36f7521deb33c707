//! `mainstay patch`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mainstay_api::yaml::{self, Duplicates};
use mainstay_client::Patch;
use serde_json::Value;

use super::output::Output;
use super::print::{self, Form};
use super::selection;
use super::session::Common;

/// `mainstay patch`
#[derive(Args)]
pub(crate) struct PatchArgs {
    #[command(flatten)]
    common: Common,
    /// What: deployment/web
    #[arg(required = true, value_name = "TYPE NAME")]
    what: Vec<String>,
    /// The patch, JSON or YAML
    #[arg(long, short = 'p', required_unless_present = "patch_file", value_name = "PATCH")]
    patch: Option<String>,
    /// File with the patch
    #[arg(long, conflicts_with = "patch", value_name = "FILE")]
    patch_file: Option<PathBuf>,
    /// How the patch is meant
    #[arg(long = "type", value_enum, default_value_t = How::Strategic)]
    how: How,
    /// Patch this subresource: status or scale
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    subresource: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    /// Kubernetes' strategic merge
    Strategic,
    /// RFC 7386
    Merge,
    /// RFC 6902
    Json,
}

impl How {
    fn patch(self, body: Value) -> Patch {
        match self {
            How::Strategic => Patch::Strategic(body),
            How::Merge => Patch::Merge(body),
            How::Json => Patch::Json(body),
        }
    }
}

/// Patches.
pub(crate) async fn run(args: PatchArgs) -> Result<ExitCode> {
    let patch = args.how.patch(body(&args)?);
    let form = args.output.form()?;
    let session = args.common.session()?;
    for (row, name) in selection::named(&session, &args.what).await? {
        let api = session.api(&row);
        let before = api.get(&name, "").await?;
        let after = api.patch(&name, &args.subresource, &patch).await?;
        if form != (Form::Table { wide: false }) {
            print::objects(&form, &[(row, after)], false)?;
            continue;
        }
        let changed = before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"];
        let done = if changed { "patched" } else { "patched (no change)" };
        print::line(&format!("{} {done}", print::kind_name(&row, &name)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn body(args: &PatchArgs) -> Result<Value> {
    let text = match (&args.patch, &args.patch_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        (None, None) => bail!("must specify --patch or --patch-file containing the contents of the patch"),
    };
    yaml::parse(&text, Duplicates::Refuse).with_context(|| format!("unable to parse {text:?}"))
}
