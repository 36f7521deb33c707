//! `mainstay explain` and `mainstay api-resources`, from the tables in the binary and the cluster's custom resources.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use mainstay_api::resource;
use mainstay_api::types::{Field, Shape, Type};

use super::kinds;
use super::print;
use super::session::Common;
use super::table::align;

/// `mainstay explain`
#[derive(Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    common: Common,
    /// What: pod, or pod.spec.containers
    what: String,
}

/// `mainstay api-resources`
#[derive(Args)]
pub(crate) struct ResourcesArgs {
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

/// Lists the fields of a kind.
pub(crate) async fn explain(args: ExplainArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let mut words = args.what.split('.');
    let row = kinds::find(&session, words.next().unwrap_or_default()).await?;
    let Some(mut object) = row.object_type() else {
        bail!(
            "{} is a custom resource; its fields are in its definition: mainstay get crd {}.{} -o yaml",
            row.kind,
            row.resource,
            row.group
        );
    };
    let mut field: Option<&'static Field> = None;
    for word in words {
        let found =
            object.field(word).with_context(|| format!("field {word:?} does not exist in {}", object.short_name()))?;
        field = Some(found);
        object = inner(found).unwrap_or(object);
    }
    print::line(&format!("KIND:     {}\nVERSION:  {}\n", row.kind, row.api_version()))?;
    if let Some(field) = field {
        print::line(&format!("FIELD:    {} <{}>\n", field.json, describe(field)))?;
        if inner(field).is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    print::line("FIELDS:")?;
    let members: Vec<&Field> = object.members().collect();
    let grid: Vec<Vec<String>> = members
        .into_iter()
        .map(|member| vec![format!("  {}", member.json), format!("<{}>", describe(member))])
        .collect();
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    Ok(ExitCode::SUCCESS)
}

/// Lists the kinds that are served.
pub(crate) async fn resources(args: ResourcesArgs) -> Result<ExitCode> {
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

fn inner(field: &'static Field) -> Option<&'static Type> {
    field.object().filter(|object| object.special.is_none())
}

fn describe(field: &Field) -> String {
    let word = match field.object() {
        Some(object) => object.short_name().to_owned(),
        None => format!("{:?}", field.element).to_lowercase(),
    };
    match field.shape {
        Shape::Single => word,
        Shape::List => format!("[]{word}"),
        Shape::Map => format!("map[string]{word}"),
    }
}
