//! How objects are printed.

use std::io::Write;

use anyhow::{Context, Result, bail};
use mainstay_api::resource::Resource;
use mainstay_api::yaml;
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
                Some(("custom-columns", spec)) => Form::Columns { columns: columns(spec)?, bare: false },
                Some(("go-template" | "template", source)) => Form::GoTemplate(source.parse()?),
                Some(("go-template-file" | "templatefile", path)) => Form::GoTemplate(GoTemplate::read(path)?),
                _ => bail!(
                    "unknown output {text:?}; there are: wide, json, yaml, name, jsonpath=…, custom-columns=…, \
                     go-template=…, go-template-file=…"
                ),
            },
        })
    }
}

/// `NAME:.metadata.name,IMAGE:.spec.containers[*].image`
fn columns(spec: &str) -> Result<Vec<(String, JsonPath)>> {
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
        Form::Json => line(&serde_json::to_string_pretty(&whole()).context("cannot print JSON")?),
        Form::Yaml => text(&yaml::to_string(&whole())),
        Form::JsonPath(template) => text(&template.render(&whole())),
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

/// What is at a path, `<none>` if nothing is.
fn cell(object: &Value, path: &JsonPath) -> String {
    let found: Vec<String> = path.of(object).into_iter().map(super::table::plain).collect();
    if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
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
    }
}
