//! `mainstay get`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::{ArgAction, Args};
use http_body_util::BodyExt;
use mainstay_api::resource::Resource;
use mainstay_client::ListParams;
use serde_json::Value;

use super::jsonpath::JsonPath;
use super::output::Output;
use super::print::{self, Form};
use super::selection::{self, Selected};
use super::session::{Common, Session, query};
use super::sort::sort_by;
use super::table::{self, Look};
use crate::complaint::complaint;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// `mainstay get`
#[derive(Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    common: Common,
    /// What: pods, pods,svc, deployment/web, pod a b, all
    #[arg(required_unless_present = "raw", value_name = "TYPE [NAME…]")]
    what: Vec<String>,
    #[command(flatten)]
    output: Output,
    /// In all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Only with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
    /// Only with these field values
    #[arg(long, default_value = "", hide_default_value = true)]
    field_selector: String,
    /// Go on with what changes
    #[arg(long, short = 'w')]
    watch: bool,
    /// Show labels
    #[arg(long)]
    show_labels: bool,
    /// Columns with these labels
    #[arg(long, short = 'L', value_delimiter = ',', value_name = "LABEL")]
    label_columns: Vec<String>,
    /// Put the kind before each name
    #[arg(long)]
    show_kind: bool,
    /// Sort by what is at a path, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    sort_by: Option<JsonPath>,
    /// A part of the objects: status or scale
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    subresource: String,
    /// What the server says at this path, as it is
    #[arg(long, value_name = "PATH", conflicts_with = "what")]
    raw: Option<String>,
    /// Kept for kubectl's sake: lists come whole
    #[arg(long, hide = true)]
    chunk_size: Option<u32>,
    /// No header line
    #[arg(long, action = ArgAction::Set, default_value_t = false, hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    no_headers: bool,
    /// Do not fail when a named object is missing
    #[arg(long)]
    ignore_not_found: bool,
    /// With the fields' managers, in json and yaml
    #[arg(long)]
    show_managed_fields: bool,
}

/// Gets.
pub(crate) async fn run(args: GetArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let session = args.common.session()?;
    if let Some(path) = &args.raw {
        print::bytes(&session.rest.get(path, &[]).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let selected = selection::parse(&session, &args.what).await?;
    args.check(&selected)?;
    let failures = match form {
        Form::Table { wide } => tables(&args, &session, &selected, wide).await?,
        form if args.no_headers => objects(&args, &session, &selected, &form.continued()).await?,
        form => objects(&args, &session, &selected, &form).await?,
    };
    failures.iter().for_each(|failure| eprintln!("{}", complaint(failure)));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl GetArgs {
    /// What goes with what.
    fn check(&self, selected: &[Selected]) -> Result<()> {
        if selected.iter().all(|selected| selected.names.is_empty()) {
            return Ok(());
        }
        if self.all_namespaces && selected.iter().any(|selected| selected.row.namespaced) {
            bail!("a resource cannot be retrieved by name across all namespaces");
        }
        if !self.selector.is_empty() || !self.field_selector.is_empty() {
            bail!("name cannot be provided when a selector is specified");
        }
        Ok(())
    }
}

/// Prints objects in a form that is no table; returns what could not be had.
async fn objects(args: &GetArgs, session: &Session, selected: &[Selected], form: &Form) -> Result<Vec<anyhow::Error>> {
    if args.watch {
        watch_objects(args, session, selected, form).await?;
        return Ok(Vec::new());
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for Selected { row, names } in selected {
        if names.is_empty() {
            let api = if args.all_namespaces { session.everywhere(row) } else { session.api(row) };
            let list = api.list(&params(args)).await.map_err(|error| told_with(args, row, error.into()))?;
            found.extend(list.items.into_iter().map(|item| (row.clone(), typed(row, item))));
        }
        for name in names {
            match session.api(row).get(name, &args.subresource).await {
                Ok(object) => found.push((row.clone(), typed(row, object))),
                Err(error) if error.is_not_found() && args.ignore_not_found => {}
                Err(error) => failures.push(error.into()),
            }
        }
    }
    if !args.show_managed_fields {
        found.iter_mut().for_each(|(_, object)| without_managed_fields(object));
    }
    if let Some(path) = &args.sort_by {
        sort_by(&mut found, path, |(_, object)| object);
    }
    let as_list = selected.len() > 1 || selected.iter().any(|s| s.names.len() != 1);
    if !found.is_empty() || failures.is_empty() {
        print::objects(form, &found, as_list)?;
    }
    Ok(failures)
}

/// Of selectors that the server does not understand kubectl tells which they are.
fn told_with(args: &GetArgs, row: &Resource, error: anyhow::Error) -> anyhow::Error {
    let refusal: Option<&mainstay_client::Error> = error.downcast_ref();
    if refusal.is_none_or(|refusal| refusal.reason() != "BadRequest") {
        return error;
    }
    let GetArgs { selector, field_selector, .. } = args;
    let what = format!("{}/{}, Resource={}", row.group, row.version, row.resource);
    error.context(format!(
        "Unable to find {what:?} that match label selector {selector:?}, field selector {field_selector:?}"
    ))
}

async fn watch_objects(args: &GetArgs, session: &Session, selected: &[Selected], form: &Form) -> Result<()> {
    let [Selected { row, names }] = selected else { bail!("-w follows one kind at a time") };
    let api = if args.all_namespaces { session.everywhere(row) } else { session.api(row) };
    let mut params = params(args);
    if let [name] = names.as_slice() {
        params.fields = format!("metadata.name={name}");
    }
    let mut watcher = api.watch(&params).await?;
    let mut form = form.clone();
    loop {
        for event in watcher.next().await? {
            if event.object.is_empty() || event.kind == mainstay_proto::v1::WatchEventType::Bookmark {
                continue;
            }
            let object: Value =
                serde_json::from_slice(&event.object).context("the server sent something that is not JSON")?;
            print::objects(&form, &[(row.clone(), object)], false)?;
            form = form.continued();
        }
    }
}

fn params(args: &GetArgs) -> ListParams {
    ListParams { labels: args.selector.clone(), fields: args.field_selector.clone(), ..ListParams::default() }
}

/// Items of lists carry neither apiVersion nor kind.
fn typed(row: &Resource, mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.entry("apiVersion").or_insert_with(|| row.api_version().into());
        members.entry("kind").or_insert_with(|| row.kind.clone().into());
    }
    object
}

/// They are long and seldom wanted.
pub(super) fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}

/// Prints tables; returns what could not be had.
async fn tables(args: &GetArgs, session: &Session, selected: &[Selected], wide: bool) -> Result<Vec<anyhow::Error>> {
    let look = |row: &Resource| Look {
        wide,
        namespace: args.all_namespaces && row.namespaced,
        labels: args.show_labels,
        columns: &args.label_columns,
        bare: args.no_headers,
    };
    let mut shown = Vec::new();
    let mut failures = Vec::new();
    for Selected { row, names } in selected {
        let table = table(args, session, row, names, &mut failures).await?;
        if let Some(table) = table.filter(|table| args.watch || table["rows"].as_array().is_some_and(|r| !r.is_empty()))
        {
            shown.push((row, names, table));
        }
    }
    // What one kind alone is left of needs no kinds before its names, unless several were asked for without names.
    let several = selected.len() > 1 && (shown.len() > 1 || selected.iter().any(|s| s.names.is_empty()));
    for (index, &(row, names, ref table)) in shown.iter().enumerate() {
        let prefix = if several || args.show_kind { print::kind_name(row, "") } else { String::new() };
        if index > 0 {
            print::line("")?;
        }
        table::lines(table, look(row), &prefix).iter().try_for_each(|line| print::line(line))?;
        if args.watch {
            follow(args, session, row, names, table, Look { bare: true, ..look(row) }).await?;
            return Ok(failures);
        }
    }
    if shown.is_empty() && failures.is_empty() && !args.ignore_not_found {
        let namespaced = selected.iter().any(|selected| selected.row.namespaced);
        if namespaced && !args.all_namespaces {
            eprintln!("No resources found in {} namespace.", session.namespace);
        } else {
            eprintln!("No resources found");
        }
    }
    Ok(failures)
}

/// The table of a kind: of all objects, or of the named ones together.
async fn table(
    args: &GetArgs,
    session: &Session,
    row: &Resource,
    names: &[String],
    failures: &mut Vec<anyhow::Error>,
) -> Result<Option<Value>> {
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    let whole_objects = if args.sort_by.is_some() { "Object" } else { "" };
    let mut whole: Option<Value> = None;
    if names.is_empty() {
        let query = query(&[
            ("labelSelector", &args.selector),
            ("fieldSelector", &args.field_selector),
            ("includeObject", whole_objects),
        ]);
        let table = fetch(session, &format!("{}{query}", Session::path(row, namespace, ""))).await;
        whole = Some(table.map_err(|error| told_with(args, row, error))?);
    }
    for name in names {
        let below = if args.subresource.is_empty() { String::new() } else { format!("/{}", args.subresource) };
        let query = query(&[("includeObject", whole_objects)]);
        let path = format!("{}{below}{query}", Session::path(row, Some(&session.namespace), name));
        match (fetch(session, &path).await, whole.as_mut()) {
            (Err(error), _) if args.ignore_not_found && is_not_found(&error) => {}
            (Err(error), _) => failures.push(error),
            (Ok(table), None) => whole = Some(table),
            (Ok(mut table), Some(whole)) => {
                if let (Some(rows), Some(more)) = (whole["rows"].as_array_mut(), table["rows"].as_array_mut()) {
                    rows.append(more);
                }
            }
        }
    }
    if let (Some(path), Some(rows)) = (&args.sort_by, whole.as_mut().and_then(|table| table["rows"].as_array_mut())) {
        sort_by(rows, path, |row| &row["object"]);
    }
    Ok(whole)
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<mainstay_client::Error>().is_some_and(mainstay_client::Error::is_not_found)
}

async fn fetch(session: &Session, path: &str) -> Result<Value> {
    let body = session.rest.get(path, &[("accept", TABLE)]).await?;
    serde_json::from_slice(&body).context("the server sent something that is not JSON")
}

/// Prints rows as they change.
async fn follow(
    args: &GetArgs,
    session: &Session,
    row: &Resource,
    names: &[String],
    table: &Value,
    look: Look<'_>,
) -> Result<()> {
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    let fields = match names {
        [name] => format!("metadata.name={name}"),
        _ => args.field_selector.clone(),
    };
    let version = table["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let query = query(&[
        ("watch", "1"),
        ("resourceVersion", version),
        ("labelSelector", &args.selector),
        ("fieldSelector", &fields),
    ]);
    let path = format!("{}{query}", Session::path(row, namespace, ""));
    let response = session.rest.send(http::Method::GET, &path, &[("accept", TABLE)], Bytes::new()).await?;
    let mut body = response.into_body();
    let (mut pending, mut columns) = (Vec::new(), table["columnDefinitions"].clone());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.context("the watch broke off")?.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            show_event(&line, &mut columns, look)?;
        }
    }
    Ok(())
}

fn show_event(line: &[u8], columns: &mut Value, look: Look<'_>) -> Result<()> {
    let event: Value = serde_json::from_slice(line).context("the watch sent something that is not JSON")?;
    if event["type"] == "ERROR" {
        bail!("{}", event["object"]["message"].as_str().unwrap_or("the watch ended"));
    }
    let mut table = event["object"].clone();
    if table["columnDefinitions"].as_array().is_some_and(|list| !list.is_empty()) {
        *columns = table["columnDefinitions"].clone();
    }
    table["columnDefinitions"] = columns.clone();
    table::lines(&table, look, "").iter().try_for_each(|line| print::line(line))
}
