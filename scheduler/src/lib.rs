//! Binds pods to nodes.
//!
//! Filters say which nodes are possible, scores say which is best; both are pure functions over [`cache::Cache`].
//! [`queue::Queue`] holds the pods that wait, the writer carries decisions to the API, many bindings in one transaction.
//! A pod counts on its node from the moment of the decision, so that decisions do not wait for the API.
//!
//! Written besides bindings: the pod's `PodScheduled` condition, events, and the deletion of preemption victims.

pub mod cache;
pub mod decide;
pub mod filter;
mod inbox;
pub mod queue;
pub mod resources;
mod scheduler;
pub mod score;
pub mod terms;
#[cfg(test)]
mod testing;
mod writer;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use mainstay_client::{Api, Client, EventRecorder, EventSource, Informer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::inbox::Inbox;
use crate::scheduler::Scheduler;
use crate::writer::Writer;

/// Schedules until `stop`; its tasks end with it. `client` carries the term that its writes are bound to.
pub async fn run(client: Client, stop: CancellationToken) {
    let stop = stop.child_token();
    let _stop_all = stop.clone().drop_guard();
    let inbox = Arc::new(Inbox::default());
    let events = EventRecorder::start(&client, EventSource::component("default-scheduler"), stop.clone());
    let mut tasks = JoinSet::new();

    let mut nodes = Informer::new(&Api::<Node>::all(client.clone()));
    let mut pods = Informer::new(&Api::<Pod>::all(client.clone()));
    let mut namespaces = Informer::new(&Api::<Namespace>::all(client.clone()));
    let (to_nodes, to_pods, to_namespaces) = (inbox.clone(), inbox.clone(), inbox.clone());
    nodes.on_change(move |change| to_nodes.node(change));
    pods.on_change(move |change| to_pods.pod(change));
    namespaces.on_change(move |change| to_namespaces.namespace(change));
    let (known_nodes, known_pods, known_namespaces) = (nodes.store(), pods.store(), namespaces.store());
    tasks.spawn(nodes.run(stop.clone()));
    tasks.spawn(pods.run(stop.clone()));
    tasks.spawn(namespaces.run(stop.clone()));

    let (writer, orders) = Writer::new(client, events, inbox.clone());
    tasks.spawn(writer.run(stop.clone()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = async { tokio::join!(known_nodes.synced(), known_pods.synced(), known_namespaces.synced()); } => {
            tracing::info!(nodes = known_nodes.len(), pods = known_pods.len(), "scheduling");
            Scheduler::new(inbox, orders).run(stop.clone()).await;
        }
    }
    stop.cancel();
    while tasks.join_next().await.is_some() {}
}
