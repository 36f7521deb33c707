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

    /// All objects, lists taken apart.
    pub(crate) fn read(&self) -> Result<Vec<Value>> {
        let mut objects = Vec::new();
        for path in &self.paths {
            if path.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
                parse(&text, "standard input", &mut objects)?;
            } else {
                self.read_path(path, &mut objects)?;
            }
        }
        if objects.is_empty() {
            bail!("no objects in what -f names");
        }
        Ok(objects)
    }

    fn read_path(&self, path: &Path, objects: &mut Vec<Value>) -> Result<()> {
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

fn parse(text: &str, place: &str, objects: &mut Vec<Value>) -> Result<()> {
    for document in yaml::parse_all(text).with_context(|| format!("{place} is not YAML"))? {
        add(document, place, objects)?;
    }
    Ok(())
}

fn add(document: Value, place: &str, objects: &mut Vec<Value>) -> Result<()> {
    match document {
        Value::Null => Ok(()),
        Value::Object(mut list) if list.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "List") => {
            match list.remove("items") {
                Some(Value::Array(items)) => items.into_iter().try_for_each(|item| add(item, place, objects)),
                _ => Ok(()),
            }
        }
        Value::Object(object) if object.contains_key("kind") && object.contains_key("apiVersion") => {
            objects.push(Value::Object(object));
            Ok(())
        }
        _ => bail!("{place} holds something that is no object: kind and apiVersion are missing"),
    }
}
