//! `mainstay create`: from files, or from a few words.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::apply::place;
use super::kinds;
use super::manifest::Files;
use super::output::Output;
use super::print::{self, Form};
use super::session::{Common, Session};

/// `mainstay create`
#[derive(Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    files: Files,
    /// Only say what would be made: none, client or server
    #[arg(long, global = true, default_value = "none", value_name = "HOW")]
    dry_run: String,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// A deployment of one container
    #[command(visible_alias = "deploy")]
    Deployment {
        /// Its name
        name: String,
        /// The container's image
        #[arg(long)]
        image: String,
        /// Number of pods
        #[arg(long, short = 'r', default_value_t = 1)]
        replicas: u32,
        /// A port of the container
        #[arg(long)]
        port: Option<u16>,
        /// The container's command
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// A namespace
    #[command(visible_alias = "ns")]
    Namespace {
        /// Its name
        name: String,
    },
    /// A config map
    #[command(visible_alias = "cm")]
    Configmap {
        /// Its name
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// A secret
    Secret {
        /// Its sort: generic
        sort: String,
        /// Its name
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// A service account
    #[command(visible_alias = "sa")]
    Serviceaccount {
        /// Its name
        name: String,
    },
}

#[derive(Args)]
struct Data {
    /// KEY=VALUE
    #[arg(long)]
    from_literal: Vec<String>,
    /// FILE or KEY=FILE
    #[arg(long)]
    from_file: Vec<String>,
}

/// Creates.
pub(crate) async fn run(args: CreateArgs) -> Result<ExitCode> {
    let objects = match &args.what {
        Some(what) => vec![what.object()?],
        None if args.files.is_empty() => {
            bail!("say what to create: -f FILE, or deployment, namespace, configmap, secret, serviceaccount")
        }
        None => args.files.read()?,
    };
    let form = args.output.form()?;
    let session = args.common.session()?;
    let mut failed = false;
    for object in objects {
        if let Err(error) = create(&args, &session, &form, object).await {
            eprintln!("error: {error:#}");
            failed = true;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn create(args: &CreateArgs, session: &Session, form: &Form, mut object: Value) -> Result<()> {
    let row = kinds::of_object(session, &object).await?;
    place(session, row.namespaced, &mut object);
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let made = if args.dry_run == "client" {
        object
    } else {
        let api = session.api_in(&row, &namespace).manager("mainstay-create").dry_run(args.dry_run == "server");
        api.create(&object).await?
    };
    if *form != (Form::Table { wide: false }) {
        return print::objects(form, &[(row, made)], false);
    }
    let note = if args.dry_run == "none" { String::new() } else { format!(" ({} dry run)", args.dry_run) };
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    print::line(&format!("{} created{note}", print::kind_name(&row, name)))
}

impl What {
    fn object(&self) -> Result<Value> {
        Ok(match self {
            What::Deployment { name, image, replicas, port, command } => {
                deployment(name, image, *replicas, *port, command)
            }
            What::Namespace { name } => json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            What::Serviceaccount { name } => {
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
            }
            What::Configmap { name, data } => config_map(name, data)?,
            What::Secret { sort, name, data } if sort == "generic" => {
                let data: BTreeMap<String, String> =
                    data.read()?.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": data})
            }
            What::Secret { sort, .. } => {
                bail!("secrets of sort {sort:?} are made from files: -f FILE; here there is: generic")
            }
        })
    }
}

fn deployment(name: &str, image: &str, replicas: u32, port: Option<u16>, command: &[String]) -> Value {
    let container_name = image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or(image);
    let mut container = json!({"name": container_name, "image": image});
    if let Some(port) = port {
        container["ports"] = json!([{"containerPort": port}]);
    }
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    })
}

/// What is not UTF-8 goes to binaryData.
fn config_map(name: &str, data: &Data) -> Result<Value> {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (key, value) in data.read()? {
        match String::from_utf8(value) {
            Ok(text) => object["data"][key] = text.into(),
            Err(error) => object["binaryData"][key] = STANDARD.encode(error.as_bytes()).into(),
        }
    }
    Ok(object)
}

impl Data {
    fn read(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut data = BTreeMap::new();
        for literal in &self.from_literal {
            let (key, value) = literal.split_once('=').with_context(|| format!("{literal:?} is not KEY=VALUE"))?;
            data.insert(key.to_owned(), value.as_bytes().to_vec());
        }
        for file in &self.from_file {
            let (key, path) = match file.split_once('=') {
                Some((key, path)) => (key.to_owned(), path),
                None => (Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned(), file.as_str()),
            };
            data.insert(key, std::fs::read(path).with_context(|| format!("cannot read {path}"))?);
        }
        Ok(data)
    }
}
