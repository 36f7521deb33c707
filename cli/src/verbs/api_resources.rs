//! `mainstay api-resources`, from the tables in the binary and the cluster's custom resources.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use mainstay_api::resource::{self, Resource};

use super::kinds;
use super::print;
use super::session::Common;
use super::table::align;

/// The last two only if asked for.
const COLUMNS: [&str; 7] = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"];

/// `mainstay api-resources`
#[derive(Args)]
pub(crate) struct ApiResourcesArgs {
    #[command(flatten)]
    common: Common,
    /// No header line
    #[arg(long)]
    no_headers: bool,
    /// Only of this group; empty for core
    #[arg(long)]
    api_group: Option<String>,
    /// Only namespaced ones, or only others
    #[arg(long)]
    namespaced: Option<bool>,
    /// Only with all of these verbs
    #[arg(long, value_delimiter = ',')]
    verbs: Vec<String>,
    /// Only in all of these categories
    #[arg(long, value_delimiter = ',')]
    categories: Vec<String>,
    /// name or wide
    #[arg(long, short = 'o', default_value = "", hide_default_value = true)]
    output: String,
}

/// Lists the kinds that are served.
pub(crate) async fn api_resources(args: ApiResourcesArgs) -> Result<ExitCode> {
    if !matches!(args.output.as_str(), "" | "name" | "wide") {
        bail!("--output {} is not available", args.output);
    }
    let session = args.common.session()?;
    let mut rows = resource::builtin().to_vec();
    rows.extend(kinds::custom(&session).await?);
    // The first version of a kind is the preferred one, and alone listed.
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert((row.group.clone(), row.resource.clone())));
    rows.retain(|row| args.wants(row));
    rows.sort_by(|a, b| (&a.group, &a.resource).cmp(&(&b.group, &b.resource)));
    let mut grid: Vec<Vec<String>> = Vec::new();
    if !args.no_headers && args.output != "name" {
        let columns = if args.output == "wide" { COLUMNS.len() } else { COLUMNS.len() - 2 };
        grid.push(COLUMNS[..columns].iter().map(|title| (*title).to_owned()).collect());
    }
    grid.extend(rows.into_iter().map(|row| line(row, &args.output)));
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    Ok(ExitCode::SUCCESS)
}

impl ApiResourcesArgs {
    fn wants(&self, row: &Resource) -> bool {
        self.api_group.as_ref().is_none_or(|group| row.group == *group)
            && self.namespaced.is_none_or(|namespaced| row.namespaced == namespaced)
            && self.verbs.iter().all(|verb| row.verbs.contains(verb))
            && self.categories.iter().all(|category| row.categories.contains(category))
    }
}

fn line(row: Resource, output: &str) -> Vec<String> {
    if output == "name" {
        return vec![if row.group.is_empty() { row.resource } else { format!("{}.{}", row.resource, row.group) }];
    }
    let (short, version) = (row.short_names.join(","), row.api_version());
    let mut line = vec![row.resource, short, version, row.namespaced.to_string(), row.kind];
    if output == "wide" {
        line.extend([row.verbs.join(","), row.categories.join(",")]);
    }
    line
}
