//! `mainstay delete`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_api::selector::LabelSelector;
use mainstay_client::{DeleteOptions, DynamicApi, ListParams, Propagation};
use serde_json::Value;

use super::apply;
use super::dry_run::{DryRun, DryRunArgs};
use super::kinds;
use super::manifest::Files;
use super::print;
use super::selection::{self, Selected};
use super::session::{Common, Session};
use crate::complaint::complaint;

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
    /// Only with these field values
    #[arg(long, default_value = "", hide_default_value = true)]
    field_selector: String,
    /// All objects of the type in the namespace
    #[arg(long)]
    all: bool,
    /// In all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// name: only say which objects
    #[arg(long, short = 'o', default_value = "", hide_default_value = true, value_name = "FORM")]
    output: String,
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

/// An object to delete.
struct Target {
    row: Resource,
    api: DynamicApi,
    namespace: String,
    name: String,
    /// The file that named it.
    place: Option<String>,
}

/// Deletes.
pub(crate) async fn run(args: DeleteArgs) -> Result<ExitCode> {
    let (options, dry_run) = (args.options()?, args.dry_run.how()?);
    args.check()?;
    let session = args.common.session()?;
    if args.force && options.grace_seconds == Some(0) {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
             terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    let (mut going, mut failed) = (Vec::new(), false);
    let targets = targets(&args, &session).await?;
    if targets.is_empty() {
        print::line("No resources found")?;
    }
    for target in targets {
        match target.delete(&args, &options, dry_run).await {
            Ok(Some(uid)) => going.push(Going { api: target.api, row: target.row, name: target.name, uid }),
            Ok(None) => {}
            Err(error) => {
                eprintln!("{}", complaint(&error));
                failed = true;
            }
        }
    }
    if args.wait && !args.force {
        gone(&going, args.timeout).await?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Target {
    /// Deletes it and says so. Returns the uid of what is going, which may be unknown; nothing if nothing is.
    async fn delete(&self, args: &DeleteArgs, options: &DeleteOptions, dry_run: DryRun) -> Result<Option<String>> {
        let mut uid = None;
        let outcome = match dry_run {
            DryRun::Client => self.api.get(&self.name, "").await,
            _ => self.api.delete(&self.name, options).await,
        };
        match outcome {
            Ok(_) if dry_run != DryRun::No => {}
            Ok(last) => {
                let known = last["metadata"]["uid"].as_str().or_else(|| last["details"]["uid"].as_str());
                uid = Some(known.unwrap_or_default().to_owned());
            }
            Err(error) if error.is_not_found() && (args.ignore_not_found || args.selects()) => return Ok(None),
            Err(error) => {
                let error = anyhow::Error::from(error);
                return Err(match &self.place {
                    Some(place) => error.context(format!("error when deleting {place:?}")),
                    None => error,
                });
            }
        }
        if args.output == "name" {
            print::line(&print::kind_name(&self.row, &self.name))?;
            return Ok(uid);
        }
        let forced = if args.force && options.grace_seconds == Some(0) { " force" } else { "" };
        print::line(&said(&self.row, &self.namespace, &self.name, forced, dry_run.note()))?;
        Ok(uid)
    }
}

/// What is said of an object that was deleted.
pub(super) fn said(row: &Resource, namespace: &str, name: &str, forced: &str, note: &str) -> String {
    let from = if row.namespaced { format!(" from {namespace} namespace") } else { String::new() };
    format!("{} \"{name}\"{forced} deleted{from}{note}", kind(row))
}

fn kind(row: &Resource) -> String {
    if row.group.is_empty() { row.singular.clone() } else { format!("{}.{}", row.singular, row.group) }
}

impl DeleteArgs {
    /// What goes with what.
    fn check(&self) -> Result<()> {
        let selecting = self.selects();
        if self.now && self.grace_period != -1 {
            bail!("--now and --grace-period cannot be specified together");
        }
        if self.force && self.grace().is_some_and(|seconds| seconds > 0) {
            bail!("--force and --grace-period greater than 0 cannot be specified together");
        }
        if !matches!(self.output.as_str(), "" | "name") {
            bail!("unexpected -o output mode: {}. We only support '-o name'", self.output);
        }
        if self.all && !(self.selector.is_empty() && self.field_selector.is_empty()) {
            bail!("setting 'all' parameter but found a non empty selector.");
        }
        if !self.what.is_empty() && !self.files.is_empty() {
            bail!("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
        }
        let named = self.what.len() > 1 || self.what.iter().any(|word| word.contains('/'));
        if selecting && named {
            bail!("name cannot be provided when a selector is specified");
        }
        if !named && self.files.is_empty() && !self.what.is_empty() && !selecting {
            bail!("resource(s) were provided, but no name was specified: give names, -l LABELS, or --all");
        }
        if self.what.is_empty() && self.files.is_empty() {
            bail!("You must provide one or more resources by argument or filename.");
        }
        Ok(())
    }

    /// Whether the objects are chosen by something other than their names. Those that are gone by then are no failure.
    fn selects(&self) -> bool {
        self.all || !self.selector.is_empty() || !self.field_selector.is_empty()
    }

    fn options(&self) -> Result<DeleteOptions> {
        let propagation = match self.cascade.as_str() {
            "background" | "true" => Propagation::Background,
            "foreground" => Propagation::Foreground,
            "orphan" | "false" => Propagation::Orphan,
            other => bail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""),
        };
        let dry_run = self.dry_run.how()? == DryRun::Server;
        let grace_seconds = self.grace();
        Ok(DeleteOptions { grace_seconds, propagation: Some(propagation), dry_run, ..DeleteOptions::default() })
    }

    /// No pod is forgotten at once that was not to be so by force.
    fn grace(&self) -> Option<i64> {
        match (self.force, self.now, self.grace_period) {
            (_, true, _) | (false, _, 0) => Some(1),
            (true, _, 0 | -1) => Some(0),
            (_, _, seconds) if seconds >= 0 => Some(seconds),
            _ => None,
        }
    }
}

async fn targets(args: &DeleteArgs, session: &Session) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    if !args.files.is_empty() {
        let wanted = LabelSelector::parse(&args.selector)?;
        for (place, mut object) in args.files.read("delete")? {
            if !wanted.matches_object(&object) {
                continue;
            }
            let row = kinds::of_object(session, &object).await?;
            apply::place(session, row.namespaced, &mut object)?;
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            if name.is_empty() {
                bail!("error when deleting {place:?}: resource name may not be empty");
            }
            targets.push(Target { api: session.api_in(&row, &namespace), row, namespace, name, place: Some(place) });
        }
        return Ok(targets);
    }
    for Selected { row, names } in selection::parse(session, &args.what).await? {
        if names.is_empty() {
            targets.extend(every(args, session, &row).await?);
        } else if args.all_namespaces && row.namespaced {
            bail!("a resource cannot be retrieved by name across all namespaces");
        }
        targets.extend(names.into_iter().map(|name| Target {
            row: row.clone(),
            api: session.api(&row),
            namespace: session.namespace.clone(),
            name,
            place: None,
        }));
    }
    Ok(targets)
}

async fn every(args: &DeleteArgs, session: &Session, row: &Resource) -> Result<Vec<Target>> {
    let api = if args.all_namespaces { session.everywhere(row) } else { session.api(row) };
    let params =
        ListParams { labels: args.selector.clone(), fields: args.field_selector.clone(), ..ListParams::default() };
    let target = |item: &Value| {
        let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        Target { row: row.clone(), api: session.api_in(row, &namespace), namespace, name, place: None }
    };
    Ok(api.list(&params).await?.items.iter().map(target).collect())
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
                bail!("timed out waiting for the condition on {}/{name}", row.resource);
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use mainstay_api::resource;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        delete: DeleteArgs,
    }

    fn args(words: &str) -> DeleteArgs {
        Words::try_parse_from(["delete"].into_iter().chain(words.split(' '))).unwrap().delete
    }

    #[test]
    fn only_force_forgets_a_pod_at_once() {
        let grace = |words: &str| args(words).grace();
        assert_eq!(grace("pod a"), None);
        assert_eq!(grace("pod a --grace-period=0"), Some(1));
        assert_eq!(grace("pod a --now"), Some(1));
        assert_eq!(grace("pod a --force"), Some(0));
        assert_eq!(grace("pod a --force --grace-period=0"), Some(0));
        assert_eq!(grace("pod a --grace-period=5"), Some(5));
    }

    #[test]
    fn what_does_not_fit_deletes_nothing() {
        let told = |words: &str| args(words).check().unwrap_err().to_string();
        let forced = "--force and --grace-period greater than 0 cannot be specified together";
        assert_eq!(told("pod a --force --now"), forced);
        assert_eq!(told("pod a --force --grace-period=5"), forced);
        assert!(told("pod a -f a.yaml").starts_with("when paths, URLs, or stdin is provided as input"));
        assert!(told("pod").starts_with("resource(s) were provided, but no name was specified"));
        assert!(told("pods --all -l a=b").starts_with("setting 'all' parameter"));
        assert_eq!(told("pod a --all"), "name cannot be provided when a selector is specified");
        assert!(args("pod a --force").check().is_ok());
        assert!(args("pods --all").check().is_ok());
        assert!(args("pod a --dry-run=perhaps").dry_run.how().is_err());
        assert!(args("pod a --dry-run=server").options().unwrap().dry_run);
    }

    #[test]
    fn where_an_object_was_is_told() {
        let [deployments, nodes] =
            [("apps", "deployments"), ("", "nodes")].map(|(group, name)| resource::find(group, "v1", name).unwrap());
        assert_eq!(said(deployments, "t", "web", "", ""), "deployment.apps \"web\" deleted from t namespace");
        assert_eq!(said(nodes, "t", "a", " force", " (dry run)"), "node \"a\" force deleted (dry run)");
    }
}
