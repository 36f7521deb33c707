//! `mainstay replace`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::{DeleteOptions, DynamicApi, Propagation};
use serde_json::Value;

use super::apply::place;
use super::dry_run::{DryRun, DryRunArgs};
use super::get::without_managed_fields;
use super::manifest::Files;
use super::output::Output;
use super::print::{self, Form};
use super::session::{Common, Session};
use super::{delete, kinds};
use crate::complaint::complaint;

const POLL: Duration = Duration::from_millis(100);
/// An object that is to be made anew may take this long to go.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// `mainstay replace`
#[derive(Args)]
pub(crate) struct ReplaceArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    files: Files,
    /// Delete the objects and make them again
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    output: Output,
}

/// Replaces.
pub(crate) async fn run(args: ReplaceArgs) -> Result<ExitCode> {
    if args.files.is_empty() {
        bail!("must specify what to replace: -f FILE");
    }
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    if args.force && dry_run != DryRun::No {
        bail!("--dry-run can not be used when --force is set");
    }
    let session = args.common.session()?;
    let mut failed = false;
    for (place, object) in args.files.read("replace")? {
        // One object that is refused does not keep the others back.
        let outcome = replace(&args, &session, &form, dry_run, object).await;
        if let Err(error) = outcome.with_context(|| format!("error when replacing {place:?}")) {
            eprintln!("{}", complaint(&error));
            failed = true;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn replace(args: &ReplaceArgs, session: &Session, form: &Form, dry_run: DryRun, mut object: Value) -> Result<()> {
    let row = kinds::of_object(session, &object).await?;
    place(session, row.namespaced, &mut object)?;
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (text("name"), text("namespace"));
    if name.is_empty() {
        bail!("resource name may not be empty");
    }
    let api = session.api_in(&row, &namespace).manager("mainstay-replace").field_validation("Strict");
    let api = api.dry_run(dry_run != DryRun::No);
    let mut made = if args.force {
        unversioned(&mut object);
        check_valid(&api, &object).await?;
        delete_first(&api, &row, &namespace, &name).await?;
        api.create(&object).await?
    } else {
        if object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty) {
            object["metadata"]["resourceVersion"] = api.get(&name, "").await?["metadata"]["resourceVersion"].take();
        }
        api.update(&object, "").await?
    };
    if *form != (Form::Table { wide: false }) {
        without_managed_fields(&mut made);
        return print::objects(form, &[(row, made)], false);
    }
    print::line(&format!("{} replaced{}", print::kind_name(&row, &name), dry_run.note()))
}

/// Refuses what the server would not take once the old object is gone, while it is still there.
async fn check_valid(api: &DynamicApi, object: &Value) -> Result<()> {
    match api.clone().dry_run(true).create(object).await {
        Err(error) if error.reason() == "BadRequest" => Err(error.into()),
        Err(error) if error.reason() == "Invalid" && !holds_what_is_asked(&error.to_string()) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The old object has the address or port that the new one asks for, and gives it back when it goes.
fn holds_what_is_asked(refusal: &str) -> bool {
    refusal.contains("is already allocated")
}

/// Returns once the object is gone, also if it was not there.
async fn delete_first(api: &DynamicApi, row: &Resource, namespace: &str, name: &str) -> Result<()> {
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    match api.delete(name, &options).await {
        Ok(_) => print::line(&delete::said(row, namespace, name, "", ""))?,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let deadline = Instant::now() + PATIENCE;
    while api.get_opt(name).await?.is_some() {
        if Instant::now() > deadline {
            bail!("timed out waiting for the condition on {}/{name}", row.resource);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The server makes no object that says which version of itself it is, and the old one is gone by then.
fn unversioned(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_made_again_has_no_version() {
        let mut object = json!({"metadata": {"name": "a", "resourceVersion": "7"}});
        unversioned(&mut object);
        assert_eq!(object, json!({"metadata": {"name": "a"}}));
    }
}
