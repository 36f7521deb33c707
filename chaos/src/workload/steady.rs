//! A deployment with a service that runs all along, for faults that are about nodes and pods.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use mainstay_client::{Api, Client};
use serde_json::{Value, json};

use super::namespace::NAMESPACE;

/// The label of its pods.
pub(crate) const SELECTOR: &str = "app=steady";
const NAME: &str = "steady";
/// Every node of `mainstay up` has it.
const IMAGE: &str = "mainstay.local/pause:1";
/// Its first pods may take this long.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Seconds that pods stay on a node that is gone; short, so that runs are.
const TOLERATION: i64 = 2;

/// What its pods are.
pub(super) fn spec() -> Value {
    let tolerations: Vec<Value> = ["not-ready", "unreachable"]
        .iter()
        .map(|taint| {
            json!({"key": format!("node.kubernetes.io/{taint}"), "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": TOLERATION})
        })
        .collect();
    json!({"containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent"}],
        "terminationGracePeriodSeconds": 1, "tolerations": tolerations})
}

/// A pod like those of the deployment, but on its own.
///
/// # Errors
/// Never: the document is a pod.
pub(crate) fn pod(name: &str) -> Result<Pod> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec()}))?)
}

/// A deployment of so many such pods.
///
/// # Errors
/// Never: the document is a deployment.
pub(crate) fn deployment(name: &str, replicas: u32) -> Result<Deployment> {
    let labels = json!({"app": name});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec()}},
    }))?)
}

/// The label of the pod that belongs to nothing.
pub(crate) const LONE_SELECTOR: &str = "app=lone";

/// Makes the pod that belongs to nothing.
async fn lone(client: &Client) -> Result<()> {
    let mut pod = pod("lone")?;
    pod.metadata.labels = Some([("app".to_owned(), "lone".to_owned())].into());
    Api::<Pod>::namespaced(client.clone(), NAMESPACE).create(&pod).await.context("making the lone pod")?;
    Ok(())
}

/// Makes it and waits until all its pods are ready.
pub(super) async fn start(client: &Client, replicas: u32) -> Result<()> {
    let labels = json!({"app": NAME});
    let deployment = deployment(NAME, replicas)?;
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": NAME}, "spec": {"selector": labels, "ports": [{"port": 80}]},
    }))?;
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    deployments.create(&deployment).await.context("making the steady deployment")?;
    let services = Api::<Service>::namespaced(client.clone(), NAMESPACE);
    services.create(&service).await.context("making its service")?;
    lone(client).await?;
    let until = Instant::now() + START_LIMIT;
    loop {
        let ready = deployments.get(NAME).await?.status.and_then(|status| status.ready_replicas).unwrap_or(0);
        if i64::from(ready) == i64::from(replicas) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("only {ready} of {replicas} pods of the steady deployment became ready");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many pods it wants.
pub(crate) async fn replicas(client: &Client) -> Result<usize> {
    let deployment = Api::<Deployment>::namespaced(client.clone(), NAMESPACE).get(NAME).await?;
    let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    Ok(usize::try_from(wanted).unwrap_or(0))
}
