//! `mainstay api-resources`, from the tables in the binary and the cluster's custom resources.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use mainstay_api::resource;

use super::kinds;
use super::print;
use super::session::Common;
use super::table::align;

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
    /// name or wide
    #[arg(long, short = 'o', default_value = "", hide_default_value = true)]
    output: String,
}

/// Lists the kinds that are served.
pub(crate) async fn api_resources(args: ApiResourcesArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let mut rows = resource::builtin().to_vec();
    rows.extend(kinds::custom(&session).await?);
    rows.retain(|row| args.api_group.as_ref().is_none_or(|group| row.group == *group));
    rows.retain(|row| args.namespaced.is_none_or(|namespaced| row.namespaced == namespaced));
    rows.sort_by(|a, b| (&a.group, &a.resource).cmp(&(&b.group, &b.resource)));
    let mut grid = Vec::new();
    if !args.no_headers && args.output != "name" {
        grid.push(["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"].map(str::to_owned).to_vec());
    }
    for row in rows {
        if args.output == "name" {
            let name =
                if row.group.is_empty() { row.resource.clone() } else { format!("{}.{}", row.resource, row.group) };
            grid.push(vec![name]);
            continue;
        }
        let (short, version) = (row.short_names.join(","), row.api_version());
        let mut line = vec![row.resource, short, version, row.namespaced.to_string(), row.kind];
        if args.output == "wide" {
            line.push(row.verbs.join(","));
        }
        grid.push(line);
    }
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    Ok(ExitCode::SUCCESS)
}
