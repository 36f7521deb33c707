//! The namespace of a run.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use mainstay_client::Api;
use serde_json::json;

/// Where the objects of a run live.
pub(crate) const NAMESPACE: &str = "mainstay-chaos";

/// Makes it, and waits out the removal of an earlier run's.
pub(super) async fn prepare(namespaces: &Api<Namespace>) -> Result<()> {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match namespaces.create(&namespace).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > until => {
                return Err(error).with_context(|| format!("making namespace {NAMESPACE}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
