//! Binds pods to nodes.
//!
//! Filters say which nodes are possible, scores say which is best; both are pure functions over [`cache::Cache`].
//! [`queue::Queue`] holds the pods that wait, the writer carries decisions to the API, many bindings in one transaction.
//! A pod counts on its node from the moment of the decision, so that decisions do not wait for the API; so do the
//! [`devices`] that its claims get, until the binder has written them to the claims.
//!
//! Written besides bindings: the pod's `PodScheduled` condition, events, the deletion of preemption victims, and the
//! devices and users of claims.

mod binder;
pub mod cache;
pub mod decide;
pub mod devices;
pub mod filter;
mod inbox;
mod limit;
pub mod pod;
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
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use mainstay_client::{Api, Change, Client, EventRecorder, EventSource, Informer, Object, Store};
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

    let mut follow = Follow { client: &client, inbox: &inbox, stop: &stop, tasks: &mut tasks };
    let nodes = follow.kind::<Node>(Inbox::node);
    let pods = follow.kind::<Pod>(Inbox::pod);
    let namespaces = follow.kind::<Namespace>(Inbox::namespace);
    let claims = follow.kind::<ResourceClaim>(Inbox::claim);
    let classes = follow.kind::<DeviceClass>(Inbox::class);
    let slices = follow.kind::<ResourceSlice>(Inbox::slice);

    let (writer, orders) = Writer::new(client, events, inbox.clone());
    tasks.spawn(writer.run(stop.clone()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = async {
            tokio::join!(nodes.synced(), pods.synced(), namespaces.synced());
            tokio::join!(claims.synced(), classes.synced(), slices.synced());
        } => {
            tracing::info!(nodes = nodes.len(), pods = pods.len(), "scheduling");
            Scheduler::new(inbox, orders).run(stop.clone()).await;
        }
    }
    stop.cancel();
    while tasks.join_next().await.is_some() {}
}

/// What it takes to follow kinds of objects.
struct Follow<'a> {
    client: &'a Client,
    inbox: &'a Arc<Inbox>,
    stop: &'a CancellationToken,
    tasks: &'a mut JoinSet<()>,
}

impl Follow<'_> {
    /// Follows all objects of a kind; the inbox is told of their changes.
    fn kind<K: Object>(&mut self, tell: fn(&Inbox, &Change<K>)) -> Store<K> {
        let mut informer = Informer::new(&Api::<K>::all(self.client.clone()));
        let inbox = self.inbox.clone();
        informer.on_change(move |change| tell(&inbox, change));
        let store = informer.store();
        self.tasks.spawn(informer.run(self.stop.clone()));
        store
    }
}
