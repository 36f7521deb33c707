//! `mainstay patch`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mainstay_api::resource::{self, Resource};
use mainstay_api::yaml::{self, Duplicates};
use mainstay_client::Patch;
use serde_json::Value;

use super::apply::same;
use super::dry_run::{DryRun, DryRunArgs};
use super::get::without_managed_fields;
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
    dry_run: DryRunArgs,
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
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    let session = args.common.session()?;
    for (row, name) in selection::named(&session, &args.what).await? {
        // What the merge gives only the server can say, also if nothing is to be written.
        let api = session.api(&row).manager("mainstay-patch").dry_run(dry_run != DryRun::No);
        let before = api.get(&name, "").await?;
        let mut after = api.patch(&name, &args.subresource, &patch).await?;
        if form != (Form::Table { wide: false }) {
            without_managed_fields(&mut after);
            print::objects(&form, &[(row, after)], false)?;
            continue;
        }
        let done = if same(&before, &after, dry_run) { "patched (no change)" } else { "patched" };
        print::line(&format!("{} {done}{}", subject(&row, &name, &after), dry_run.note()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the server answered with: of some subresources that is another kind.
fn subject(row: &Resource, name: &str, answer: &Value) -> String {
    let text = |field: &str| answer[field].as_str().unwrap_or_default();
    if text("kind") == row.kind || text("kind").is_empty() {
        return print::kind_name(row, name);
    }
    let kind = text("kind").to_lowercase();
    match resource::split_api_version(text("apiVersion")) {
        ("", _) => format!("{kind}/{name}"),
        (group, _) => format!("{kind}.{group}/{name}"),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subresource_may_be_of_another_kind() {
        let row = resource::find("apps", "v1", "deployments").unwrap();
        let of = |api_version: &str, kind: &str| subject(row, "web", &json!({"apiVersion": api_version, "kind": kind}));
        assert_eq!(of("autoscaling/v1", "Scale"), "scale.autoscaling/web");
        assert_eq!(of("apps/v1", "Deployment"), "deployment.apps/web");
    }
}
