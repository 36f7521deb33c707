//! How objects are printed.

use std::io::Write;

use anyhow::{Context, Result, bail};
use mainstay_api::resource::Resource;
use mainstay_api::yaml;
use serde::Serialize;
use serde_json::{Value, json};

use super::go_template::GoTemplate;
use super::jsonpath::{JsonPath, Template};

/// `-o`
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// A table.
    Table {
        /// With all columns.
        wide: bool,
    },
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name` lines.
    Name,
    /// A template of paths.
    JsonPath(Template),
    /// What is at the paths of a template, as JSON.
    JsonPathAsJson(Template),
    /// A template of Go's.
    GoTemplate(GoTemplate),
    /// A table of what is at paths.
    Columns {
        /// Headers with their paths.
        columns: Vec<(String, JsonPath)>,
        /// Without the line of headers.
        bare: bool,
    },
}

impl Form {
    /// The same for what follows: no second line of headers.
    pub(crate) fn continued(self) -> Self {
        match self {
            Self::Columns { columns, .. } => Self::Columns { columns, bare: true },
            other => other,
        }
    }
}

impl std::str::FromStr for Form {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "" => Form::Table { wide: false },
            "wide" => Form::Table { wide: true },
            "json" => Form::Json,
            "yaml" => Form::Yaml,
            "name" => Form::Name,
            _ => match text.split_once('=') {
                Some(("jsonpath", path)) => Form::JsonPath(path.parse()?),
                Some(("jsonpath-as-json", path)) => Form::JsonPathAsJson(path.parse()?),
                Some(("jsonpath-file", path)) => Form::JsonPath(read(path)?.parse()?),
                Some(("custom-columns", spec)) => Form::Columns { columns: columns(spec)?, bare: false },
                Some(("custom-columns-file", path)) => Form::Columns { columns: rows(&read(path)?)?, bare: false },
                Some(("go-template" | "template", source)) => Form::GoTemplate(source.parse()?),
                Some(("go-template-file" | "templatefile", path)) => Form::GoTemplate(GoTemplate::read(path)?),
                _ => bail!(
                    "unknown output {text:?}; there are: wide, json, yaml, name, jsonpath=…, jsonpath-as-json=…, \
                     jsonpath-file=…, custom-columns=…, custom-columns-file=…, go-template=…, go-template-file=…"
                ),
            },
        })
    }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("error reading template {path}"))
}

/// A line of headers and one of paths.
fn rows(text: &str) -> Result<Vec<(String, JsonPath)>> {
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (Some(headers), Some(paths)) = (lines.next(), lines.next()) else {
        bail!("expected a line of headers and a line of paths, got {text:?}");
    };
    if headers.len() != paths.len() {
        bail!("number of headers ({}) and field specifications ({}) don't match", headers.len(), paths.len());
    }
    let column = |(header, path): (&str, &str)| Ok((header.to_owned(), path.parse()?));
    headers.into_iter().zip(paths).map(column).collect()
}

/// `NAME:.metadata.name,IMAGE:.spec.containers[*].image`
fn columns(spec: &str) -> Result<Vec<(String, JsonPath)>> {
    if spec.is_empty() {
        bail!("custom-columns format specified but no custom columns given");
    }
    let column = |part: &str| {
        let pair = part.split_once(':').filter(|(header, path)| !header.is_empty() && !path.is_empty());
        let wrong = || format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>");
        let (header, path) = pair.with_context(wrong)?;
        Ok((header.to_owned(), path.parse()?))
    };
    spec.split(',').map(column).collect()
}

/// `deployment.apps/web`
pub(crate) fn kind_name(row: &Resource, name: &str) -> String {
    if row.group.is_empty() {
        format!("{}/{name}", row.singular)
    } else {
        format!("{}.{}/{name}", row.singular, row.group)
    }
}

/// Prints objects in a form that is no table; several become a List.
pub(crate) fn objects(form: &Form, objects: &[(Resource, Value)], as_list: bool) -> Result<()> {
    let whole = || match objects {
        [(_, one)] if !as_list => one.clone(),
        many => json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""},
            "items": many.iter().map(|(_, object)| object.clone()).collect::<Vec<_>>()}),
    };
    match form {
        Form::Json => line(&json_text(&whole())?),
        Form::Yaml => text(&yaml::to_string(&whole())),
        Form::JsonPath(template) => text(&template.render(&whole()).context("error executing jsonpath")?),
        Form::JsonPathAsJson(template) => {
            let whole = whole();
            let found = template.values(&whole).context("error executing jsonpath")?;
            found.iter().try_for_each(|values| line(&json_text(&json!(values))?))
        }
        Form::GoTemplate(template) => {
            let mut rendered = String::new();
            let outcome = template.render(&whole(), &mut rendered);
            text(&rendered)?;
            outcome
        }
        Form::Columns { columns, bare } => {
            let mut grid: Vec<Vec<String>> = Vec::new();
            grid.extend((!bare).then(|| columns.iter().map(|(header, _)| header.clone()).collect()));
            for (_, object) in objects {
                grid.push(columns.iter().map(|(_, path)| cell(object, path)).collect());
            }
            super::table::align(&grid).iter().try_for_each(|row| line(row))
        }
        Form::Name | Form::Table { .. } => {
            for (row, object) in objects {
                line(&kind_name(row, object["metadata"]["name"].as_str().unwrap_or_default()))?;
            }
            Ok(())
        }
    }
}

/// JSON as Go prints it: four blanks a level, and without what HTML would take for its own.
fn json_text(value: &Value) -> Result<String> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter)).context("cannot print JSON")?;
    let text = String::from_utf8(out).context("cannot print JSON")?;
    let escapes =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    Ok(escapes.into_iter().fold(text, |text, (plain, escape)| text.replace(plain, escape)))
}

/// What is at a path, `<none>` if nothing is.
fn cell(object: &Value, path: &JsonPath) -> String {
    let found: Vec<String> = path.of(object).into_iter().map(go_text).collect();
    if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
}

/// A value as Go prints it: `map[a:b]`, `[a b]`.
fn go_text(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect();
            format!("map[{}]", members.join(" "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        other => super::table::plain(other),
    }
}

/// Prints a line; a reader that went away ends the program quietly.
pub(crate) fn line(content: &str) -> Result<()> {
    text(&format!("{content}\n"))
}

/// Prints text as it is.
pub(crate) fn text(content: &str) -> Result<()> {
    bytes(content.as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn bytes(content: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome.context("cannot write the output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_headers_and_paths() {
        let parsed: Form = "custom-columns=NAME:.metadata.name,IP:.status.podIP".parse().unwrap();
        let pair = |header: &str, path: &str| (header.to_owned(), path.parse().unwrap());
        let columns = vec![pair("NAME", ".metadata.name"), pair("IP", ".status.podIP")];
        assert_eq!(parsed, Form::Columns { columns, bare: false });
        assert!("custom-columns=NAME".parse::<Form>().is_err());
        assert!("custom-columns=NAME:.a[".parse::<Form>().is_err());
        assert!("jsonpath={.a".parse::<Form>().is_err());
        assert!("yam".parse::<Form>().is_err());
        let object = json!({"spec": {"containers": [{"image": "a"}, {"image": "b"}]}});
        let at = |path: &str| cell(&object, &path.parse().unwrap());
        assert_eq!(at(".spec.containers[*].image"), "a,b");
        assert_eq!(at("{.spec.none}"), "<none>");
        assert_eq!(at("spec.containers[0]"), "map[image:a]");
        assert_eq!(at(".spec.containers"), "[map[image:a] map[image:b]]");
        let rows = rows("NAME IMAGE\n.metadata.name  .spec.image\n").unwrap();
        assert_eq!(rows, [pair("NAME", ".metadata.name"), pair("IMAGE", ".spec.image")]);
    }

    #[test]
    fn json_is_as_go_prints_it() {
        let text = json_text(&json!({"a": ["<b>"], "c": {}})).unwrap();
        assert_eq!(text, "{\n    \"a\": [\n        \"\\u003cb\\u003e\"\n    ],\n    \"c\": {}\n}");
    }
}
