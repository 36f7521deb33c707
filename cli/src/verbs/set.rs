//! `mainstay label` and `mainstay annotate`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::{DynamicApi, Patch};
use serde_json::{Value, json};

use super::changes::{Changes, Field};
use super::dry_run::{DryRun, DryRunArgs};
use super::get::without_managed_fields;
use super::output::Output;
use super::print::{self, Form};
use super::selection::{self, Selected, Unnamed};
use super::session::{Common, Session};

/// `mainstay label` and `mainstay annotate`
#[derive(Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    common: Common,
    /// What, and then KEY=VALUE to set or KEY- to remove
    #[arg(required = true, value_name = "TYPE NAME KEY=VALUE…")]
    words: Vec<String>,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    unnamed: Unnamed,
    /// List what is set
    #[arg(long)]
    list: bool,
    /// Only if this is the object's version
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    output: Output,
}

/// One object, as it is.
struct Found {
    row: Resource,
    api: DynamicApi,
    object: Value,
}

/// Sets members of the object's metadata.
pub(crate) async fn run(args: SetArgs, field: Field) -> Result<ExitCode> {
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    let (what, changes) = Changes::parse(&args.words, field)?;
    if changes.is_empty() && !args.list {
        bail!("at least one {} update is required", field.word());
    }
    if what.is_empty() {
        bail!("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    args.unnamed.check("cannot set --all and --selector at the same time")?;
    let session = args.common.session()?;
    let found = found(&args, &session, &what, field).await?;
    if args.resource_version.is_some() && found.len() != 1 {
        bail!("--resource-version may only be used with a single resource");
    }
    for found in found {
        if args.list {
            list(&found.object["metadata"][field.member()])?;
            continue;
        }
        let (after, done) = set(&args, &found, &changes, field, dry_run).await?;
        let name = found.object["metadata"]["name"].as_str().unwrap_or_default();
        if form == (Form::Table { wide: false }) {
            print::line(&format!("{} {done}{}", print::kind_name(&found.row, name), dry_run.note()))?;
        } else {
            print::objects(&form, &[(found.row.clone(), after)], false)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn found(args: &SetArgs, session: &Session, what: &[String], field: Field) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for Selected { row, names } in selection::parse(session, what).await? {
        let api = session.api(&row).manager(field.manager());
        let missing = "resource(s) were provided, but no name was specified: give names, -l LABELS, or --all";
        let objects = args.unnamed.or_named(&api, &names, missing).await?;
        found.extend(objects.into_iter().map(|object| Found { row: row.clone(), api: api.clone(), object }));
    }
    Ok(found)
}

fn list(members: &Value) -> Result<()> {
    let mut pairs = members.as_object().into_iter().flatten();
    pairs.try_for_each(|(key, value)| print::line(&format!("{key}={}", value.as_str().unwrap_or_default())))
}

/// The object as it is then, and what is said of it.
async fn set(
    args: &SetArgs,
    found: &Found,
    changes: &Changes,
    field: Field,
    dry_run: DryRun,
) -> Result<(Value, &'static str)> {
    let metadata = &found.object["metadata"];
    let before = metadata[field.member()].as_object().cloned().unwrap_or_default();
    if !args.overwrite {
        changes.check(&before, field)?;
    }
    for missing in changes.removed.iter().filter(|key| !before.contains_key(key.as_str())) {
        if field == Field::Labels && dry_run != DryRun::Client {
            print::line(&format!("label {missing:?} not found."))?;
        }
    }
    let wanted = changes.applied(&before);
    let done = field.done(&before, &wanted, args.overwrite);
    let mut after = found.object.clone();
    if dry_run == DryRun::Client {
        after["metadata"][field.member()] = wanted.into();
    } else {
        let mut patch = json!({"metadata": {field.member(): changes.patch()}});
        if let Some(version) = &args.resource_version {
            patch["metadata"]["resourceVersion"] = json!(version);
        }
        let api = found.api.clone().dry_run(dry_run == DryRun::Server);
        after = api.patch(metadata["name"].as_str().unwrap_or_default(), "", &Patch::Merge(patch)).await?;
    }
    without_managed_fields(&mut after);
    Ok((after, done))
}
