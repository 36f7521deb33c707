//! `mainstay events`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use mainstay_api::resource;
use mainstay_client::ListParams;
use serde_json::Value;

use super::print;
use super::session::{Common, Session};
use super::table::align;

/// `mainstay events`
#[derive(Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    common: Common,
    /// In all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Only about this object: pod/web
    #[arg(long = "for", value_name = "TYPE/NAME")]
    about: Option<String>,
    /// Only of these sorts: Normal, Warning
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// No header line
    #[arg(long)]
    no_headers: bool,
}

/// Lists events, the oldest first.
pub(crate) async fn run(args: EventsArgs) -> Result<ExitCode> {
    let known = |sort: &String| ["Normal", "Warning"].iter().any(|known| known.eq_ignore_ascii_case(sort));
    if !args.types.iter().all(known) {
        bail!("valid --types are Normal or Warning");
    }
    let session = args.common.session()?;
    let fields = match &args.about {
        None => String::new(),
        Some(about) => {
            let Some((kind, name)) = about.split_once('/') else { bail!("--for wants TYPE/NAME") };
            let row = super::kinds::find(&session, kind).await?;
            format!("involvedObject.kind={},involvedObject.name={name}", row.kind)
        }
    };
    let mut events = list(&session, args.all_namespaces, &fields).await?;
    let is = |event: &Value, sort: &String| event["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(sort));
    events.retain(|event| args.types.is_empty() || args.types.iter().any(|sort| is(event, sort)));
    if events.is_empty() {
        let place = if args.all_namespaces { String::new() } else { format!(" in {} namespace", session.namespace) };
        eprintln!("No events found{place}.");
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines(&events, args.all_namespaces, true).iter().skip(usize::from(args.no_headers)) {
        print::line(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Events with these field values, the oldest first.
pub(super) async fn list(session: &Session, everywhere: bool, fields: &str) -> Result<Vec<Value>> {
    let row = resource::find("", "v1", "events").context("this build has no events")?;
    let api = if everywhere { session.everywhere(row) } else { session.api(row) };
    let mut events = api.list(&ListParams::fields(fields)).await?.items;
    events.sort_by_key(|event| last(event).unwrap_or_default());
    Ok(events)
}

/// A table of events.
pub(super) fn lines(events: &[Value], namespaces: bool, objects: bool) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut header = vec!["LAST SEEN", "TYPE", "REASON"];
    if namespaces {
        header.insert(0, "NAMESPACE");
    }
    header.extend(objects.then_some("OBJECT"));
    header.push("MESSAGE");
    let mut grid = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for event in events {
        let mut row = vec![seen(event), text(&event["type"]), text(&event["reason"])];
        if namespaces {
            row.insert(0, text(&event["metadata"]["namespace"]));
        }
        let object = &event["involvedObject"];
        row.extend(objects.then(|| format!("{}/{}", text(&object["kind"]), text(&object["name"]))));
        row.push(text(&event["message"]).replace('\n', " "));
        grid.push(row);
    }
    align(&grid)
}

fn last(event: &Value) -> Option<Timestamp> {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    times.into_iter().find_map(|time| time.as_str()?.parse().ok())
}

fn seen(event: &Value) -> String {
    let Some(at) = last(event) else { return "<unknown>".to_owned() };
    let age = age(at);
    let count = event["series"]["count"].as_i64().or_else(|| event["count"].as_i64()).unwrap_or(1);
    let first =
        [&event["eventTime"], &event["firstTimestamp"]].into_iter().find_map(|time| time.as_str()?.parse().ok());
    match first {
        Some(first) if count > 1 => format!("{age} (x{count} over {})", self::age(first)),
        _ => age,
    }
}

/// How long ago, in two units at the most.
pub(super) fn age(at: Timestamp) -> String {
    let seconds = (Timestamp::now().as_second() - at.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{}m{}s", seconds / 60, seconds % 60),
        120..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 if seconds % 3600 >= 60 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        10_800..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
