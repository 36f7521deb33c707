//! `mainstay expose`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::dry_run::{DryRun, DryRunArgs};
use super::get::without_managed_fields;
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
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    output: Output,
}

/// Makes a service for the pods of a workload, of a pod, or of another service.
pub(crate) async fn run(args: ExposeArgs) -> Result<ExitCode> {
    let (form, dry_run) = (args.output.form()?, args.dry_run.how()?);
    let session = args.common.session()?;
    let (row, name) = selection::one(&session, &args.what).await?;
    let object = session.api(&row).get(&name, "").await?;
    let service = service(&args, &object)?;
    let services = kinds::find(&session, "services").await?;
    let mut made = match dry_run {
        DryRun::Client => service,
        _ => session.api(&services).dry_run(dry_run == DryRun::Server).create(&service).await?,
    };
    if form != (Form::Table { wide: false }) {
        without_managed_fields(&mut made);
        print::objects(&form, &[(services, made)], false)?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    print::line(&format!("{} exposed{}", print::kind_name(&services, name), dry_run.note()))?;
    Ok(ExitCode::SUCCESS)
}

fn service(args: &ExposeArgs, object: &Value) -> Result<Value> {
    let name = args.name.as_deref().or(object["metadata"]["name"].as_str()).unwrap_or_default();
    let mut metadata = json!({"name": name});
    if object["metadata"]["labels"].is_object() {
        metadata["labels"] = object["metadata"]["labels"].clone();
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
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
