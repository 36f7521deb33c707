//! Clients that create one object after the other and remember what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use mainstay_client::{Api, ListParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Notes;

/// The label of all of them.
pub(super) const SELECTOR: &str = "chaos=creation";
/// The shortest gap that can be told from ordinary work.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) async fn run(client: u32, api: Api<ConfigMap>, notes: Arc<Notes>, stop: CancellationToken) -> Result<()> {
    let mut sequence: u64 = 0;
    while !stop.is_cancelled() {
        sequence += 1;
        let name = format!("created-{client}-{sequence}");
        let object = json!({"metadata": {"name": name, "labels": {"chaos": "creation"}}});
        if api.create(&serde_json::from_value(object)?).await.is_ok() {
            notes.history.acknowledge(notes.now());
            notes.acknowledged.lock().insert(name);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The names of those that exist.
pub(super) async fn names(api: &Api<ConfigMap>) -> Result<BTreeSet<String>> {
    let list = api.list(&ListParams::labels(SELECTOR)).await.context("listing what was created")?;
    Ok(list.items.into_iter().filter_map(|object| object.metadata.name).collect())
}
