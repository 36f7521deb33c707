//! Clients that move amounts between accounts, each move one transaction, and one that adds up what is there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use mainstay_client::{Api, ListParams};
use rand::Rng;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Notes;
use crate::check::conserved::EACH;

/// Few, so that clients meet.
pub(crate) const ACCOUNTS: usize = 4;
const SELECTOR: &str = "chaos=account";
const PAUSE: Duration = Duration::from_millis(25);

pub(super) async fn create(api: &Api<ConfigMap>) -> Result<()> {
    for number in 0..ACCOUNTS {
        let object = json!({"metadata": {"name": name(number), "labels": {"chaos": "account"}},
            "data": {"value": EACH.to_string()}});
        api.create(&serde_json::from_value(object)?).await.context("making an account")?;
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("account-{number}")
}

fn value(object: &ConfigMap) -> Result<i64> {
    let text = object.data.as_ref().and_then(|data| data.get("value")).context("an account without value")?;
    text.parse().context("an account that holds no number")
}

fn set(object: &mut ConfigMap, value: i64) {
    object.data.get_or_insert_default().insert("value".to_owned(), value.to_string());
}

/// Whether a transfer happened is nobody's business here: that it happened whole is.
pub(super) async fn run(api: Api<ConfigMap>, stop: CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        tokio::time::sleep(PAUSE).await;
        let (from, to) = {
            let mut random = rand::rng();
            let from = random.random_range(0..ACCOUNTS);
            (from, (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS)
        };
        let (Ok(mut from), Ok(mut to)) = (api.get(&name(from)).await, api.get(&name(to)).await) else { continue };
        let (rich, poor) = (value(&from)?, value(&to)?);
        set(&mut from, rich - 1);
        set(&mut to, poor + 1);
        let writes = vec![api.update_op(&from)?, api.update_op(&to)?];
        if api.client().txn(writes).await.is_ok() {
            tracing::trace!("a transfer");
        }
    }
    Ok(())
}

/// Adds up all accounts, as one list shows them.
pub(super) async fn audit(api: Api<ConfigMap>, notes: Arc<Notes>, stop: CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        tokio::time::sleep(PAUSE).await;
        let Ok(list) = api.list(&ListParams::labels(SELECTOR)).await else { continue };
        let values: Vec<i64> = list.items.iter().map(value).collect::<Result<_>>()?;
        notes.sums.lock().push(values.iter().sum());
    }
    Ok(())
}
