//! The loop: take in what is new, decide for each pod that waits, hand the decisions over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, PodInfo};
use crate::decide::{Decision, Preemption, decide};
use crate::inbox::{Inbox, News};
use crate::queue::{Happening, Queue};
use crate::writer::Order;

/// The scheduler's name in `spec.schedulerName`.
const NAME: &str = "default-scheduler";
/// Decisions between two looks at what is new.
const BURST: usize = 64;
/// How long the loop sleeps at the most.
const IDLE: Duration = Duration::from_secs(60);

/// All that the scheduler knows and waits for; only its own task touches it.
pub(crate) struct Scheduler {
    cache: Cache,
    queue: Queue,
    inbox: Arc<Inbox>,
    orders: mpsc::Sender<Order>,
}

impl Scheduler {
    pub(crate) fn new(inbox: Arc<Inbox>, orders: mpsc::Sender<Order>) -> Self {
        Self { cache: Cache::default(), queue: Queue::default(), inbox, orders }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.take_in(self.inbox.take(), Instant::now()).await;
            if self.decide_some().await {
                tokio::task::yield_now().await;
                if stop.is_cancelled() {
                    return;
                }
                continue;
            }
            let pause = self.queue.next_due().map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inbox.arrived() => {}
                () = tokio::time::sleep(pause.min(IDLE)) => {}
            }
        }
    }

    /// Decides on up to a burst of pods; whether more may wait.
    async fn decide_some(&mut self) -> bool {
        for _ in 0..BURST {
            let Some((pod, attempts)) = self.queue.pop(Instant::now()) else { return false };
            self.decide_one(pod, attempts).await;
        }
        true
    }

    async fn decide_one(&mut self, pod: Arc<PodInfo>, attempts: u32) {
        let decision = decide(&pod, &self.cache, |count| rand::rng().random_range(0..count));
        match decision {
            Decision::Bind(node) => {
                self.cache.assume(pod.clone(), &node);
                self.order(Order::Bind { pod: pod.pod.clone(), node }).await;
            }
            Decision::Unschedulable { message, rules, preempt } => {
                self.order(Order::Unschedulable { pod: pod.pod.clone(), message }).await;
                if let Some(preemption) = preempt {
                    self.preempt(&pod, &preemption).await;
                }
                self.queue.set_aside(pod, attempts, rules, Instant::now());
            }
        }
    }

    /// Victims that are already on their way out are given their time.
    async fn preempt(&self, pod: &PodInfo, preemption: &Preemption) {
        let Some(node) = self.cache.node(&preemption.node) else { return };
        for victim in preemption.victims.iter().filter_map(|uid| node.pods.get(uid)) {
            if victim.pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let (victim, preemptor, node) = (victim.pod.clone(), pod.pod.clone(), preemption.node.clone());
            self.order(Order::Evict { victim, preemptor, node }).await;
        }
    }

    /// A full queue makes the scheduler wait; a closed one means that it is being stopped.
    async fn order(&self, order: Order) {
        if self.orders.send(order).await.is_err() {
            tracing::debug!("the writer has stopped");
        }
    }

    async fn take_in(&mut self, news: News, now: Instant) {
        for (name, namespace) in news.namespaces {
            self.namespace(&name, namespace);
        }
        for (name, node) in news.nodes {
            self.node(&name, node);
        }
        for (uid, pod) in news.pods {
            self.pod(&uid, pod, now).await;
        }
        for uid in news.unbound {
            self.unbound(&uid, now);
        }
    }

    fn namespace(&mut self, name: &str, namespace: Option<Arc<Namespace>>) {
        match namespace {
            Some(namespace) => self.cache.set_namespace(name, namespace.metadata.labels.clone().unwrap_or_default()),
            None => self.cache.remove_namespace(name),
        }
    }

    fn node(&mut self, name: &str, node: Option<Arc<Node>>) {
        let Some(node) = node else { return self.cache.remove_node(name) };
        let known = self.cache.node(name).map(|info| info.node.clone());
        let changed = known.is_none_or(|known| matters(&known) != matters(&node));
        self.cache.set_node(node);
        if changed {
            self.queue.wake(Happening::Node);
        }
    }

    async fn pod(&mut self, uid: &str, pod: Option<Arc<Pod>>, now: Instant) {
        match pod.filter(|pod| !has_ended(pod)) {
            None => self.pod_gone(uid),
            Some(pod) if has_node(&pod) => {
                self.queue.forget(uid);
                self.cache.set_pod(&pod);
                self.queue.wake(Happening::PodPlaced);
            }
            Some(pod) if !ours(&pod) => self.queue.forget(uid),
            Some(pod) if is_gated(&pod) => {
                self.queue.forget(uid);
                self.order(Order::Gated { pod }).await;
            }
            Some(pod) => self.pending(pod, now),
        }
    }

    fn pod_gone(&mut self, uid: &str) {
        self.queue.forget(uid);
        if self.cache.remove_pod(uid) {
            self.queue.wake(Happening::PodGone);
        }
    }

    /// Only a change of labels or spec is worth another try at once; the scheduler's own conditions are not.
    fn pending(&mut self, pod: Arc<Pod>, now: Instant) {
        let info = Arc::new(PodInfo::new(pod));
        let known = self.queue.get(info.uid());
        let same = known.is_some_and(|old| old.pod.spec == info.pod.spec && old.labels() == info.labels());
        if same { self.queue.refresh(info) } else { self.queue.add(info, now) }
    }

    /// The pod still counts where it was to go; it is taken from there and waits again.
    fn unbound(&mut self, uid: &str, now: Instant) {
        let assumed = self.cache.pods().find(|(_, pod)| pod.uid() == uid && !has_node(&pod.pod));
        let Some(pod) = assumed.map(|(_, pod)| Arc::new(pod.clone())) else { return };
        self.cache.remove_pod(uid);
        self.queue.wake(Happening::PodGone);
        self.queue.retry(pod, 0, now);
    }
}

/// The parts of a node that filters look at: a heartbeat changes none of them.
fn matters(node: &Node) -> (impl PartialEq + use<'_>, impl PartialEq + use<'_>, impl PartialEq + use<'_>) {
    (&node.metadata.labels, &node.spec, node.status.as_ref().map(|status| &status.allocatable))
}

fn has_node(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|name| !name.is_empty())
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn ours(pod: &Pod) -> bool {
    let name = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
    pod.metadata.deletion_timestamp.is_none() && name.is_none_or(|name| name == NAME)
}

fn is_gated(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty())
}
