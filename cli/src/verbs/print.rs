//! How objects are printed.

use std::io::Write;

use anyhow::{Context, Result, bail};
use mainstay_api::resource::Resource;
use mainstay_api::yaml;
use serde_json::{Value, json};

/// `-o`
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The values at a path.
    JsonPath(String),
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
            _ => match text.strip_prefix("jsonpath=") {
                Some(path) => Form::JsonPath(path.to_owned()),
                None => bail!("unknown output {text:?}; there are: wide, json, yaml, name, jsonpath=…"),
            },
        })
    }
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
        Form::JsonPath(path) => text(&super::table::json_path(&whole(), path)?),
        Form::Name | Form::Table { .. } => {
            for (row, object) in objects {
                line(&kind_name(row, object["metadata"]["name"].as_str().unwrap_or_default()))?;
            }
            Ok(())
        }
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
