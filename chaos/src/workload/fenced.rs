//! Clients that write in the name of a leadership, each through one master of its own and in the term which that master
//! last told: an isolated master goes on telling an old one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use mainstay_client::{Api, Client, Term};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Notes;
use super::namespace::NAMESPACE;
use crate::check::one_leader::Fenced;
use crate::status::Asker;

const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(
    number: usize,
    client: Client,
    asker: Asker,
    notes: Arc<Notes>,
    stop: CancellationToken,
) -> Result<()> {
    let object: ConfigMap = serde_json::from_value(json!({"metadata": {"generateName": format!("fenced-{number}-")}}))?;
    let mut term = None;
    while !stop.is_cancelled() {
        tokio::time::sleep(PAUSE).await;
        let Some(believed) = term else {
            term = asker.leadership().await.ok().flatten().map(|leadership| leadership.term);
            continue;
        };
        let api = Api::<ConfigMap>::namespaced(client.with_term(Term(believed)), NAMESPACE);
        let sent = notes.now();
        match api.create(&object).await {
            Ok(_) => notes.fenced.lock().push(Fenced { term: believed, sent, answered: notes.now() }),
            Err(_) => term = None,
        }
    }
    Ok(())
}
