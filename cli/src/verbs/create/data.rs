//! The data of config maps and secrets, from words, files and folders.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Args)]
pub(super) struct Data {
    /// KEY=VALUE
    #[arg(long)]
    from_literal: Vec<String>,
    /// FILE, KEY=FILE, or a folder for all files in it
    #[arg(long)]
    from_file: Vec<String>,
    /// File with lines KEY=VALUE
    #[arg(long)]
    from_env_file: Vec<String>,
}

#[derive(Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    sort: Sort,
}

#[derive(Subcommand)]
enum Sort {
    /// Of any data
    Generic {
        /// Its name
        name: String,
        #[command(flatten)]
        data: Data,
        /// Its type; Opaque if not given
        #[arg(long = "type", default_value = "", hide_default_value = true, value_name = "TYPE")]
        sort: String,
    },
    /// A certificate and its key
    Tls {
        /// Its name
        name: String,
        /// File with the certificate
        #[arg(long, value_name = "FILE")]
        cert: String,
        /// File with its key
        #[arg(long, value_name = "FILE")]
        key: String,
    },
    /// Credentials for a registry
    DockerRegistry {
        /// Its name
        name: String,
        /// The registry
        #[arg(long, default_value = "https://index.docker.io/v1/")]
        docker_server: String,
        /// User
        #[arg(long)]
        docker_username: String,
        /// Password
        #[arg(long)]
        docker_password: String,
        /// Mail address
        #[arg(long, default_value = "", hide_default_value = true)]
        docker_email: String,
    },
}

impl SecretArgs {
    /// The secret.
    pub(super) fn object(&self) -> Result<Value> {
        match &self.sort {
            Sort::Generic { name, data, sort } => Ok(secret(name, sort, &data.read("Secret", name)?)),
            Sort::Tls { name, cert, key } => {
                let data = [("tls.crt".to_owned(), contents(cert)?), ("tls.key".to_owned(), contents(key)?)];
                Ok(secret(name, "kubernetes.io/tls", &BTreeMap::from(data)))
            }
            Sort::DockerRegistry { name, docker_server, docker_username, docker_password, docker_email } => {
                let auth = STANDARD.encode(format!("{docker_username}:{docker_password}"));
                let mut entry = json!({"username": docker_username, "password": docker_password, "auth": auth});
                if !docker_email.is_empty() {
                    entry["email"] = json!(docker_email);
                }
                let config = json!({"auths": {docker_server.as_str(): entry}}).to_string().into_bytes();
                let data = [(".dockerconfigjson".to_owned(), config)];
                Ok(secret(name, "kubernetes.io/dockerconfigjson", &BTreeMap::from(data)))
            }
        }
    }
}

fn secret(name: &str, sort: &str, data: &BTreeMap<String, Vec<u8>>) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    if !sort.is_empty() {
        object["type"] = json!(sort);
    }
    for (key, value) in data {
        object["data"][key.as_str()] = STANDARD.encode(value).into();
    }
    object
}

impl Data {
    /// The entries; `kind` and `name` are of the object that they are for.
    pub(super) fn read(&self, kind: &str, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let has_others = !self.from_file.is_empty() || !self.from_literal.is_empty();
        if !self.from_env_file.is_empty() && has_others {
            bail!("from-env-file cannot be combined with from-file or from-literal");
        }
        let mut data = BTreeMap::new();
        for (key, value) in self.entries()? {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if key.is_empty() || !key.chars().all(fits) {
                bail!(
                    "{key:?} is not a valid key name for a {kind}: a valid config key must consist of alphanumeric \
                     characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for \
                     validation is '[-._a-zA-Z0-9]+')"
                );
            }
            if data.insert(key.clone(), value).is_some() {
                bail!("cannot add key {key:?}, another key by that name already exists in Data for {kind} {name:?}");
            }
        }
        Ok(data)
    }

    fn entries(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut entries = Vec::new();
        for literal in &self.from_literal {
            let pair = literal.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) = pair.with_context(|| format!("invalid literal source {literal}, expected key=value"))?;
            entries.push((key.to_owned(), value.as_bytes().to_vec()));
        }
        for file in &self.from_file {
            entries.extend(from_file(file)?);
        }
        for file in &self.from_env_file {
            let text = String::from_utf8(contents(file)?).with_context(|| format!("{file} is not UTF-8"))?;
            entries.extend(text.lines().filter_map(variable));
        }
        Ok(entries)
    }
}

fn from_file(word: &str) -> Result<Vec<(String, Vec<u8>)>> {
    if let Some((key, path)) = word.split_once('=') {
        return Ok(vec![(key.to_owned(), contents(path)?)]);
    }
    let path = Path::new(word);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !path.is_dir() {
        return Ok(vec![(name(path), contents(word)?)]);
    }
    let mut entries = Vec::new();
    for entry in path.read_dir().with_context(|| format!("error listing files in {word}"))? {
        let file = entry.with_context(|| format!("error listing files in {word}"))?.path();
        if file.is_file() {
            entries.push((name(&file), contents(&file.to_string_lossy())?));
        }
    }
    entries.sort();
    Ok(entries)
}

/// A line of an environment file: comments and empty lines say nothing, a name alone takes the value that we have ourselves.
fn variable(line: &str) -> Option<(String, Vec<u8>)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    match line.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.as_bytes().to_vec())),
        None => Some((line.to_owned(), std::env::var(line).ok()?.into_bytes())),
    }
}

fn contents(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!("error reading {path}: no such file or directory"),
        _ => anyhow::anyhow!("error reading {path}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(literals: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
        let from_literal = literals.iter().map(|word| (*word).to_owned()).collect();
        Data { from_literal, from_file: Vec::new(), from_env_file: Vec::new() }.read("ConfigMap", "c")
    }

    #[test]
    fn literals_are_pairs_with_good_keys() {
        let found = read(&["a=b", "c=d=e"]).unwrap();
        assert_eq!(found, BTreeMap::from([("a".to_owned(), b"b".to_vec()), ("c".to_owned(), b"d=e".to_vec())]));
        let told = |literals: &[&str]| read(literals).unwrap_err().to_string();
        assert_eq!(told(&["a"]), "invalid literal source a, expected key=value");
        let twice = "cannot add key \"a\", another key by that name already exists in Data for ConfigMap \"c\"";
        assert_eq!(told(&["a=b", "a=c"]), twice);
        assert!(told(&["a/b=c"]).starts_with("\"a/b\" is not a valid key name for a ConfigMap: "));
    }

    #[test]
    fn lines_of_an_environment_file_are_variables() {
        assert_eq!(variable("A=b c"), Some(("A".to_owned(), b"b c".to_vec())));
        assert_eq!(variable("  # A=b"), None);
        assert_eq!(variable(""), None);
    }
}
