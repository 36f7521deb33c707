//! The part of `bench api` that is about many objects in one collection: pods that no scheduler is told of, listed whole, by
//! label and by pages, and patched in their status, over REST.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use mainstay_client::Config;
use serde_json::{Value, json};

use super::rest::{Ask, RestClient};
use super::rows::Row;
use super::{ApiArgs, load};

/// Pods are made by so many calls at once.
const MAKERS: usize = 64;
/// Connections.
const CONNECTIONS: usize = 8;
/// Each label value is on one pod of so many.
const LABELS: u64 = 10;
/// Objects of a page, as kubectl asks for.
const PAGE: u64 = 500;
/// A new namespace has its service account after some moments.
const ACCOUNT_WAIT: Duration = Duration::from_secs(20);

/// What is listed.
#[derive(Clone, Copy)]
enum List {
    Whole,
    ByLabel,
    ByPages,
}

/// Makes the pods, then measures.
pub(super) async fn measure_all(
    args: &ApiArgs,
    config: &Config,
    rest: &RestClient,
    namespace: &str,
) -> Result<Vec<Row>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    wait_for_account(rest, namespace).await?;
    let load = RestClient::connect(config, CONNECTIONS).await?;
    let calls = stream::iter(0..args.pods).map(|number| {
        let ask = Ask::new(http::Method::POST, path.clone(), "application/json", &pod(number));
        let load = load.clone();
        async move { load.call(number as usize, ask).await.map(drop) }
    });
    calls.buffer_unordered(MAKERS).try_collect::<()>().await.context("making pods")?;
    let mut rows = Vec::new();
    for list in [List::Whole, List::ByLabel, List::ByPages] {
        let (load, path) = (load.clone(), path.clone());
        let call = move |client: usize, _| {
            let (load, path) = (load.clone(), path.clone());
            async move { list.call(&load, client, &path).await }
        };
        let measured = load::run(1, args.load.length(), call).await?;
        rows.push(row(rest, list.name(args.pods), 1, &measured).await?);
    }
    for count in &args.load.clients {
        let (load, path, pods) = (load.clone(), path.clone(), args.pods);
        let call = move |client: usize, sequence: u64| {
            let (load, ask) = (load.clone(), status_patch(&path, sequence % pods, sequence));
            async move { load.call(client, ask).await.map(drop) }
        };
        let measured = load::run(*count, args.load.length(), call).await?;
        rows.push(row(rest, "patch status".to_owned(), *count, &measured).await?);
    }
    Ok(rows)
}

async fn row(rest: &RestClient, op: String, clients: usize, measured: &load::Measured) -> Result<Row> {
    Ok(Row { rss_mib: rest.resident_mib().await?, ..Row::new("REST", op, clients, measured) })
}

async fn wait_for_account(rest: &RestClient, namespace: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
    let there = async {
        while rest.call(0, Ask::get(path.clone())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(ACCOUNT_WAIT, there).await.context("the namespace gets no service account")
}

impl List {
    fn name(self, pods: u64) -> String {
        match self {
            Self::Whole => format!("list {pods} pods"),
            Self::ByLabel => format!("list 1 in {LABELS} of {pods} by label"),
            Self::ByPages => format!("list {pods} pods by {PAGE}"),
        }
    }

    async fn call(self, load: &RestClient, client: usize, path: &str) -> Result<()> {
        match self {
            Self::Whole => load.drain(client, Ask::get(path.to_owned())).await,
            Self::ByLabel => load.drain(client, Ask::get(format!("{path}?labelSelector=part%3D3"))).await,
            Self::ByPages => pages(load, client, path).await,
        }
    }
}

/// Page after page, to the last.
async fn pages(load: &RestClient, client: usize, path: &str) -> Result<()> {
    let mut page = load.call(client, Ask::get(format!("{path}?limit={PAGE}"))).await?;
    while let Some(token) = continuation(&page)? {
        page = load.call(client, Ask::get(format!("{path}?limit={PAGE}&continue={token}"))).await?;
    }
    Ok(())
}

/// The token of the next page, from the list's metadata, which come first.
fn continuation(page: &[u8]) -> Result<Option<String>> {
    let (begin, end) = ("\"continue\":\"", b"\"items\":");
    let Some(items) = page.windows(end.len()).position(|bytes| bytes == end) else {
        bail!("a list without items: {}", String::from_utf8_lossy(&page[..page.len().min(200)]));
    };
    let head = std::str::from_utf8(&page[..items]).context("a list's metadata")?;
    let token = head.split(begin).nth(1).and_then(|rest| rest.split('"').next());
    Ok(token.filter(|token| !token.is_empty()).map(str::to_owned))
}

fn pod(number: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("pod-{number}"), "labels": {"app": "bench", "part": (number % LABELS).to_string()}},
        "spec": {
            // Of no scheduler that runs.
            "schedulerName": "bench",
            "containers": [{
                "name": "main",
                "image": "bench/web:1",
                "ports": [{"containerPort": 8080}],
                "env": [{"name": "NUMBER", "value": number.to_string()}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
            }],
        },
    })
}

fn status_patch(path: &str, number: u64, sequence: u64) -> Ask {
    let condition = json!({"type": "Ready", "status": "False", "reason": "Bench", "message": sequence.to_string()});
    let patch = json!({"status": {"conditions": [condition]}});
    let path = format!("{path}/pod-{number}/status");
    Ask::new(http::Method::PATCH, path, "application/strategic-merge-patch+json", &patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_next_page_is_in_the_lists_metadata() {
        let page = |metadata: &str| format!("{{\"kind\":\"PodList\",\"metadata\":{{{metadata}}},\"items\":[]}}\n");
        let next = |metadata: &str| continuation(page(metadata).as_bytes()).unwrap();
        assert_eq!(next("\"resourceVersion\":\"7\",\"continue\":\"abc\""), Some("abc".to_owned()));
        assert_eq!(next("\"resourceVersion\":\"7\""), None);
        assert!(continuation(b"{\"kind\":\"Status\"}").is_err());
    }
}
