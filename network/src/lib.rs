//! Service proxy: what connects to a service's address reaches one of its pods.
//!
//! [`plan`] flattens services and endpoint slices, [`ruleset`] writes them as one nftables transaction; both are pure.
//! [`run`] follows the API and loads a new ruleset whenever it differs. Each node has its own table in its own network
//! namespace. Rules stay in force when the masters, or this task, are gone. IPv4 only.

mod error;
mod nft;
pub mod plan;
pub mod ruleset;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::{Api, Client, Informer, Store};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use crate::error::NetworkError;
use crate::plan::{Frontend, Protocol, frontends};
use crate::ruleset::{Names, TABLE, render};

/// Changes that come together are loaded together.
const QUIET: Duration = Duration::from_millis(20);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// Whose proxy this is.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The node's name; local traffic policies go by it.
    pub node_name: String,
    /// Addresses of the node's own pods; what comes to cluster addresses from elsewhere is masqueraded.
    pub pod_cidr: Option<String>,
}

/// Keeps the node's rules as the API says, until `stop`. The rules stay.
pub async fn run(client: Client, config: NetworkConfig, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let changed = Arc::new(Notify::new());
    let mut services = Informer::new(&Api::<Service>::all(client.clone()));
    let mut slices = Informer::new(&Api::<EndpointSlice>::all(client));
    let (by_service, by_slice) = (changed.clone(), changed.clone());
    services.on_change(move |_| by_service.notify_one());
    slices.on_change(move |_| by_slice.notify_one());
    let proxy = Proxy { config, services: services.store(), slices: slices.store(), loaded: None };
    tasks.spawn(services.run(stop.clone()));
    tasks.spawn(slices.run(stop.clone()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = proxy.follow(&changed) => {}
    }
    while tasks.join_next().await.is_some() {}
}

/// Removes the node's rules.
///
/// # Errors
/// When `nft` cannot be run.
pub async fn cleanup() -> Result<(), NetworkError> {
    nft::apply(&format!("add table ip {TABLE}\ndelete table ip {TABLE}\n")).await
}

struct Loaded {
    frontends: Vec<Frontend>,
    names: Names,
}

struct Proxy {
    config: NetworkConfig,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    /// What is in force, once this process has loaded it.
    loaded: Option<Loaded>,
}

impl Proxy {
    async fn follow(mut self, changed: &Notify) {
        // Until both are complete, the rules of an earlier run are better than half of the new ones.
        tokio::join!(self.services.synced(), self.slices.synced());
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.load().await {
                Ok(()) => {
                    backoff = FIRST_BACKOFF;
                    changed.notified().await;
                    tokio::time::sleep(QUIET).await;
                }
                Err(error) => {
                    tracing::error!(%error, "service rules were not loaded, trying again");
                    self.loaded = None;
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }

    async fn load(&mut self) -> Result<(), NetworkError> {
        let (services, slices) = (self.services.list(), self.slices.list());
        let slices: Vec<&EndpointSlice> = slices.iter().map(AsRef::as_ref).collect();
        let frontends = frontends(services.iter().map(AsRef::as_ref), &slices, &self.config.node_name);
        if self.loaded.as_ref().is_some_and(|loaded| loaded.frontends == frontends) {
            return Ok(());
        }
        let before = self.loaded.as_ref().map(|loaded| &loaded.names);
        let ruleset = render(&frontends, self.config.pod_cidr.as_deref(), before);
        nft::apply(&ruleset.text).await?;
        let old = self.loaded.replace(Loaded { frontends, names: ruleset.names });
        self.forget_gone(old.map(|old| old.frontends).unwrap_or_default()).await;
        Ok(())
    }

    /// Datagrams would go on to a pod that is gone for as long as the kernel remembers the way.
    async fn forget_gone(&self, before: Vec<Frontend>) {
        let now = self.loaded.as_ref().map(|loaded| udp_addresses(&loaded.frontends)).unwrap_or_default();
        for gone in udp_addresses(&before).difference(&now) {
            nft::forget_udp(*gone).await;
        }
    }
}

fn udp_addresses(frontends: &[Frontend]) -> BTreeSet<Ipv4Addr> {
    let udp = frontends.iter().filter(|frontend| frontend.protocol == Protocol::Udp);
    udp.flat_map(|f| f.internal.iter().chain(&f.external)).map(|backend| backend.address).collect()
}
