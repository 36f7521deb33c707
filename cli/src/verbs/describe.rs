//! `mainstay describe`: what an object says, for reading, and the events about it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::ListParams;
use serde_json::{Map, Value};

use super::events;
use super::print;
use super::selection::{self, Selected};
use super::session::{Common, Session};

/// `mainstay describe`
#[derive(Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    common: Common,
    /// What: pod/web, deployment web, nodes
    #[arg(required = true, value_name = "TYPE [NAME…]")]
    what: Vec<String>,
    /// Only with these labels
    #[arg(long, short = 'l', default_value = "", hide_default_value = true)]
    selector: String,
}

/// Describes.
pub(crate) async fn run(args: DescribeArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let mut first = true;
    for Selected { row, names } in selection::parse(&session, &args.what).await? {
        let objects = if names.is_empty() {
            session.api(&row).list(&ListParams::labels(args.selector.clone())).await?.items
        } else {
            let mut objects = Vec::new();
            for name in &names {
                objects.push(session.api(&row).get(name, "").await?);
            }
            objects
        };
        for object in objects {
            if !first {
                print::line("\n")?;
            }
            first = false;
            describe(&session, &row, &object).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn describe(session: &Session, row: &Resource, object: &Value) -> Result<()> {
    let mut lines = Vec::new();
    head(object, &mut lines);
    let hidden = ["apiVersion", "kind", "metadata"];
    let secret = row.kind == "Secret";
    for (key, value) in object.as_object().into_iter().flatten().filter(|(key, _)| !hidden.contains(&key.as_str())) {
        if secret && key == "data" {
            sizes(value, &mut lines);
        } else {
            member(&mut lines, 0, key, value);
        }
    }
    for line in lines {
        print::line(&line)?;
    }
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let events = events::list(session, true, &format!("involvedObject.uid={uid}")).await?;
    if events.is_empty() {
        return print::line("Events:         <none>");
    }
    print::line("Events:")?;
    events::lines(&events, false, false).iter().try_for_each(|line| print::line(&format!("  {line}")))
}

fn head(object: &Value, lines: &mut Vec<String>) {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    lines.push(entry(0, "Name", text("name")));
    if !text("namespace").is_empty() {
        lines.push(entry(0, "Namespace", text("namespace")));
    }
    many(lines, "Labels", metadata["labels"].as_object(), "=");
    many(lines, "Annotations", metadata["annotations"].as_object(), ": ");
    lines.push(entry(0, "Created", text("creationTimestamp")));
    if !text("deletionTimestamp").is_empty() {
        lines.push(entry(0, "Terminating", text("deletionTimestamp")));
    }
    for owner in
        metadata["ownerReferences"].as_array().into_iter().flatten().filter(|owner| owner["controller"] == true)
    {
        let part = |field: &str| owner[field].as_str().unwrap_or_default();
        lines.push(entry(0, "Controlled By", &format!("{}/{}", part("kind"), part("name"))));
    }
}

fn many(lines: &mut Vec<String>, title: &str, map: Option<&Map<String, Value>>, between: &str) {
    let mut title = title;
    for (key, value) in map.into_iter().flatten() {
        lines.push(entry(0, title, &format!("{key}{between}{}", value.as_str().unwrap_or_default())));
        title = "";
    }
    if !title.is_empty() {
        lines.push(entry(0, title, "<none>"));
    }
}

fn entry(depth: usize, title: &str, value: &str) -> String {
    let title = if title.is_empty() { String::new() } else { format!("{title}:") };
    format!("{}{title:<15} {value}", "  ".repeat(depth)).trim_end().to_owned()
}

/// Secrets show how much they hold, not what.
fn sizes(data: &Value, lines: &mut Vec<String>) {
    lines.push("Data:".to_owned());
    for (key, value) in data.as_object().into_iter().flatten() {
        let bytes = value.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4);
        lines.push(entry(1, key, &format!("{bytes} bytes")));
    }
}

fn member(lines: &mut Vec<String>, depth: usize, key: &str, value: &Value) {
    let title = title(key);
    match value {
        Value::Object(members) if members.is_empty() => lines.push(entry(depth, &title, "<none>")),
        Value::Object(members) => {
            lines.push(format!("{}{title}:", "  ".repeat(depth)));
            members.iter().for_each(|(key, value)| member(lines, depth + 1, key, value));
        }
        Value::Array(list) if list.iter().all(|element| !element.is_object()) => {
            let texts: Vec<String> = list.iter().map(plain).collect();
            lines.push(entry(depth, &title, &texts.join(", ")));
        }
        Value::Array(list) => {
            lines.push(format!("{}{title}:", "  ".repeat(depth)));
            list.iter().for_each(|element| item(lines, depth + 1, element));
        }
        other => lines.push(entry(depth, &title, &plain(other))),
    }
}

/// An element of a list, headed by its name or type.
fn item(lines: &mut Vec<String>, depth: usize, element: &Value) {
    let head = ["name", "type", "key", "ip"].into_iter().find(|field| element[*field].is_string());
    let title = head.map_or("-".to_owned(), |field| plain(&element[field]));
    lines.push(format!("{}{title}:", "  ".repeat(depth)));
    for (key, value) in element.as_object().into_iter().flatten().filter(|(key, _)| Some(key.as_str()) != head) {
        member(lines, depth + 1, key, value);
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.replace('\n', "\\n"))
}

/// `restartPolicy` → `Restart Policy`; keys that are no field names stay.
fn title(key: &str) -> String {
    if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
        return key.to_owned();
    }
    let mut title = String::new();
    let mut before = ' ';
    for (at, character) in key.chars().enumerate() {
        if at > 0 && character.is_ascii_uppercase() && !before.is_ascii_uppercase() {
            title.push(' ');
        }
        title.push(if at == 0 { character.to_ascii_uppercase() } else { character });
        before = character;
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_read_as_titles() {
        assert_eq!(title("restartPolicy"), "Restart Policy");
        assert_eq!(title("podIP"), "Pod IP");
        assert_eq!(title("app.kubernetes.io/name"), "app.kubernetes.io/name");
    }
}
