//! `mainstay logs`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;
use mainstay_api::resource;
use mainstay_api::selector::LabelSelector;
use mainstay_client::ListParams;
use serde_json::Value;

use super::default_container;
use super::print;
use super::selection::{self, Selected};
use super::session::{Common, Session, query};

/// `mainstay logs`
#[derive(Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    common: Common,
    /// A pod, or deployment/web for one of its pods
    #[arg(value_name = "POD | TYPE/NAME")]
    what: Option<String>,
    /// Which container
    #[arg(long, short = 'c', default_value = "", hide_default_value = true)]
    container: String,
    /// All containers of the pod
    #[arg(long)]
    all_containers: bool,
    /// Pods with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
    /// Go on with what is written
    #[arg(long, short = 'f')]
    follow: bool,
    /// Of the container's life before this one
    #[arg(long, short = 'p')]
    previous: bool,
    /// Only so many lines from the end
    #[arg(long)]
    tail: Option<i64>,
    /// Only from the last while, for example 10m
    #[arg(long, value_parser = super::wait::seconds)]
    since: Option<u64>,
    /// With the time of each line
    #[arg(long)]
    timestamps: bool,
    /// With pod and container before each line
    #[arg(long)]
    prefix: bool,
}

/// Prints logs.
pub(crate) async fn run(args: LogsArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let pods = pods(&args, &session).await?;
    for pod in &pods {
        for container in containers(&args, pod)? {
            one(&args, &session, pod["metadata"]["name"].as_str().unwrap_or_default(), &container).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn containers(args: &LogsArgs, pod: &Value) -> Result<Vec<String>> {
    if !args.all_containers {
        return Ok(vec![default_container::container(pod, &args.container)?]);
    }
    let names = |field: &str| pod["spec"][field].as_array().cloned().unwrap_or_default();
    let all = names("initContainers").into_iter().chain(names("containers"));
    Ok(all.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect())
}

async fn pods(args: &LogsArgs, session: &Session) -> Result<Vec<Value>> {
    let row = resource::find("", "v1", "pods").context("this build has no pods")?;
    match &args.what {
        None if args.selector.is_empty() => bail!("say whose logs: a pod, TYPE/NAME, or -l LABELS"),
        None => {
            let found = session.api(row).list(&ListParams::labels(args.selector.clone())).await?.items;
            if found.is_empty() {
                eprintln!("No resources found in {} namespace.", session.namespace);
            }
            Ok(found)
        }
        Some(what) => Ok(vec![session.api(row).get(&pod_of(session, what).await?, "").await?]),
    }
}

/// The pod that a word names, itself or through what owns it.
pub(super) async fn pod_of(session: &Session, what: &str) -> Result<String> {
    if !what.contains('/') {
        return Ok(what.to_owned());
    }
    let mut selected = selection::parse(session, &[what.to_owned()]).await?;
    let Some(Selected { row, names }) = selected.pop() else { bail!("{what:?} names nothing") };
    let name = names.into_iter().next().unwrap_or_default();
    if row.kind == "Pod" {
        return Ok(name);
    }
    let owner = session.api(&row).get(&name, "").await?;
    let pods = resource::find("", "v1", "pods").context("this build has no pods")?;
    // Services name labels only.
    let wanted = match row.kind.as_ref() {
        "Service" => serde_json::json!({"matchLabels": owner["spec"]["selector"]}),
        _ => owner["spec"]["selector"].clone(),
    };
    let selector = LabelSelector::from_object(&wanted).ok().filter(|selector| !selector.is_empty());
    let found = session.api(pods).list(&ListParams::default()).await?.items;
    let fits = |pod: &&Value| match &selector {
        Some(selector) => selector.matches_object(pod),
        None => false,
    };
    let mut fitting: Vec<&Value> = found.iter().filter(fits).collect();
    fitting.sort_by_key(|pod| pod["status"]["phase"] != "Running");
    let pod = fitting.first().and_then(|pod| pod["metadata"]["name"].as_str());
    let pod = pod.with_context(|| format!("{what} has no pods"))?;
    if fitting.len() > 1 {
        eprintln!("Found {} pods, using pod/{pod}", fitting.len());
    }
    Ok(pod.to_owned())
}

async fn one(args: &LogsArgs, session: &Session, pod: &str, container: &str) -> Result<()> {
    let row = resource::find("", "v1", "pods").context("this build has no pods")?;
    let flag = |on: bool| if on { "true" } else { "" };
    let (tail, since) = (args.tail.filter(|tail| *tail >= 0).map(|t| t.to_string()), args.since.map(|s| s.to_string()));
    let query = query(&[
        ("container", container),
        ("follow", flag(args.follow)),
        ("previous", flag(args.previous)),
        ("tailLines", tail.as_deref().unwrap_or_default()),
        ("sinceSeconds", since.as_deref().unwrap_or_default()),
        ("timestamps", flag(args.timestamps)),
    ]);
    let path = format!("{}/log{query}", Session::path(row, Some(&session.namespace), pod));
    let response = session.rest.send(http::Method::GET, &path, &[], Bytes::new()).await?;
    let mut body = response.into_body();
    let prefix = if args.prefix { format!("[pod/{pod}/{container}] ") } else { String::new() };
    let mut at_start = true;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.context("the log broke off")?.into_data() else { continue };
        if prefix.is_empty() {
            print::bytes(&data)?;
        } else {
            print::bytes(&prefixed(&data, prefix.as_bytes(), &mut at_start))?;
        }
    }
    Ok(())
}

/// Puts a prefix before each line of a piece of a stream.
fn prefixed(data: &[u8], prefix: &[u8], at_start: &mut bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + prefix.len());
    for byte in data {
        if std::mem::take(at_start) {
            out.extend_from_slice(prefix);
        }
        out.push(*byte);
        *at_start = *byte == b'\n';
    }
    out
}
