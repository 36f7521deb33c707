//! `mainstay explain`, from the schemas in the binary and of the cluster's custom resources. It prints what kubectl prints.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use mainstay_api::openapi;
use mainstay_api::resource::Resource;
use serde_json::Value;

use super::kinds;
use super::print;
use super::session::Common;

/// `mainstay explain`
#[derive(Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    common: Common,
    /// What: pod, or pod.spec.containers
    what: String,
    /// Fields of fields, too, without descriptions
    #[arg(long, short = 'R')]
    recursive: bool,
}

/// Columns of a description, without what it is indented by.
const COLUMNS: usize = 76;
/// Valid values that are told beside a field's name.
const SOME_VALUES: usize = 4;

/// Prints the fields of a kind, or of one of its fields.
pub(crate) async fn explain(args: ExplainArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let mut words = args.what.split('.');
    let row = kinds::find(&session, words.next().unwrap_or_default()).await?;
    let schemas = Schemas::of(&row)?;
    let path: Vec<&str> = words.collect();
    print::line(&schemas.explained(&row, &path, args.recursive)?)?;
    Ok(ExitCode::SUCCESS)
}

/// All schemas that a kind is made of.
struct Schemas(Value);

impl Schemas {
    fn of(row: &Resource) -> Result<Self> {
        let prefix = if row.group.is_empty() { "api" } else { "apis" };
        let place = format!("{prefix}/{}", row.api_version());
        let document = openapi::v3_group_version(std::slice::from_ref(row), &place);
        document.map(Self).with_context(|| format!("{} has no schema", row.kind))
    }

    fn explained(&self, row: &Resource, path: &[&str], recursive: bool) -> Result<String> {
        let mut text = String::new();
        if !row.group.is_empty() {
            text += &format!("GROUP:      {}\n", row.group);
        }
        text += &format!("KIND:       {}\nVERSION:    {}\n\n", row.kind, row.version);
        let mut schema = self.root(row).with_context(|| format!("{} has no schema", row.kind))?;
        for name in path {
            let field = self.object(schema)["properties"].get(name);
            schema = field.with_context(|| format!("field {name:?} does not exist"))?;
        }
        if let Some(name) = path.last() {
            text += &format!("FIELD: {name} <{}>\n{}\n", self.type_name(schema), all_values(schema));
        }
        text += &format!("DESCRIPTION:\n{}", self.description(schema));
        if self.object(schema)["properties"].is_object() {
            text += "FIELDS:\n";
            text += &self.fields(schema, recursive, 1, &mut Vec::new());
        }
        Ok(text)
    }

    fn root(&self, row: &Resource) -> Option<&Value> {
        let own = |schema: &&Value| {
            let gvk = &schema["x-kubernetes-group-version-kind"][0];
            gvk["kind"] == row.kind.as_str() && gvk["group"] == row.group.as_str()
        };
        self.0["components"]["schemas"].as_object()?.values().find(own)
    }

    /// The schema that this one refers to, if it does, and its name.
    fn target<'s>(&'s self, schema: &'s Value) -> Option<(&'s str, &'s Value)> {
        let link = schema.get("$ref").or_else(|| schema["allOf"][0].get("$ref"))?.as_str()?;
        let name = link.rsplit('/').next()?;
        Some((name.rsplit('.').next()?, self.0["components"]["schemas"].get(name)?))
    }

    /// What one value is, of a list or a map, too.
    fn element<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let inner =
            schema.get("items").or_else(|| schema.get("additionalProperties").filter(|inner| inner.is_object()));
        inner.map_or(schema, |inner| self.element(inner))
    }

    /// Where the fields are.
    fn object<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let element = self.element(schema);
        self.target(element).map_or(element, |(_, target)| target)
    }

    fn type_name(&self, schema: &Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_name(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            return format!("map[string]{}", self.type_name(values));
        }
        let plain = |schema: &Value| schema["type"].as_str().filter(|kind| *kind != "object").map(str::to_owned);
        match self.target(schema) {
            Some((name, target)) => plain(target).unwrap_or_else(|| name.to_owned()),
            None => plain(schema).unwrap_or_else(|| "Object".to_owned()),
        }
    }

    /// Of the field and of what it holds.
    fn description(&self, schema: &Value) -> String {
        let element = self.element(schema);
        let element = Some(element).filter(|element| !std::ptr::eq(*element, schema));
        let target = element.or(Some(schema)).and_then(|schema| self.target(schema)).map(|(_, target)| target);
        let parts = [Some(schema), element, target].into_iter().flatten();
        let told: String =
            parts.filter_map(|part| part["description"].as_str()).map(|words| wrapped(words, 4)).collect();
        if told.is_empty() { "    <empty>\n".to_owned() } else { format!("{told}    \n") }
    }

    /// `path` holds the types that these fields are within: one that is within itself is not opened again.
    fn fields<'s>(&'s self, schema: &'s Value, recursive: bool, depth: usize, path: &mut Vec<&'s Value>) -> String {
        let object = self.object(schema);
        if path.iter().any(|known| std::ptr::eq(*known, object)) {
            return String::new();
        }
        path.push(object);
        let mut text = String::new();
        for (name, field) in object["properties"].as_object().into_iter().flatten() {
            let required = object["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name.as_str()));
            let mark = if required { " -required-" } else { "" };
            text += &format!("{}{name}\t<{}>{mark}\n", "  ".repeat(depth), self.type_name(field));
            text += &some_values(field, depth);
            if recursive {
                text += &self.fields(field, recursive, depth + 1, path);
            } else {
                text += &wrapped(field["description"].as_str().unwrap_or("<no description>"), 4);
                text.push('\n');
            }
        }
        path.pop();
        text
    }
}

fn values(schema: &Value) -> Vec<&str> {
    let texts = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| if text.is_empty() { "\"\"" } else { text }).collect()
}

fn all_values(schema: &Value) -> String {
    let lines: String = values(schema).iter().map(|value| format!("    {value}\n")).collect();
    if lines.is_empty() { "\n".to_owned() } else { format!("ENUM:\n{lines}") }
}

fn some_values(schema: &Value, depth: usize) -> String {
    let values = values(schema);
    if values.is_empty() {
        return String::new();
    }
    let more = if values.len() > SOME_VALUES { ", ...." } else { "" };
    format!("{}enum: {}{more}\n", "  ".repeat(depth), values[..values.len().min(SOME_VALUES)].join(", "))
}

/// Paragraphs with short lines. What begins with a space is of a list or a table, and begins a line here, too.
fn wrapped(words: &str, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut joined = false;
    for line in words.lines().map(str::trim_end) {
        let apart = line.is_empty() || line.starts_with([' ', '\t']);
        joined &= !apart;
        for word in line.split(' ') {
            match lines.last_mut().filter(|last| joined && last.chars().count() + 1 + word.chars().count() <= COLUMNS) {
                Some(last) => *last += &format!(" {word}"),
                None => lines.push(word.to_owned()),
            }
            joined = true;
        }
        joined = !apart;
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().map(|line| format!("{}{}\n", " ".repeat(indent), line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(what: &str, path: &[&str], recursive: bool) -> String {
        let row = mainstay_api::resource::builtin().iter().find(|row| row.resource == what).unwrap();
        Schemas::of(row).unwrap().explained(row, path, recursive).unwrap()
    }

    #[test]
    fn a_field_is_told_with_its_values_and_a_list_by_its_elements() {
        let policy = explained("pods", &["spec", "restartPolicy"], false);
        assert!(policy.contains("FIELD: restartPolicy <string>\nENUM:\n    Always\n    Never\n    OnFailure\n\nDESCR"));
        let limits = explained("pods", &["spec", "containers", "resources", "limits"], false);
        assert!(limits.contains("FIELD: limits <map[string]Quantity>\n\n\nDESCRIPTION:\n    Limits "), "{limits}");
        let containers = explained("pods", &["spec", "containers"], false);
        assert!(containers.contains("  name\t<string> -required-\n    Name of the container"), "{containers}");
    }

    #[test]
    fn a_type_within_itself_is_opened_once() {
        let all = explained("customresourcedefinitions", &[], true);
        assert!(all.contains("openAPIV3Schema\t<JSONSchemaProps>\n"));
        assert_eq!(all.matches("x-kubernetes-int-or-string").count(), 1);
    }

    #[test]
    fn lines_are_short_and_lists_keep_theirs() {
        let text = wrapped(&format!("{}\n\nOf:\n - one\n - two\n", "word ".repeat(30).trim_end()), 4);
        assert!(text.lines().all(|line| line.len() <= 80));
        assert!(text.ends_with("    \n    Of:\n     - one\n     - two\n"), "{text}");
    }
}
