//! `bench api`: create, get, list, patch and watch of ConfigMaps over REST and gRPC, on a cluster that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use mainstay_client::{Client, Config, DeleteOptions, DynamicApi, ListParams, Patch, Target};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::rest::{Ask, RestClient};
use super::rows::{self, Row};
use super::{ApiArgs, load};

const OPERATIONS: [&str; 4] = ["create", "get", "list 100", "patch"];
/// Objects that get, list and patch choose from.
pub(super) const OBJECTS: u64 = 500;
/// Connections; more clients share them, as programs do.
const CONNECTIONS: usize = 8;
/// Clients that patch while others watch.
const WRITERS: usize = 4;
/// Nothing that arrives later is waited for.
const WATCH_OPENS: Duration = Duration::from_secs(10);

/// One way to the API.
#[derive(Clone)]
enum Face {
    Grpc(Vec<DynamicApi>),
    Rest(RestClient, String),
}

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
        let object = config_map(&known(number), args.load.value_bytes);
        clients[0].create(&object).await.context("making objects to read")?;
    }
    let rest = RestClient::connect(config, CONNECTIONS).await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let lister = clients[0].clone();
    let faces = [Face::Grpc(clients), Face::Rest(rest, path)];
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        for count in &args.load.clients {
            for face in &faces {
                rows.push(measure(args, face, operation, *count).await.with_context(|| operation.to_owned())?);
            }
        }
    }
    for count in &args.load.clients {
        for face in &faces {
            rows.push(measure_watch(args, face, &lister, *count).await.context("watch")?);
        }
    }
    Ok(rows)
}

fn row(face: &Face, op: String, clients: usize, measured: &load::Measured) -> Row {
    Row {
        system: face.name(),
        op,
        clients,
        per_s: measured.per_s,
        p50_ms: measured.p50_ms,
        p99_ms: measured.p99_ms,
        errors: measured.errors,
        rss_mib: 0,
    }
}

async fn measure(args: &ApiArgs, face: &Face, operation: &'static str, count: usize) -> Result<Row> {
    let (loaded, bytes) = (face.clone(), args.load.value_bytes);
    let measured = load::run(count, args.load.length(), move |client, sequence| {
        let face = loaded.clone();
        async move { face.call(operation, client, count, sequence, bytes).await }
    })
    .await?;
    Ok(row(face, operation.to_owned(), count, &measured))
}

/// Some patch in a closed loop; counted is what arrives at the watchers.
async fn measure_watch(args: &ApiArgs, face: &Face, lister: &DynamicApi, watchers: usize) -> Result<Row> {
    // From now on: what is there already is no change.
    let since = lister.list(&ListParams { limit: 1, ..ListParams::default() }).await?.resource_version;
    let arrived = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for client in 0..watchers {
        let open = face.follow(client, &since, arrived.clone(), &mut running);
        tokio::time::timeout(WATCH_OPENS, open).await.context("a watch does not open")??;
    }
    let (writer, bytes) = (face.clone(), args.load.value_bytes);
    let before = (Instant::now(), arrived.load(Ordering::Relaxed));
    let patches = load::run(WRITERS, args.load.length(), move |client, sequence| {
        let face = writer.clone();
        async move { face.call("patch", client, WRITERS, sequence, bytes).await }
    })
    .await?;
    let deliveries = arrived.load(Ordering::Relaxed) - before.1;
    let per_s = deliveries as f64 / before.0.elapsed().as_secs_f64();
    let measured = load::Measured { per_s, ..patches };
    Ok(row(face, "watch patches".to_owned(), watchers, &measured))
}

impl Face {
    fn name(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "gRPC",
            Self::Rest(..) => "REST",
        }
    }

    async fn call(&self, operation: &str, client: usize, count: usize, sequence: u64, bytes: usize) -> Result<()> {
        match self {
            Self::Grpc(clients) => call_grpc(&clients[client % clients.len()], operation, count, sequence, bytes).await,
            Self::Rest(rest, path) => {
                let ask = rest_ask(path, operation, count, sequence, bytes);
                rest.call(client, ask).await.map(drop)
            }
        }
    }

    /// Returns once the watch is open.
    async fn follow(
        &self,
        client: usize,
        since: &str,
        arrived: Arc<AtomicU64>,
        running: &mut JoinSet<()>,
    ) -> Result<()> {
        match self {
            Self::Grpc(clients) => {
                let from = ListParams { resource_version: since.to_owned(), ..ListParams::default() };
                let mut watcher = clients[client % clients.len()].watch(&from).await?;
                running.spawn(async move {
                    while let Ok(events) = watcher.next().await {
                        arrived.fetch_add(events.len() as u64, Ordering::Relaxed);
                    }
                });
            }
            Self::Rest(rest, path) => {
                let ask = Ask {
                    method: http::Method::GET,
                    path: format!("{path}?watch=true&resourceVersion={since}"),
                    content_type: "application/json",
                    body: bytes::Bytes::new(),
                };
                let mut body = rest.open(client, ask).await?.into_body();
                running.spawn(async move {
                    while let Some(Ok(frame)) = body.frame().await {
                        let lines =
                            frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
                        arrived.fetch_add(lines as u64, Ordering::Relaxed);
                    }
                });
            }
        }
        Ok(())
    }
}

pub(super) async fn call_grpc(
    api: &DynamicApi,
    operation: &str,
    count: usize,
    sequence: u64,
    bytes: usize,
) -> Result<()> {
    match operation {
        "create" => api.create(&config_map(&made("grpc", count, sequence), bytes)).await.map(drop)?,
        "get" => api.get(&known(sequence % OBJECTS), "").await.map(drop)?,
        "patch" => api.patch(&known(sequence % OBJECTS), "", &Patch::Merge(change(sequence))).await.map(drop)?,
        _ => api.list(&ListParams { limit: 100, ..ListParams::default() }).await.map(drop)?,
    }
    Ok(())
}

fn rest_ask(path: &str, operation: &str, count: usize, sequence: u64, bytes: usize) -> Ask {
    let one = format!("{path}/{}", known(sequence % OBJECTS));
    let (method, path, body) = match operation {
        "create" => (http::Method::POST, path.to_owned(), Some(config_map(&made("rest", count, sequence), bytes))),
        "get" => (http::Method::GET, one, None),
        "patch" => (http::Method::PATCH, one, Some(change(sequence))),
        _ => (http::Method::GET, format!("{path}?limit=100"), None),
    };
    let content_type = if operation == "patch" { "application/merge-patch+json" } else { "application/json" };
    Ask { method, path, content_type, body: body.map(|body| body.to_string().into()).unwrap_or_default() }
}

pub(super) fn known(number: u64) -> String {
    format!("known-{number}")
}

fn made(face: &str, count: usize, sequence: u64) -> String {
    format!("made-{face}-{count}-{sequence}")
}

fn change(sequence: u64) -> Value {
    json!({"data": {"sequence": sequence.to_string()}})
}

pub(super) fn config_map(name: &str, bytes: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": "v".repeat(bytes)}})
}
