//! Manifests: files, folders and standard input, YAML or JSON, several objects in each.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use mainstay_api::yaml;
use serde_json::Value;

/// `-f`
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Files {
    /// File, folder, or - for standard input
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Also look into folders of folders
    #[arg(long, short = 'R')]
    recursive: bool,
}

impl Files {
    /// Whether any was named.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// All objects, lists taken apart, with where each was found. `verb` is what is to be done with them.
    pub(crate) fn read(&self, verb: &str) -> Result<Vec<(String, Value)>> {
        let mut objects = Vec::new();
        for path in &self.paths {
            if path.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
                parse(&text, "STDIN", &mut objects)?;
            } else if path.exists() {
                self.read_path(path, &mut objects)?;
            } else {
                bail!("the path {:?} does not exist", path.display().to_string());
            }
        }
        if objects.is_empty() {
            bail!("no objects passed to {verb}");
        }
        Ok(objects)
    }

    fn read_path(&self, path: &Path, objects: &mut Vec<(String, Value)>) -> Result<()> {
        let place = path.display();
        if !path.is_dir() {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
            return parse(&text, &place.to_string(), objects);
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {place}"))?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.sort();
        for path in paths {
            let manifest = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
            if (path.is_dir() && self.recursive) || (path.is_file() && manifest) {
                self.read_path(&path, objects)?;
            }
        }
        Ok(())
    }
}

fn parse(text: &str, place: &str, objects: &mut Vec<(String, Value)>) -> Result<()> {
    let documents = yaml::parse_all(text);
    for document in documents.with_context(|| format!("error parsing {place}: error converting YAML to JSON"))? {
        add(document, place, objects)?;
    }
    Ok(())
}

fn add(document: Value, place: &str, objects: &mut Vec<(String, Value)>) -> Result<()> {
    match document {
        Value::Null => Ok(()),
        Value::Object(mut list) if list.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "List") => {
            match list.remove("items") {
                Some(Value::Array(items)) => items.into_iter().try_for_each(|item| add(item, place, objects)),
                _ => Ok(()),
            }
        }
        object => {
            let unset = |field: &str| object[field].as_str().is_none_or(str::is_empty);
            match (unset("apiVersion"), unset("kind")) {
                (true, true) => bail!("error validating {place:?}: [apiVersion not set, kind not set]"),
                (true, false) => bail!("error validating {place:?}: apiVersion not set"),
                (false, true) => bail!("error validating {place:?}: kind not set"),
                (false, false) => objects.push((place.to_owned(), object)),
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, Value)>> {
        let mut objects = Vec::new();
        parse(text, "a.yaml", &mut objects).map(|()| objects)
    }

    #[test]
    fn lists_are_taken_apart_and_empty_documents_left_out() {
        let found = parsed("---\n---\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}]}\n").unwrap();
        assert_eq!(found, [("a.yaml".to_owned(), serde_json::json!({"apiVersion": "v1", "kind": "Pod"}))]);
    }

    #[test]
    fn what_is_no_object_is_told_with_its_place() {
        let told = |text: &str| format!("{:#}", parsed(text).unwrap_err());
        assert_eq!(told("a: 1"), "error validating \"a.yaml\": [apiVersion not set, kind not set]");
        assert_eq!(told("[1]"), told("a: 1"));
        assert_eq!(told("{apiVersion: v1}"), "error validating \"a.yaml\": kind not set");
        assert!(told("a: [").starts_with("error parsing a.yaml: error converting YAML to JSON: "));
    }
}
