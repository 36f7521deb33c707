//! A client that watches the creations through every fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use mainstay_client::{Api, ListParams};
use mainstay_proto::v1::WatchEventType;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Notes, creations};
use crate::check::watched::Seen;

/// How long the last events may take after the last fault.
const SETTLE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    resource_version: String,
}

/// The revision to watch from. Taken before the first creation: whatever is acknowledged later has to be shown.
pub(super) async fn beginning(api: &Api<ConfigMap>) -> Result<String> {
    let list = api.list(&ListParams::labels(creations::SELECTOR)).await.context("listing before the watch")?;
    Ok(list.resource_version)
}

pub(super) async fn run(
    api: Api<ConfigMap>,
    beginning: String,
    notes: Arc<Notes>,
    stop: CancellationToken,
) -> Result<()> {
    let mut params = ListParams::labels(creations::SELECTOR);
    params.resource_version = beginning;
    let mut watcher = api.watch(&params).await.context("starting the watch")?;
    loop {
        let events = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // An end of the watch is a fault of the system: it has to resume by itself within kept history.
            events = watcher.next() => events.context("the watch ended")?,
        };
        for event in events.iter().filter(|event| event.kind == WatchEventType::Added) {
            let named: Named = serde_json::from_slice(&event.object).context("reading an event")?;
            let revision = named.metadata.resource_version.parse().context("an event without revision")?;
            notes.seen.lock().push(Seen { name: named.metadata.name, revision });
        }
    }
}

/// Waits until the watch has shown all that was acknowledged, or long enough.
pub(super) async fn settle(notes: &Notes) {
    let until = Instant::now() + SETTLE;
    while Instant::now() < until {
        let missing = {
            let seen = notes.seen.lock();
            let shown: std::collections::BTreeSet<&str> = seen.iter().map(|event| event.name.as_str()).collect();
            notes.acknowledged.lock().iter().any(|name| !shown.contains(name.as_str()))
        };
        if !missing {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
