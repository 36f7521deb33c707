//! `mainstay get`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;
use mainstay_api::resource::Resource;
use mainstay_client::ListParams;
use serde_json::Value;

use super::output::Output;
use super::print::{self, Form};
use super::selection::{self, Selected};
use super::session::{Common, Session, query};
use super::table::{self, Look};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// `mainstay get`
#[derive(Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    common: Common,
    /// What: pods, pods,svc, deployment/web, pod a b, all
    #[arg(required = true, value_name = "TYPE [NAME…]")]
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
    /// No header line
    #[arg(long)]
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
    let selected = selection::parse(&session, &args.what).await?;
    match &form {
        Form::Table { wide } => tables(&args, &session, &selected, *wide).await?,
        form => objects(&args, &session, &selected, form).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn objects(args: &GetArgs, session: &Session, selected: &[Selected], form: &Form) -> Result<()> {
    if args.watch {
        return watch_objects(args, session, selected, form).await;
    }
    let mut found = Vec::new();
    for Selected { row, names } in selected {
        if names.is_empty() {
            let api = if args.all_namespaces { session.everywhere(row) } else { session.api(row) };
            let list = api.list(&params(args)).await?;
            found.extend(list.items.into_iter().map(|item| (row.clone(), typed(row, item))));
        }
        for name in names {
            match session.api(row).get(name, "").await {
                Ok(object) => found.push((row.clone(), typed(row, object))),
                Err(error) if error.is_not_found() && args.ignore_not_found => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if !args.show_managed_fields {
        found.iter_mut().for_each(|(_, object)| without_managed_fields(object));
    }
    let as_list = selected.len() > 1 || selected.iter().any(|s| s.names.len() != 1);
    print::objects(form, &found, as_list)
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

async fn tables(args: &GetArgs, session: &Session, selected: &[Selected], wide: bool) -> Result<()> {
    let several = selected.len() > 1;
    let look = |row: &Resource| Look {
        wide,
        namespace: args.all_namespaces && row.namespaced,
        labels: args.show_labels,
        bare: args.no_headers,
    };
    let mut printed = false;
    for Selected { row, names } in selected {
        let prefix = if several { print::kind_name(row, "") } else { String::new() };
        let Some(table) = table(args, session, row, names).await? else { continue };
        if table["rows"].as_array().is_none_or(Vec::is_empty) && !args.watch {
            continue;
        }
        if printed {
            print::line("")?;
        }
        printed = true;
        for line in table::lines(&table, look(row), &prefix) {
            print::line(&line)?;
        }
        if args.watch {
            return follow(args, session, row, names, &table, Look { bare: true, ..look(row) }).await;
        }
    }
    if !printed && !args.ignore_not_found {
        let place = if args.all_namespaces { String::new() } else { format!(" in {} namespace", session.namespace) };
        eprintln!("No resources found{place}.");
    }
    Ok(())
}

/// The table of a kind: of all objects, or of the named ones together.
async fn table(args: &GetArgs, session: &Session, row: &Resource, names: &[String]) -> Result<Option<Value>> {
    let namespace = (!args.all_namespaces).then_some(session.namespace.as_str());
    if names.is_empty() {
        let query = query(&[("labelSelector", &args.selector), ("fieldSelector", &args.field_selector)]);
        return fetch(session, &format!("{}{query}", Session::path(row, namespace, ""))).await.map(Some);
    }
    let mut whole: Option<Value> = None;
    for name in names {
        let path = Session::path(row, Some(&session.namespace), name);
        match (fetch(session, &path).await, whole.as_mut()) {
            (Err(error), _) if args.ignore_not_found && error.to_string().contains("not found") => {}
            (Err(error), _) => return Err(error),
            (Ok(table), None) => whole = Some(table),
            (Ok(mut table), Some(whole)) => {
                if let (Some(rows), Some(more)) = (whole["rows"].as_array_mut(), table["rows"].as_array_mut()) {
                    rows.append(more);
                }
            }
        }
    }
    Ok(whole)
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
    look: Look,
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

fn show_event(line: &[u8], columns: &mut Value, look: Look) -> Result<()> {
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
