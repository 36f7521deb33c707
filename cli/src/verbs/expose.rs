//! `mainstay expose`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use super::print::{self, Form};
use super::session::Common;
use super::{kinds, selection};

/// `mainstay expose`
#[derive(Args)]
pub(crate) struct ExposeArgs {
    #[command(flatten)]
    common: Common,
    /// What: deployment/web
    #[arg(required = true, value_name = "TYPE NAME")]
    what: Vec<String>,
    /// The service's name; that of what is exposed if not given
    #[arg(long)]
    name: Option<String>,
    /// The service's port; the containers' ports if not given
    #[arg(long)]
    port: Option<u16>,
    /// Port number or name of the container; the service's if not given
    #[arg(long, default_value = "", hide_default_value = true)]
    target_port: String,
    /// TCP, UDP or SCTP
    #[arg(long, default_value = "TCP")]
    protocol: String,
    /// `ClusterIP`, `NodePort` or `LoadBalancer`
    #[arg(long = "type", default_value = "ClusterIP", value_name = "TYPE")]
    sort: String,
    /// Only say what would be made: none, client or server
    #[arg(long, default_value = "none", value_name = "HOW")]
    dry_run: String,
    #[command(flatten)]
    output: Output,
}

/// Makes a service for the pods of a workload, of a pod, or of another service.
pub(crate) async fn run(args: ExposeArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let session = args.common.session()?;
    let (row, name) = selection::one(&session, &args.what).await?;
    let object = session.api(&row).get(&name, "").await?;
    let service = service(&args, &object)?;
    let services = kinds::find(&session, "services").await?;
    let (made, how) = match args.dry_run.as_str() {
        "none" => (session.api(&services).create(&service).await?, ""),
        "server" => (session.api(&services).dry_run(true).create(&service).await?, " (server dry run)"),
        "client" => (service, " (dry run)"),
        other => bail!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."),
    };
    if form != (Form::Table { wide: false }) {
        print::objects(&form, &[(services, made)], false)?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    print::line(&format!("{} exposed{how}", print::kind_name(&services, name)))?;
    Ok(ExitCode::SUCCESS)
}

fn service(args: &ExposeArgs, object: &Value) -> Result<Value> {
    let name = args.name.as_deref().or(object["metadata"]["name"].as_str()).unwrap_or_default();
    Ok(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": object["metadata"]["labels"]},
        "spec": {"selector": selector(object)?, "ports": ports(args, object)?, "type": args.sort},
    }))
}

/// The labels of the pods.
fn selector(object: &Value) -> Result<Value> {
    if object["spec"]["selector"]["matchExpressions"].as_array().is_some_and(|list| !list.is_empty()) {
        bail!("couldn't convert expressions - \"{}\" to map-based selector format", object["spec"]["selector"]);
    }
    let candidates = match object["kind"].as_str().unwrap_or_default() {
        "Pod" => &object["metadata"]["labels"],
        "Service" | "ReplicationController" => &object["spec"]["selector"],
        _ => &object["spec"]["selector"]["matchLabels"],
    };
    if candidates.as_object().is_none_or(serde_json::Map::is_empty) {
        bail!("it has no labels to select its pods by");
    }
    Ok(candidates.clone())
}

fn ports(args: &ExposeArgs, object: &Value) -> Result<Vec<Value>> {
    if let Some(port) = args.port {
        return Ok(vec![json!({"port": port, "protocol": args.protocol, "targetPort": target(args, port.into())})]);
    }
    let found: Vec<(&Value, &Value)> = container_ports(object);
    match found.as_slice() {
        [] => bail!("couldn't find port via --port flag or introspection"),
        [(port, protocol)] => Ok(vec![
            json!({"port": port, "protocol": protocol, "targetPort": target(args, port.as_u64().unwrap_or_default())}),
        ]),
        many => Ok(many
            .iter()
            .enumerate()
            .map(|(index, (port, protocol))| {
                let target = target(args, port.as_u64().unwrap_or_default());
                json!({"name": format!("port-{}", index + 1), "port": port, "protocol": protocol, "targetPort": target})
            })
            .collect()),
    }
}

fn container_ports(object: &Value) -> Vec<(&Value, &Value)> {
    let spec = object.pointer("/spec/template/spec").unwrap_or(&object["spec"]);
    let containers = spec["containers"].as_array().into_iter().flatten();
    let of_containers = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let of_service = object["spec"]["ports"].as_array().into_iter().flatten();
    of_containers
        .map(|port| (&port["containerPort"], &port["protocol"]))
        .chain(of_service.map(|port| (&port["port"], &port["protocol"])))
        .collect()
}

fn target(args: &ExposeArgs, port: u64) -> Value {
    match args.target_port.as_str() {
        "" => json!(port),
        text => text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number)),
    }
}
