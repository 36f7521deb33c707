//! The informers that controllers share, and the handles they act with.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::{Api, Client, EventRecorder, EventSource, Informer, Object, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::meta::owner_index;

/// Finds objects by the uid of their controller.
pub(crate) const BY_OWNER: &str = "owner";
/// Finds pods by their node.
pub(crate) const BY_NODE: &str = "node";
/// Finds endpoint slices by their service, as namespace/name.
pub(crate) const BY_SERVICE: &str = "service";

/// The informers before they run: controllers add handlers.
pub(crate) struct Informers {
    pub(crate) pods: Informer<Pod>,
    pub(crate) replica_sets: Informer<ReplicaSet>,
    pub(crate) deployments: Informer<Deployment>,
    pub(crate) services: Informer<Service>,
    pub(crate) endpoints: Informer<Endpoints>,
    pub(crate) slices: Informer<EndpointSlice>,
    pub(crate) nodes: Informer<Node>,
    pub(crate) namespaces: Informer<Namespace>,
    pub(crate) service_accounts: Informer<ServiceAccount>,
}

/// What controllers see and act with; cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) events: EventRecorder,
    pub(crate) pods: Store<Pod>,
    pub(crate) replica_sets: Store<ReplicaSet>,
    pub(crate) deployments: Store<Deployment>,
    pub(crate) services: Store<Service>,
    pub(crate) endpoints: Store<Endpoints>,
    pub(crate) slices: Store<EndpointSlice>,
    pub(crate) nodes: Store<Node>,
    pub(crate) namespaces: Store<Namespace>,
    pub(crate) service_accounts: Store<ServiceAccount>,
}

impl Informers {
    pub(crate) fn new(client: &Client) -> Self {
        Informers {
            pods: owned::<Pod>(client).index(BY_NODE, |pod| vec![crate::pod::node_name(pod).to_owned()]),
            replica_sets: owned(client),
            deployments: owned(client),
            services: owned(client),
            endpoints: owned(client),
            slices: owned::<EndpointSlice>(client).index(BY_SERVICE, crate::endpoint_slice::service_index),
            nodes: owned(client),
            namespaces: owned(client),
            service_accounts: owned(client),
        }
    }

    pub(crate) fn world(&self, client: &Client, events: EventRecorder) -> World {
        World {
            client: client.clone(),
            events,
            pods: self.pods.store(),
            replica_sets: self.replica_sets.store(),
            deployments: self.deployments.store(),
            services: self.services.store(),
            endpoints: self.endpoints.store(),
            slices: self.slices.store(),
            nodes: self.nodes.store(),
            namespaces: self.namespaces.store(),
            service_accounts: self.service_accounts.store(),
        }
    }

    pub(crate) fn start(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        tasks.spawn(self.pods.run(stop.clone()));
        tasks.spawn(self.replica_sets.run(stop.clone()));
        tasks.spawn(self.deployments.run(stop.clone()));
        tasks.spawn(self.services.run(stop.clone()));
        tasks.spawn(self.endpoints.run(stop.clone()));
        tasks.spawn(self.slices.run(stop.clone()));
        tasks.spawn(self.nodes.run(stop.clone()));
        tasks.spawn(self.namespaces.run(stop.clone()));
        tasks.spawn(self.service_accounts.run(stop.clone()));
    }
}

fn owned<K: Object>(client: &Client) -> Informer<K> {
    Informer::new(&Api::<K>::all(client.clone())).index(BY_OWNER, owner_index)
}

impl World {
    /// Waits until what most controllers read is complete.
    pub(crate) async fn synced(&self) {
        self.pods.synced().await;
        self.replica_sets.synced().await;
        self.deployments.synced().await;
        self.services.synced().await;
        self.endpoints.synced().await;
        self.slices.synced().await;
        self.nodes.synced().await;
        self.namespaces.synced().await;
        self.service_accounts.synced().await;
    }

    /// Calls on kind `K` in one namespace (empty: cluster-scoped).
    pub(crate) fn api<K: Object>(&self, namespace: &str) -> Api<K> {
        Api::all(self.client.clone()).within(namespace)
    }

    /// The recorder under a controller's own name.
    pub(crate) fn recorder(&self, component: &str) -> EventRecorder {
        self.events.with_source(EventSource::component(component))
    }
}
