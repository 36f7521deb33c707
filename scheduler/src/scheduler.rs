//! The loop: take in what is new, decide for each pod that waits, hand the decisions over.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::decide::{Decision, Preemption, decide};
use crate::devices::Assignment;
use crate::filter::Rule;
use crate::inbox::{Inbox, News};
use crate::pod::{PodInfo, has_node};
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
    /// The newest state of pods that are being bound, if they changed meanwhile, by uid.
    meanwhile: HashMap<String, Arc<Pod>>,
    inbox: Arc<Inbox>,
    orders: mpsc::Sender<Order>,
}

impl Scheduler {
    pub(crate) fn new(inbox: Arc<Inbox>, orders: mpsc::Sender<Order>) -> Self {
        Self { cache: Cache::default(), queue: Queue::default(), meanwhile: HashMap::new(), inbox, orders }
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
        self.cache.devices_mut().set_time(Timestamp::now());
        for _ in 0..BURST {
            let Some((pod, attempts)) = self.queue.pop(Instant::now()) else { return false };
            self.decide_one(pod, attempts).await;
        }
        true
    }

    async fn decide_one(&mut self, pod: Arc<PodInfo>, attempts: u32) {
        let decision = decide(&pod, &self.cache, |count| rand::rng().random_range(0..count));
        match decision {
            Decision::Bind { node, devices } => self.bind(pod, node, devices).await,
            Decision::NotYet => self.queue.hold(pod, attempts, BTreeSet::from([Rule::Devices]), Instant::now()),
            Decision::Unschedulable { message, rules, preempt, deallocate } => {
                self.order(Order::Unschedulable { pod: pod.pod.clone(), message }).await;
                if let Some(claim) = deallocate {
                    self.order(Order::Deallocate { claim }).await;
                }
                if let Some(preemption) = preempt {
                    self.preempt(&pod, &preemption).await;
                }
                self.queue.set_aside(pod, attempts, rules, Instant::now());
            }
        }
    }

    /// The pod counts on the node, and the devices as given to its claims, before that is written.
    async fn bind(&mut self, pod: Arc<PodInfo>, node: String, mut devices: Vec<Assignment>) {
        for assignment in &mut devices {
            assignment.name_shares(|| uuid::Uuid::new_v4().to_string());
            if let (Some(allocation), Some(uid)) = (&assignment.allocation, &assignment.claim.metadata.uid) {
                self.cache.devices_mut().promise(uid, allocation.clone());
            }
        }
        self.cache.assume(pod.clone(), &node);
        let pod = pod.pod.clone();
        let order = match devices.is_empty() {
            true => Order::Bind { pod, node },
            false => Order::BindWithDevices { pod, node, devices },
        };
        self.order(order).await;
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

    async fn take_in(&mut self, mut news: News, now: Instant) {
        for (name, namespace) in std::mem::take(&mut news.namespaces) {
            self.namespace(&name, namespace);
        }
        for (name, node) in std::mem::take(&mut news.nodes) {
            self.node(&name, node);
        }
        let pods = std::mem::take(&mut news.pods);
        let unbound = std::mem::take(&mut news.unbound);
        self.devices(news);
        for (uid, pod) in pods {
            self.pod(&uid, pod, now).await;
        }
        for uid in unbound {
            self.unbound(&uid, now).await;
        }
    }

    /// What is new of claims and devices.
    fn devices(&mut self, news: News) {
        let devices = self.cache.devices_mut();
        let mut changed = !news.classes.is_empty() || !news.slices.is_empty();
        for (name, class) in news.classes {
            devices.set_class(&name, class);
        }
        for (name, slice) in news.slices {
            devices.set_slice(&name, slice);
        }
        for (key, claim) in news.claims {
            changed |= match claim {
                Some(claim) => devices.set_claim(claim),
                None => devices.remove_claim(&key),
            };
        }
        for uid in news.refused {
            changed |= devices.withdraw(&uid);
        }
        if changed {
            self.queue.wake(Happening::Devices);
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
                self.meanwhile.remove(uid);
                self.cache.set_pod(&pod);
                self.queue.wake(Happening::PodPlaced);
            }
            Some(pod) if self.cache.assumed(uid).is_some() => drop(self.meanwhile.insert(uid.to_owned(), pod)),
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
        self.meanwhile.remove(uid);
        if self.cache.remove_pod(uid) {
            self.queue.wake(Happening::PodGone);
        }
    }

    /// Only a change of labels, spec or claims is worth another try at once; the scheduler's own conditions are not.
    fn pending(&mut self, pod: Arc<Pod>, now: Instant) {
        let info = Arc::new(PodInfo::new(pod));
        let known = self.queue.get(info.uid());
        let same = known.is_some_and(|old| {
            old.pod.spec == info.pod.spec && old.labels() == info.labels() && claims(&old.pod) == claims(&info.pod)
        });
        if same { self.queue.refresh(info) } else { self.queue.add(info, now) }
    }

    /// The pod still counts where it was to go; it is taken from there and waits again.
    async fn unbound(&mut self, uid: &str, now: Instant) {
        let Some(pod) = self.cache.assumed(uid).cloned() else { return };
        self.cache.remove_pod(uid);
        self.queue.wake(Happening::PodGone);
        self.queue.retry(pod, 0, now);
        if let Some(newest) = self.meanwhile.remove(uid) {
            self.pod(uid, Some(newest), now).await;
        }
    }
}

/// The claims that were made for a pod.
fn claims(pod: &Pod) -> impl PartialEq + use<'_> {
    pod.status.as_ref().and_then(|status| status.resource_claim_statuses.as_ref())
}

/// The parts of a node that filters look at: a heartbeat changes none of them.
fn matters(node: &Node) -> (impl PartialEq + use<'_>, impl PartialEq + use<'_>, impl PartialEq + use<'_>) {
    (&node.metadata.labels, &node.spec, node.status.as_ref().map(|status| &status.allocatable))
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

#[cfg(test)]
mod tests {
    use mainstay_client::Change;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    /// A scheduler that knows of a node, a device on it, and the claims "c" and "d" of one each.
    fn scheduler() -> (Scheduler, mpsc::Receiver<Order>) {
        let (orders, received) = mpsc::channel(10);
        let mut scheduler = Scheduler::new(Arc::new(Inbox::default()), orders);
        scheduler.node("n", Some(Arc::new(testing::node("n", &json!({}), &json!({})))));
        let inbox = Inbox::default();
        let slice = json!({"metadata": {"name": "s"}, "spec": {"driver": "d", "allNodes": true,
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "a"}]}});
        inbox.slice(&Change::Added(Arc::new(serde_json::from_value(slice).unwrap())));
        let class = json!({"metadata": {"name": "gpu"}, "spec": {}});
        inbox.class(&Change::Added(Arc::new(serde_json::from_value(class).unwrap())));
        for name in ["c", "d"] {
            let request = json!({"name": "r", "exactly": {"deviceClassName": "gpu"}});
            let claim = json!({"metadata": {"name": name, "namespace": "default", "uid": name},
                "spec": {"devices": {"requests": [request]}}});
            inbox.claim(&Change::Added(Arc::new(serde_json::from_value(claim).unwrap())));
        }
        scheduler.devices(inbox.take());
        (scheduler, received)
    }

    fn pod(name: &str, spec: &Value) -> Arc<Pod> {
        Arc::new(testing::named_pod(name, &json!({}), &spec.to_string()))
    }

    fn with_claim(name: &str, claim: &str) -> Arc<Pod> {
        pod(name, &json!({"resourceClaims": [{"name": "x", "resourceClaimName": claim}]}))
    }

    #[tokio::test]
    async fn pods_that_are_being_bound_are_not_decided_on_again() {
        let (mut scheduler, mut received) = scheduler();
        let (pod, now) = (pod("p", &json!({})), Instant::now());
        scheduler.pod("p", Some(pod.clone()), now).await;
        scheduler.decide_some().await;
        assert!(matches!(received.try_recv(), Ok(Order::Bind { .. })));
        scheduler.pod("p", Some(pod), now).await;
        scheduler.decide_some().await;
        assert!(received.try_recv().is_err());
        scheduler.unbound("p", now).await;
        assert!(scheduler.cache.assumed("p").is_none() && scheduler.queue.get("p").is_some());
    }

    #[tokio::test]
    async fn a_device_is_promised_to_one_claim_and_free_again_when_that_fails() {
        let (mut scheduler, mut received) = scheduler();
        let now = Instant::now();
        scheduler.pod("p", Some(with_claim("p", "c")), now).await;
        scheduler.decide_some().await;
        let Ok(Order::BindWithDevices { devices, .. }) = received.try_recv() else { panic!("the device is free") };
        assert!(devices[0].allocation.is_some());
        scheduler.pod("q", Some(with_claim("q", "d")), now).await;
        scheduler.decide_some().await;
        assert!(matches!(received.try_recv(), Ok(Order::Unschedulable { .. })));
        scheduler.take_in(News { refused: vec!["c".into()], unbound: vec!["p".into()], ..News::default() }, now).await;
        let later = now + Duration::from_secs(60);
        assert!(scheduler.queue.pop(later).is_some() && scheduler.queue.pop(later).is_some());
    }

    #[tokio::test]
    async fn pods_whose_claims_are_not_there_are_held_without_a_word() {
        let (mut scheduler, mut received) = scheduler();
        scheduler.pod("p", Some(with_claim("p", "missing")), Instant::now()).await;
        scheduler.decide_some().await;
        assert!(received.try_recv().is_err() && scheduler.queue.get("p").is_some());
    }
}
