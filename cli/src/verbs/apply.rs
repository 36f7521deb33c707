//! `mainstay apply`: server-side, so that the server merges and knows who set what.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::kinds;
use super::manifest::Files;
use super::output::Output;
use super::print::{self, Form};
use super::session::{Common, Session};

/// `mainstay apply`
#[derive(Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    files: Files,
    /// Take fields over from other managers
    #[arg(long)]
    force_conflicts: bool,
    /// Who the fields belong to
    #[arg(long, default_value = "mainstay", value_name = "NAME")]
    field_manager: String,
    /// Only say what would be done: none or server
    #[arg(long, default_value = "none", value_name = "HOW")]
    dry_run: String,
    /// Kept for kubectl's sake: apply is always server-side
    #[arg(long, hide = true)]
    server_side: bool,
    #[command(flatten)]
    output: Output,
}

/// Applies.
pub(crate) async fn run(args: ApplyArgs) -> Result<ExitCode> {
    if args.files.is_empty() {
        bail!("say what to apply: -f FILE");
    }
    let form = args.output.form()?;
    let session = args.common.session()?;
    let mut failed = false;
    for object in args.files.read()? {
        // One object that is refused does not keep the others back.
        if let Err(error) = apply(&args, &session, &form, object).await {
            eprintln!("error: {error:#}");
            failed = true;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn apply(args: &ApplyArgs, session: &Session, form: &Form, mut object: Value) -> Result<()> {
    let row = kinds::of_object(session, &object).await?;
    let name = object["metadata"]["name"].as_str().context("an object without metadata.name")?.to_owned();
    place(session, row.namespaced, &mut object);
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let dry_run = args.dry_run == "server";
    let api = session.api_in(&row, &namespace).manager(&args.field_manager).dry_run(dry_run);
    let before = api.get_opt(&name).await?.map(|found| found["metadata"]["resourceVersion"].clone());
    let (after, created) =
        api.apply(&name, "", &object, args.force_conflicts).await.with_context(|| print::kind_name(&row, &name))?;
    if *form != (Form::Table { wide: false }) {
        return print::objects(form, &[(row, after)], false);
    }
    let what = match before {
        _ if created => "created",
        Some(version) if version == after["metadata"]["resourceVersion"] => "unchanged",
        _ => "configured",
    };
    let note = if dry_run { " (server dry run)" } else { "" };
    print::line(&format!("{} {what}{note}", print::kind_name(&row, &name)))
}

/// A namespaced object without namespace goes to the session's.
pub(super) fn place(session: &Session, namespaced: bool, object: &mut Value) {
    if namespaced && object["metadata"]["namespace"].as_str().is_none_or(str::is_empty) {
        object["metadata"]["namespace"] = session.namespace.clone().into();
    }
}
