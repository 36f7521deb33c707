//! Carries decisions to the API: bindings many at a time, conditions, evictions of victims, and their events.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::ResourceClaim;
use mainstay_client::{Api, Client, DeleteOptions, EventRecorder, EventType, Patch};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::binder::Binder;
use crate::devices::{Assignment, key};
use crate::inbox::Inbox;
use crate::limit::within;

/// Bindings in one transaction.
const BATCH: usize = 64;
/// Decisions that wait to be written; a full queue makes the scheduler wait.
const QUEUE: usize = 1024;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Order {
    /// A pod gets its node.
    Bind { pod: Arc<Pod>, node: String },
    /// A pod gets its node, after its claims got their devices.
    BindWithDevices { pod: Arc<Pod>, node: String, devices: Vec<Assignment> },
    /// A claim gives back devices that are of no use.
    Deallocate { claim: Arc<ResourceClaim> },
    /// No node takes it.
    Unschedulable { pod: Arc<Pod>, message: String },
    /// It may not be scheduled yet.
    Gated { pod: Arc<Pod> },
    /// It makes room for another.
    Evict { victim: Arc<Pod>, preemptor: Arc<Pod>, node: String },
}

/// The task that writes.
pub(crate) struct Writer {
    pods: Api<Pod>,
    client: Client,
    events: EventRecorder,
    inbox: Arc<Inbox>,
    orders: mpsc::Receiver<Order>,
    binder: Binder,
    /// Bindings that take their time.
    binding: JoinSet<()>,
}

impl Writer {
    pub(crate) fn new(client: Client, events: EventRecorder, inbox: Arc<Inbox>) -> (Self, mpsc::Sender<Order>) {
        let (send, orders) = mpsc::channel(QUEUE);
        let binder = Binder::new(&client, events.clone(), inbox.clone());
        let pods = Api::all(client.clone());
        (Self { pods, client, events, inbox, orders, binder, binding: JoinSet::new() }, send)
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut orders = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                received = self.orders.recv_many(&mut orders, BATCH) => if received == 0 { return },
            }
            let (bindings, others): (Vec<_>, Vec<_>) =
                orders.drain(..).partition(|order| matches!(order, Order::Bind { .. }));
            self.bind(bindings).await;
            for order in others {
                self.write(order).await;
            }
            while self.binding.try_join_next().is_some() {}
        }
    }

    /// All in one transaction; when that fails, one by one, so that one bad binding costs only itself.
    async fn bind(&self, orders: Vec<Order>) {
        let mut bindings = Vec::new();
        for order in orders {
            if let Order::Bind { pod, node } = order {
                bindings.push((pod, node));
            }
        }
        if bindings.len() > 1 && self.bind_together(&bindings).await {
            bindings.iter().for_each(|(pod, node)| self.announce(pod, node));
            return;
        }
        for (pod, node) in &bindings {
            let meta = &pod.metadata;
            let (name, uid) = (meta.name.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default());
            match within(self.api_of(pod).bind(name, uid, node)).await {
                Ok(()) => self.announce(pod, node),
                Err(error) => {
                    tracing::warn!(pod = name, %node, %error, "a pod was not bound");
                    self.inbox.unbound(uid);
                }
            }
        }
    }

    async fn bind_together(&self, bindings: &[(Arc<Pod>, String)]) -> bool {
        let writes: Result<Vec<_>, _> = bindings
            .iter()
            .map(|(pod, node)| {
                let meta = &pod.metadata;
                let (name, uid) = (meta.name.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default());
                self.api_of(pod).bind_op(name, uid, node)
            })
            .collect();
        match writes {
            Ok(writes) => within(self.client.txn(writes)).await.is_ok(),
            Err(error) => {
                tracing::warn!(%error, "bindings cannot be encoded");
                false
            }
        }
    }

    fn announce(&self, pod: &Pod, node: &str) {
        let message = format!("Successfully assigned {} to {node}", key(&pod.metadata));
        self.events.event(pod, EventType::Normal, "Scheduled", message);
    }

    async fn write(&mut self, order: Order) {
        match order {
            Order::Bind { .. } => {}
            Order::BindWithDevices { pod, node, devices } => {
                self.binding.spawn(self.binder.clone().bind(pod, node, devices));
            }
            Order::Deallocate { claim } => self.binder.deallocate(&claim).await,
            Order::Unschedulable { pod, message } => {
                self.condition(&pod, "Unschedulable", &message).await;
                self.events.event(&*pod, EventType::Warning, "FailedScheduling", message);
            }
            Order::Gated { pod } => {
                let message = "Scheduling is blocked due to non-empty scheduling gates";
                self.condition(&pod, "SchedulingGated", message).await;
            }
            Order::Evict { victim, preemptor, node } => self.evict(&victim, &preemptor, &node).await,
        }
    }

    async fn condition(&self, pod: &Pod, reason: &str, message: &str) {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let now = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled");
        if now.is_some_and(|c| c.reason.as_deref() == Some(reason) && c.message.as_deref() == Some(message)) {
            return;
        }
        let since = now.filter(|condition| condition.status == "False").and_then(|c| c.last_transition_time.clone());
        let since =
            json!(since).as_str().map_or_else(|| jiff::Timestamp::now().strftime("%FT%TZ").to_string(), str::to_owned);
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message,
            "lastProbeTime": null, "lastTransitionTime": since});
        let patch =
            Patch::Strategic(json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}));
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        match within(self.api_of(pod).patch_status(name, &patch)).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => tracing::warn!(pod = name, %error, "a pod's condition was not written"),
        }
    }

    async fn evict(&self, victim: &Pod, preemptor: &Pod, node: &str) {
        let name = victim.metadata.name.as_deref().unwrap_or_default();
        let options = DeleteOptions::of_uid(victim.metadata.uid.clone().unwrap_or_default());
        match within(self.api_of(victim).delete(name, &options)).await {
            Ok(()) => {
                let by = preemptor.metadata.uid.as_deref().unwrap_or_default();
                let message = format!("Preempted by pod {by} on node {node}");
                self.events.event(victim, EventType::Normal, "Preempted", message);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => tracing::warn!(pod = name, %error, "a pod of lower priority was not removed"),
        }
    }

    fn api_of(&self, pod: &Pod) -> Api<Pod> {
        self.pods.within(pod.metadata.namespace.as_deref().unwrap_or_default())
    }
}
