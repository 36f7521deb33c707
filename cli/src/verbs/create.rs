//! `mainstay create`: from files, or from a few words.

mod data;
mod rbac;
mod service;
mod token;
mod what;
mod workload;

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::apply::place;
use super::dry_run::{DryRun, DryRunArgs};
use super::get::without_managed_fields;
use super::kinds;
use super::manifest::Files;
use super::output::Output;
use super::print::{self, Form};
use super::session::{Common, Session};
use crate::complaint::complaint;
use what::What;

/// `mainstay create`
#[derive(Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// What becomes of fields that a kind does not have: strict refuses the object, warn tells of them, ignore does not
    #[arg(
        long,
        global = true,
        default_value = "strict",
        default_missing_value = "strict",
        num_args = 0..=1,
        require_equals = true,
        value_name = "HOW"
    )]
    validate: String,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    what: Option<What>,
}

/// How objects are made.
struct Maker<'s> {
    session: &'s Session,
    form: Form,
    dry_run: DryRun,
    validation: &'static str,
}

/// Creates.
pub(crate) async fn run(args: CreateArgs) -> Result<ExitCode> {
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    let validation = validation(&args.validate)?;
    if args.what.is_none() && args.files.is_empty() {
        bail!("must specify -f FILE, or what to create: `mainstay create --help` lists it");
    }
    let session = args.common.session()?;
    let maker = Maker { session: &session, form, dry_run, validation };
    match &args.what {
        Some(What::Token(_)) if dry_run != DryRun::No => bail!("a token cannot be made in a dry run"),
        Some(What::Token(token)) => token.print(&session).await?,
        Some(what) => maker.generated(what).await?,
        None => return maker.make_all(args.files.read("create")?).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes what the words of another verb describe.
pub(super) async fn described(session: &Session, form: Form, dry_run: DryRun, object: Value) -> Result<()> {
    let placed = dry_run != DryRun::Client || session.namespace_given;
    Maker { session, form, dry_run, validation: "Strict" }.make(object, placed).await
}

/// The server's word for what `--validate` says.
fn validation(word: &str) -> Result<&'static str> {
    match word {
        "strict" | "true" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" | "false" => Ok("Ignore"),
        other => {
            bail!("invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)")
        }
    }
}

impl Maker<'_> {
    /// One object that is refused does not keep the others back.
    async fn make_all(&self, objects: Vec<(String, Value)>) -> Result<ExitCode> {
        let mut failed = false;
        for (place, object) in objects {
            let made = self.make(object, true).await.with_context(|| format!("error when creating {place:?}"));
            if let Err(error) = made {
                eprintln!("{}", complaint(&error));
                failed = true;
            }
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Makes what the words describe. As with kubectl, what only the client sees has no namespace that was not asked for.
    async fn generated(&self, what: &What) -> Result<()> {
        let object = what.object(self.session).await?;
        let placed = self.dry_run != DryRun::Client || self.session.namespace_given;
        let made = self.make(object, placed).await;
        match (made, what.failure()) {
            (Err(error), Some(failure)) => Err(anyhow!("failed to create {failure} {error:#}")),
            (made, _) => made,
        }
    }

    async fn make(&self, mut object: Value, placed: bool) -> Result<()> {
        let row = kinds::of_object(self.session, &object).await?;
        if placed {
            place(self.session, row.namespaced, &mut object)?;
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let mut made = if self.dry_run == DryRun::Client {
            object
        } else {
            let api = self.session.api_in(&row, &namespace).manager("mainstay-create");
            api.field_validation(self.validation).dry_run(self.dry_run == DryRun::Server).create(&object).await?
        };
        if self.form != (Form::Table { wide: false }) {
            without_managed_fields(&mut made);
            return print::objects(&self.form, &[(row, made)], false);
        }
        let name = made["metadata"]["name"].as_str().unwrap_or_default();
        print::line(&format!("{} created{}", print::kind_name(&row, name), self.dry_run.note()))
    }
}
