//! `mainstay delete`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::{DeleteOptions, DynamicApi, ListParams, Propagation};

use super::kinds;
use super::manifest::Files;
use super::print;
use super::selection::{self, Selected};
use super::session::{Common, Session};

const POLL: Duration = Duration::from_millis(100);

/// `mainstay delete`
#[derive(Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    common: Common,
    /// What: deployment/web, pod a b, or a type with --all or -l
    #[arg(value_name = "TYPE [NAME…]")]
    what: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Only with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
    /// All objects of the type in the namespace
    #[arg(long)]
    all: bool,
    /// Seconds that pods get to end
    #[arg(long, default_value_t = -1, hide_default_value = true, allow_negative_numbers = true, value_name = "SECONDS")]
    grace_period: i64,
    /// With --grace-period=0: forget the object at once
    #[arg(long)]
    force: bool,
    /// As --grace-period=1
    #[arg(long)]
    now: bool,
    /// What becomes of owned objects: background, foreground or orphan
    #[arg(long, default_value = "background", value_name = "HOW")]
    cascade: String,
    /// Do not fail when an object is missing
    #[arg(long)]
    ignore_not_found: bool,
    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: bool,
    /// Wait no longer than this, in seconds; 0 for as long as it takes
    #[arg(long, default_value = "0", value_parser = super::wait::seconds, value_name = "TIME")]
    timeout: u64,
}

/// An object that was deleted and may still be there.
struct Going {
    api: DynamicApi,
    row: Resource,
    name: String,
    uid: String,
}

/// Deletes.
pub(crate) async fn run(args: DeleteArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let options = args.options()?;
    let mut going = Vec::new();
    let mut failed = false;
    for (row, api, name) in targets(&args, &session).await? {
        match api.delete(&name, &options).await {
            Ok(last) => {
                let forced = if args.force { " force" } else { "" };
                print::line(&format!("{} \"{name}\"{forced} deleted", kind(&row)))?;
                let uid = last["metadata"]["uid"]
                    .as_str()
                    .or_else(|| last["details"]["uid"].as_str())
                    .unwrap_or_default()
                    .to_owned();
                going.push(Going { api, row, name, uid });
            }
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error) => {
                eprintln!("error: {error}");
                failed = true;
            }
        }
    }
    if args.wait && !args.force {
        gone(&going, args.timeout).await?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn kind(row: &Resource) -> String {
    if row.group.is_empty() { row.singular.clone() } else { format!("{}.{}", row.singular, row.group) }
}

impl DeleteArgs {
    fn options(&self) -> Result<DeleteOptions> {
        let propagation = match self.cascade.as_str() {
            "background" | "true" => Propagation::Background,
            "foreground" => Propagation::Foreground,
            "orphan" | "false" => Propagation::Orphan,
            other => bail!("--cascade={other}: there are background, foreground and orphan"),
        };
        let grace = match (self.force, self.now, self.grace_period) {
            (true, _, 0 | -1) => Some(0),
            (_, true, _) => Some(1),
            (_, _, seconds) if seconds >= 0 => Some(seconds),
            _ => None,
        };
        Ok(DeleteOptions { grace_seconds: grace, propagation: Some(propagation), ..DeleteOptions::default() })
    }
}

async fn targets(args: &DeleteArgs, session: &Session) -> Result<Vec<(Resource, DynamicApi, String)>> {
    let mut targets = Vec::new();
    if !args.files.is_empty() {
        for object in args.files.read()? {
            let row = kinds::of_object(session, &object).await?;
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            targets.push((row.clone(), session.api_in(&row, text("namespace")), text("name").to_owned()));
        }
        return Ok(targets);
    }
    for Selected { row, names } in selection::parse(session, &args.what).await? {
        let api = session.api(&row);
        let names = if names.is_empty() { every(args, &api, &row).await? } else { names };
        targets.extend(names.into_iter().map(|name| (row.clone(), api.clone(), name)));
    }
    Ok(targets)
}

async fn every(args: &DeleteArgs, api: &DynamicApi, row: &Resource) -> Result<Vec<String>> {
    if !args.all && args.selector.is_empty() {
        bail!("say which {}: names, -l LABELS, or --all", row.resource);
    }
    let list = api.list(&ListParams::labels(args.selector.clone())).await?;
    Ok(list.items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect())
}

/// Returns once the objects, not others of the same names, are gone.
async fn gone(going: &[Going], timeout: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(timeout);
    for Going { api, row, name, uid } in going {
        while let Some(found) = api.get_opt(name).await? {
            if !uid.is_empty() && found["metadata"]["uid"] != uid.as_str() {
                break;
            }
            if timeout > 0 && Instant::now() > deadline {
                bail!("{} is still there after {timeout} s", print::kind_name(row, name));
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}
