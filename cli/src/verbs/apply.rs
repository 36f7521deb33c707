//! `mainstay apply`: server-side, so that the server merges and knows who set what.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::dry_run::{DryRun, DryRunArgs};
use super::get::without_managed_fields;
use super::kinds;
use super::manifest::Files;
use super::output::Output;
use super::print::{self, Form};
use super::session::{Common, Session};
use crate::complaint::complaint;

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
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Kept for kubectl's sake, and to say what it says: apply is always server-side
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    server_side: Option<bool>,
    #[command(flatten)]
    output: Output,
}

/// Applies.
pub(crate) async fn run(args: ApplyArgs) -> Result<ExitCode> {
    if args.files.is_empty() {
        bail!("must specify what to apply: -f FILE");
    }
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    if dry_run == DryRun::Client && args.server_side == Some(true) {
        bail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    let session = args.common.session()?;
    let mut failed = false;
    for (_, object) in args.files.read("apply")? {
        // One object that is refused does not keep the others back.
        if let Err(error) = apply(&args, &session, &form, dry_run, object).await {
            eprintln!("{}", complaint(&error));
            failed = true;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn apply(args: &ApplyArgs, session: &Session, form: &Form, dry_run: DryRun, mut object: Value) -> Result<()> {
    let row = kinds::of_object(session, &object).await?;
    let name = name(&object)?;
    place(session, row.namespaced, &mut object)?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    // What the merge gives only the server can say, also if nothing is to be written.
    let api = session.api_in(&row, &namespace).manager(&args.field_manager).dry_run(dry_run != DryRun::No);
    let before = api.get_opt(&name).await?;
    let (mut after, created) =
        api.apply(&name, "", &object, args.force_conflicts).await.with_context(|| print::kind_name(&row, &name))?;
    if *form != (Form::Table { wide: false }) {
        without_managed_fields(&mut after);
        return print::objects(form, &[(row, after)], false);
    }
    let what = match &before {
        _ if args.server_side == Some(true) => "serverside-applied",
        _ if created => "created",
        Some(before) if same(before, &after, dry_run) => "unchanged",
        _ => "configured",
    };
    print::line(&format!("{} {what}{}", print::kind_name(&row, &name), dry_run.note()))
}

/// Whether nothing has changed. A dry run gives no new version, so that the objects themselves have to be compared.
pub(super) fn same(before: &Value, after: &Value, dry_run: DryRun) -> bool {
    if dry_run == DryRun::No {
        return before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"];
    }
    let (mut before, mut after) = (before.clone(), after.clone());
    without_managed_fields(&mut before);
    without_managed_fields(&mut after);
    before == after
}

fn name(object: &Value) -> Result<String> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    match (text("name"), text("generateName")) {
        ("", "") => bail!("resource name may not be empty: metadata.name is missing"),
        ("", prefix) => bail!("from {prefix}: cannot use generate name with apply"),
        (name, _) => Ok(name.to_owned()),
    }
}

/// A namespaced object without namespace goes to the session's.
///
/// # Errors
/// It has one, and another was asked for.
pub(super) fn place(session: &Session, namespaced: bool, object: &mut Value) -> Result<()> {
    if namespaced { put(&session.namespace, session.namespace_given, object) } else { Ok(()) }
}

fn put(namespace: &str, given: bool, object: &mut Value) -> Result<()> {
    if !(object["metadata"].is_object() || object["metadata"].is_null()) {
        bail!("error validating data: metadata is no object");
    }
    match object["metadata"]["namespace"].as_str().filter(|own| !own.is_empty()) {
        None => object["metadata"]["namespace"] = namespace.into(),
        Some(own) if given && own != namespace => bail!(
            "the namespace from the provided object {own:?} does not match the namespace {namespace:?}. \
             You must pass '--namespace={own}' to perform this operation."
        ),
        Some(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dry_run_is_judged_by_what_would_be_there() {
        let of = |version: &str, data: &str| json!({"metadata": {"resourceVersion": version}, "data": data});
        assert!(same(&of("1", "a"), &of("1", "b"), DryRun::No));
        assert!(!same(&of("1", "a"), &of("1", "b"), DryRun::Server));
        assert!(same(&of("1", "a"), &of("1", "a"), DryRun::Client));
    }

    #[test]
    fn an_object_is_put_where_it_says_or_else_where_the_session_is() {
        let placed = |given: bool, mut object: Value| put("s", given, &mut object).map(|()| object);
        let of = |namespace: &str| json!({"metadata": {"namespace": namespace}});
        assert_eq!(placed(false, json!({})).unwrap(), of("s"));
        assert_eq!(placed(true, of("")).unwrap(), of("s"));
        assert_eq!(placed(false, of("t")).unwrap(), of("t"));
        let told = placed(true, of("t")).unwrap_err().to_string();
        assert!(told.starts_with("the namespace from the provided object \"t\" does not match"), "{told}");
        assert!(placed(false, json!({"metadata": "a"})).is_err());
    }

    #[test]
    fn only_what_has_a_name_is_applied() {
        assert_eq!(name(&json!({"metadata": {"name": "a"}})).unwrap(), "a");
        let told = name(&json!({"metadata": {"generateName": "a-"}})).unwrap_err().to_string();
        assert_eq!(told, "from a-: cannot use generate name with apply");
        assert!(name(&json!({})).is_err());
    }
}
