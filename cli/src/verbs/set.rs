//! `mainstay label` and `mainstay annotate`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use mainstay_client::{DynamicApi, ListParams, Patch};
use serde_json::{Map, Value, json};

use super::print;
use super::selection::{self, Selected};
use super::session::Common;

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
    /// All objects of the type in the namespace
    #[arg(long)]
    all: bool,
    /// Only with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
}

/// Sets members of `metadata.<field>`; `done` is what is said of it.
pub(crate) async fn run(args: SetArgs, field: &str, done: &str) -> Result<ExitCode> {
    let (changes, what): (Vec<String>, Vec<String>) = args.words.iter().cloned().partition(|word| is_change(word));
    if changes.is_empty() {
        bail!("say what to set: KEY=VALUE, or KEY- to remove");
    }
    let session = args.common.session()?;
    for Selected { row, names } in selection::parse(&session, &what).await? {
        let api = session.api(&row);
        let names = if names.is_empty() { matching(&args, &api).await? } else { names };
        for name in names {
            let found = api.get(&name, "").await?;
            let patch = patch(&args, &found["metadata"][field], &changes)?;
            api.patch(&name, "", &Patch::Merge(json!({"metadata": {field: patch}}))).await?;
            print::line(&format!("{} {done}", print::kind_name(&row, &name)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_change(word: &str) -> bool {
    word.contains('=') || (word.ends_with('-') && !word.contains("/-"))
}

async fn matching(args: &SetArgs, api: &DynamicApi) -> Result<Vec<String>> {
    if !args.all && args.selector.is_empty() {
        bail!("say which objects: names, -l LABELS, or --all");
    }
    let list = api.list(&ListParams::labels(args.selector.clone())).await?;
    Ok(list.items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect())
}

fn patch(args: &SetArgs, now: &Value, changes: &[String]) -> Result<Map<String, Value>> {
    let mut patch = Map::new();
    for change in changes {
        match change.split_once('=') {
            Some((key, value)) => {
                if now[key].is_string() && now[key] != value && !args.overwrite {
                    bail!(
                        "{key:?} already has a value ({}), and --overwrite is false",
                        now[key].as_str().unwrap_or_default()
                    );
                }
                patch.insert(key.to_owned(), value.into());
            }
            None => {
                patch.insert(change.trim_end_matches('-').to_owned(), Value::Null);
            }
        }
    }
    Ok(patch)
}
