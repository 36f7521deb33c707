//! Waiting until masters answer and nodes are ready.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mainstay_client::{Client, Config, DynamicApi, ListParams, Target};
use serde_json::Value;

use super::keeper::Keeper;
use crate::connect::Rest;

/// A master answers within this, its first fsyncs on a slow disk included.
const MASTER_PATIENCE: Duration = Duration::from_secs(60);
/// All nodes are ready within this.
const NODES_PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Returns once the master at `url` says that it is ready.
pub(super) async fn master(keeper: &Keeper, url: &str, data_dir: &Path) -> Result<()> {
    let deadline = Instant::now() + MASTER_PATIENCE;
    let ca = data_dir.join("pki/ca.crt");
    loop {
        keeper.check()?;
        let ready = match std::fs::read_to_string(&ca) {
            Ok(ca_pem) => answers(url, ca_pem).await,
            Err(_) => false,
        };
        if ready {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "the master at {url} is not ready after {} s; see its log in {}",
                MASTER_PATIENCE.as_secs(),
                keeper.logs().display()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn answers(url: &str, ca_pem: String) -> bool {
    let config = Config { ca_pem: Some(ca_pem), ..Config::new(vec![url.to_owned()]) };
    let Ok(rest) = Rest::new(&config) else { return false };
    let answer = tokio::time::timeout(Duration::from_secs(2), rest.get("/readyz", &[])).await;
    matches!(answer, Ok(Ok(_)))
}

/// Returns once so many nodes are ready.
pub(super) async fn nodes(keeper: &Keeper, kubeconfig: &Path, wanted: usize) -> Result<()> {
    let client = Client::connect(&Config::from_kubeconfig(kubeconfig)?)?;
    let api = DynamicApi::all(client, Target::new("", "v1", "nodes"));
    let deadline = Instant::now() + NODES_PATIENCE;
    loop {
        keeper.check()?;
        let last = match api.list(&ListParams::default()).await.context("listing nodes") {
            Ok(list) => {
                let ready = list.items.iter().filter(|node| is_ready(node)).count();
                if ready >= wanted {
                    return Ok(());
                }
                format!("{ready} of {wanted} nodes are ready")
            }
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > deadline {
            bail!("after {} s {last}; see the agents' logs in {}", NODES_PATIENCE.as_secs(), keeper.logs().display());
        }
        tokio::time::sleep(POLL).await;
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.is_some_and(|list| list.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}
