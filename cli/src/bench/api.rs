//! `bench api`: create, get, list and patch of ConfigMaps over gRPC, on a cluster that runs.

use anyhow::{Context, Result};
use mainstay_client::{Client, Config, DeleteOptions, DynamicApi, ListParams, Patch, Target};
use serde_json::{Value, json};

use super::rows::{self, Row};
use super::{ApiArgs, load};

const OPERATIONS: [&str; 4] = ["create", "get", "list", "patch"];
/// Objects that get, list and patch choose from.
const OBJECTS: u64 = 500;
/// Connections; more clients share them, as programs do.
const CONNECTIONS: usize = 8;

/// Makes a namespace, loads it, removes it, prints the rows.
pub(super) async fn run(args: &ApiArgs) -> Result<()> {
    let config = Config::from_kubeconfig(&args.kubeconfig)?;
    let namespace = format!("bench-{}", std::process::id());
    let namespaces = DynamicApi::all(Client::connect(&config)?, Target::new("", "v1", "namespaces"));
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    namespaces.create(&object).await.context("making a namespace for the load")?;
    let outcome = measure_all(args, &config, &namespace).await;
    namespaces.delete(&namespace, &DeleteOptions::default()).await.context("removing the namespace of the load")?;
    rows::print(&outcome?, args.load.json)
}

async fn measure_all(args: &ApiArgs, config: &Config, namespace: &str) -> Result<Vec<Row>> {
    let target = || Target::new("", "v1", "configmaps");
    let clients: Vec<DynamicApi> = (0..CONNECTIONS)
        .map(|_| Ok(DynamicApi::namespaced(Client::connect(config)?, target(), namespace)))
        .collect::<Result<_>>()?;
    for number in 0..OBJECTS {
        clients[0]
            .create(&config_map(&known(number), args.load.value_bytes))
            .await
            .context("making objects to read")?;
    }
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        for count in &args.load.clients {
            rows.push(measure(args, &clients, operation, *count).await.with_context(|| operation.to_owned())?);
        }
    }
    Ok(rows)
}

async fn measure(args: &ApiArgs, clients: &[DynamicApi], operation: &'static str, count: usize) -> Result<Row> {
    let (clients, bytes) = (clients.to_vec(), args.load.value_bytes);
    let measured = load::run(count, args.load.length(), move |client, sequence| {
        let api = clients[client % clients.len()].clone();
        async move { call(&api, operation, count, sequence, bytes).await }
    })
    .await?;
    Ok(Row {
        system: "mainstay",
        op: operation.to_owned(),
        clients: count,
        per_s: measured.per_s,
        p50_ms: measured.p50_ms,
        p99_ms: measured.p99_ms,
        errors: measured.errors,
        rss_mib: 0,
    })
}

async fn call(api: &DynamicApi, operation: &str, count: usize, sequence: u64, bytes: usize) -> Result<()> {
    match operation {
        "create" => api.create(&config_map(&format!("made-{count}-{sequence}"), bytes)).await.map(drop)?,
        "get" => api.get(&known(sequence % OBJECTS), "").await.map(drop)?,
        "list" => api.list(&ListParams { limit: 100, ..ListParams::default() }).await.map(drop)?,
        _ => {
            let patch = Patch::Merge(json!({"data": {"sequence": sequence.to_string()}}));
            api.patch(&known(sequence % OBJECTS), "", &patch).await.map(drop)?;
        }
    }
    Ok(())
}

fn known(number: u64) -> String {
    format!("known-{number}")
}

fn config_map(name: &str, bytes: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": "v".repeat(bytes)}})
}
