//! `bench api`: create, get, list, patch and watch of ConfigMaps over REST and gRPC, and lists of many pods, on a cluster
//! that runs.

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
use super::{ApiArgs, load, pods};

const OPERATIONS: [&str; 4] = ["create", "get", "list 100", "patch"];
/// Objects that get, list and patch choose from.
pub(super) const OBJECTS: u64 = 500;
/// Connections; more clients share them, as programs do.
const CONNECTIONS: usize = 8;
/// Clients that patch while others watch.
const WRITERS: usize = 4;
/// Watches of one collection at once, one measurement each.
const WATCHERS: [usize; 2] = [100, 1000];
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
    let faces = [Face::Grpc(clients), Face::Rest(rest.clone(), path)];
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        for count in &args.load.clients {
            for face in &faces {
                let row = measure(args, face, operation, *count).await.with_context(|| operation.to_owned())?;
                rows.push(Row { rss_mib: rest.resident_mib().await?, ..row });
            }
        }
    }
    for count in WATCHERS {
        for face in &faces {
            rows.push(measure_watch(args, face, &lister, &rest, count).await.context("watch")?);
        }
    }
    if args.pods > 0 {
        rows.extend(pods::measure_all(args, config, &rest, namespace).await.context("pods")?);
    }
    Ok(rows)
}

fn row(face: &Face, op: String, clients: usize, measured: &load::Measured) -> Row {
    Row::new(face.name(), op, clients, measured)
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
async fn measure_watch(
    args: &ApiArgs,
    face: &Face,
    lister: &DynamicApi,
    rest: &RestClient,
    watchers: usize,
) -> Result<Row> {
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
    let row = row(face, format!("watch x{watchers}"), WRITERS, &load::Measured { per_s, ..patches });
    Ok(Row { rss_mib: rest.resident_mib().await?, ..row })
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
                let ask = Ask::get(format!("{path}?watch=true&resourceVersion={since}"));
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
    match operation {
        "create" => {
            let object = config_map(&made("rest", count, sequence), bytes);
            Ask::new(http::Method::POST, path.to_owned(), "application/json", &object)
        }
        "get" => Ask::get(one),
        "patch" => Ask::new(http::Method::PATCH, one, "application/merge-patch+json", &change(sequence)),
        _ => Ask::get(format!("{path}?limit=100")),
    }
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
