//! A deployment that is scaled and rolled all the time, a StatefulSet, and pods that come and go. What is wrong with them
//! shows when all has settled; a call that fails is made again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Api, Client, DeleteOptions, ListParams, Patch};
use rand::Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::namespace::NAMESPACE;
use super::{Notes, steady};
use crate::check::identity::Living;

const ROLL: &str = "changing";
const SET: &str = "identity";
/// Between two changes of the deployment.
const ROLL_PAUSE: Duration = Duration::from_millis(2500);
/// Between looks at what lives.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
const CHURN_PAUSE: Duration = Duration::from_millis(400);

fn template(name: &str) -> Value {
    json!({"metadata": {"labels": {"app": name}}, "spec": steady::spec()})
}

pub(super) async fn create(client: &Client) -> Result<()> {
    let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": ROLL},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": ROLL}}, "template": template(ROLL)}}))?;
    let set: StatefulSet = serde_json::from_value(json!({"metadata": {"name": SET},
        "spec": {"replicas": 2, "serviceName": SET, "selector": {"matchLabels": {"app": SET}},
            "template": template(SET)}}))?;
    let api = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    api.create(&deployment).await.context("making a deployment that changes")?;
    let api = Api::<StatefulSet>::namespaced(client.clone(), NAMESPACE);
    api.create(&set).await.context("making a StatefulSet")?;
    Ok(())
}

/// Scales and rolls in turn.
pub(super) async fn roll(client: Client, stop: CancellationToken) -> Result<()> {
    let api = Api::<Deployment>::namespaced(client, NAMESPACE);
    let mut number = 0_u32;
    while !stop.is_cancelled() {
        number += 1;
        let replicas = rand::rng().random_range(1..=3);
        let change = match number % 2 {
            0 => json!({"spec": {"replicas": replicas}}),
            _ => json!({"spec": {"template": {"metadata": {"annotations": {"turn": number.to_string()}}}}}),
        };
        if let Err(error) = api.patch(ROLL, &Patch::Merge(change)).await {
            tracing::debug!(%error, "a change was not made");
        }
        tokio::select! {
            () = tokio::time::sleep(ROLL_PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Makes a pod and deletes it again.
pub(super) async fn churn(client: Client, stop: CancellationToken) -> Result<()> {
    let api = Api::<Pod>::namespaced(client, NAMESPACE);
    let mut number = 0_u32;
    let mut there = Vec::new();
    while !stop.is_cancelled() || !there.is_empty() {
        tokio::time::sleep(CHURN_PAUSE).await;
        if !stop.is_cancelled() && there.len() < 3 {
            number += 1;
            let name = format!("churn-{number}");
            // Also when the answer got lost: it may be there.
            if let Err(error) = api.create(&steady::pod(&name)?).await {
                tracing::debug!(%error, "a pod may not have been made");
            }
            there.push(name);
            continue;
        }
        let Some(name) = there.first() else { continue };
        match api.delete(name, &DeleteOptions::default()).await {
            Err(error) if !error.is_not_found() => tracing::debug!(%error, "a pod was not deleted"),
            _ => drop(there.remove(0)),
        }
    }
    Ok(())
}

/// Looks which pods of the StatefulSet have living processes.
pub(super) async fn identities(client: Client, notes: Arc<Notes>, stop: CancellationToken) -> Result<()> {
    let api = Api::<Pod>::namespaced(client, NAMESPACE);
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    while !stop.is_cancelled() {
        tokio::time::sleep(LOOK_PAUSE).await;
        let listed = tokio::time::timeout(LOOK_PAUSE, api.list(&ListParams::labels(format!("app={SET}")))).await;
        for pod in listed.into_iter().flatten().flat_map(|list| list.items) {
            names.extend(pod.metadata.uid.zip(pod.metadata.name));
        }
        let known = names.clone();
        let living = tokio::task::spawn_blocking(move || living(&known)).await.context("looking at processes")?;
        notes.living.lock().push(living);
    }
    Ok(())
}

/// A process belongs to a pod by its control group.
fn living(names: &BTreeMap<String, String>) -> Living {
    let mut living = Living::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for group in entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cgroup")).ok()) {
        let owners = names.iter().filter(|(uid, _)| group.contains(uid.as_str()));
        for (uid, name) in owners {
            living.entry(name.clone()).or_default().insert(uid.clone());
        }
    }
    living
}
