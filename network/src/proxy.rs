//! Follows services and endpoints and keeps the node's rules as they want.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::{Api, Client, Informer, Object, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::applier::{NetworkError, apply};
use crate::model::{Port, ports};
use crate::{conntrack, rules};

/// Changes that come together are loaded together.
const GATHER: Duration = Duration::from_millis(30);
/// After a failed load; doubles up to the longest.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// What the proxy is started with.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The node whose rules these are.
    pub node_name: String,
}

/// Keeps the rules until cancelled; they stay in force afterwards, as connections outlive the agent.
/// Failed loads are logged and tried again.
pub async fn run(client: Client, config: NetworkConfig, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let changed = Arc::new(Notify::new());
    let services = follow::<Service>(&client, &tasks, &changed, &stop);
    let slices = follow::<EndpointSlice>(&client, &tasks, &changed, &stop);
    let nodes = follow::<Node>(&client, &tasks, &changed, &stop);
    let mut proxy = Proxy { config, services, slices, nodes, changed, loaded: String::new(), ports: Vec::new() };
    tokio::select! {
        () = proxy.keep() => {}
        () = stop.cancelled() => {}
    }
    tasks.close();
    tasks.wait().await;
}

fn follow<K: Object>(
    client: &Client,
    tasks: &TaskTracker,
    changed: &Arc<Notify>,
    stop: &CancellationToken,
) -> Store<K> {
    let mut informer = Informer::<K>::new(&Api::all(client.clone()));
    let notify = Arc::clone(changed);
    informer.on_change(move |_| notify.notify_one());
    let store = informer.store();
    tasks.spawn(informer.run(stop.clone()));
    store
}

struct Proxy {
    config: NetworkConfig,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    nodes: Store<Node>,
    changed: Arc<Notify>,
    loaded: String,
    ports: Vec<Port>,
}

impl Proxy {
    async fn keep(&mut self) {
        // Half of the picture would cut off services that work.
        tokio::join!(self.services.synced(), self.slices.synced(), self.nodes.synced());
        let mut wait = RETRY;
        loop {
            match self.load().await {
                Ok(()) => {
                    wait = RETRY;
                    self.changed.notified().await;
                    tokio::time::sleep(GATHER).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "service rules not loaded");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST);
                }
            }
        }
    }

    async fn load(&mut self) -> Result<(), NetworkError> {
        let ports = ports(&self.services.list(), &self.slices.list(), &self.config.node_name);
        let mut cidrs: Vec<_> = self.nodes.list().iter().filter_map(|n| n.spec.as_ref()?.pod_cidr.clone()).collect();
        cidrs.sort();
        cidrs.dedup();
        let text = rules::ruleset(&ports, &cidrs);
        if text == self.loaded {
            return Ok(());
        }
        apply(&text).await?;
        for target in conntrack::removed(&self.ports, &ports) {
            if let Err(error) = conntrack::forget(target).await {
                tracing::debug!(%error, "stale flows not removed");
            }
        }
        tracing::debug!(ports = ports.len(), "service rules loaded");
        self.loaded = text;
        self.ports = ports;
        Ok(())
    }
}
