//! The loop of one pod.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::EventType;
use tokio_util::sync::CancellationToken;

use super::act::Actor;
use super::inbox::{Inbox, Wanted};
use super::probes::Probes;
use super::publish::Publisher;
use super::{Shared, last_words};
use crate::identity::identity;
use crate::plan::{Action, Memory, Plan, StatusInput, View, Waiting, plan, status_of};
use crate::runtime::PodRuntime;

/// Volumes are refreshed and everything is looked at again this often, even if nothing happens.
const RESYNC: Duration = Duration::from_secs(30);
/// After a failed call.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps one pod until it is gone from the API and from the node, or until the agent stops (the pod runs on).
pub(crate) async fn run(shared: Arc<Shared>, inbox: Arc<Inbox>, stop: CancellationToken) {
    let publisher = Publisher::new(Arc::clone(&shared));
    let probes = Probes::new(Arc::clone(&shared), Arc::clone(&inbox));
    let mut worker = Worker { actor: Actor::new(shared), inbox, memory: Memory::default(), publisher, probes };
    tokio::select! {
        () = worker.keep() => {}
        () = stop.cancelled() => {}
    }
}

struct Worker {
    actor: Actor,
    inbox: Arc<Inbox>,
    memory: Memory,
    publisher: Publisher,
    probes: Probes,
}

impl Worker {
    async fn keep(&mut self) {
        loop {
            let wanted = self.inbox.wanted();
            let Some((runtime, plan)) = self.look(&wanted).await else {
                self.rest(Some(RETRY)).await;
                continue;
            };
            self.note_backing_off(&wanted.pod, &plan);
            let again = self.publish(&wanted, &runtime);
            if plan.actions == [Action::Finish] {
                if self.finish(&wanted, &runtime).await {
                    return;
                }
                self.rest(Some(RETRY)).await;
            } else if plan.actions.is_empty() {
                self.actor.supplies.refresh(&wanted.pod, &runtime).await;
                let next = plan.next.and_then(|d| Duration::try_from(d).ok());
                self.rest(next.into_iter().chain(again).min()).await;
            } else {
                self.carry_out(&wanted, &runtime, &plan).await;
            }
        }
    }

    async fn look(&mut self, wanted: &Wanted) -> Option<(PodRuntime, Plan)> {
        let uid = identity(&wanted.pod).uid;
        let runtime = match self.actor.shared.runtime.pod(uid).await {
            Ok(mut runtime) => {
                last_words::read(&self.actor.shared, &wanted.pod, &mut runtime);
                runtime
            }
            Err(error) => {
                tracing::debug!(%error, uid, "cannot look at the pod");
                return None;
            }
        };
        let now = Timestamp::now();
        if wanted.gone || wanted.pod.metadata.deletion_timestamp.is_some() {
            self.memory.stopping_since.get_or_insert(now);
        }
        let health = self.probes.follow(&wanted.pod, &runtime);
        self.memory.set_health(health);
        let view = View { pod: &wanted.pod, gone: wanted.gone, runtime: &runtime, memory: &self.memory, now };
        let plan = plan(&view);
        Some((runtime, plan))
    }

    /// Sleeps until woken, and no longer than `most`.
    async fn rest(&self, most: Option<Duration>) {
        tokio::select! {
            () = self.inbox.woken() => {}
            () = tokio::time::sleep(most.unwrap_or(RESYNC).min(RESYNC)) => {}
        }
    }

    fn note_backing_off(&mut self, pod: &Pod, plan: &Plan) {
        for name in &plan.backing_off {
            let id = identity(pod);
            let wait = self.memory.restarts.wait(name).as_secs();
            let wait =
                if wait % 60 == 0 || wait > 60 { format!("{}m{}s", wait / 60, wait % 60) } else { format!("{wait}s") };
            let place = format!("{}_{}({})", id.name, id.namespace, id.uid);
            let message = format!("back-off {wait} restarting failed container={name} pod={place}");
            let waiting = Waiting { reason: "CrashLoopBackOff", message };
            if self.memory.waiting.get(name) != Some(&waiting) {
                let text = format!("Back-off restarting failed container {name} in pod {place}");
                self.actor.shared.event(pod, Some(name), EventType::Warning, "BackOff", text);
                self.memory.waiting.insert(name.clone(), waiting);
            }
        }
    }

    /// Has the status written; when that has to be looked at again.
    fn publish(&mut self, wanted: &Wanted, runtime: &PodRuntime) -> Option<Duration> {
        if wanted.gone {
            return None;
        }
        let mut pod = (*wanted.pod).clone();
        if let Some(last) = self.publisher.last() {
            pod.status = Some(last.clone());
        }
        let shared = &self.actor.shared;
        let now = Timestamp::now();
        let input = StatusInput { pod: &pod, runtime, memory: &self.memory, host_ip: &shared.host_ip, now };
        let status = status_of(&input);
        self.publisher.publish(&wanted.pod, status)
    }

    async fn carry_out(&mut self, wanted: &Wanted, runtime: &PodRuntime, plan: &Plan) {
        let (inbox, making) = (Arc::clone(&self.inbox), self.actor.making.clone());
        let dropped = async {
            inbox.hurried(wanted).await;
            making.paused().await;
        };
        tokio::select! {
            done = self.actor.perform(&wanted.pod, runtime, &plan.actions, &mut self.memory) => {
                if !done {
                    self.rest(Some(RETRY)).await;
                }
            }
            // The pod is to end, or to end sooner: what was under way is dropped and planned anew.
            () = dropped => {}
        }
    }

    /// Everything has ended: say so, clean up, let the object go. True when there is nothing left to do.
    async fn finish(&mut self, wanted: &Wanted, runtime: &PodRuntime) -> bool {
        if !wanted.gone {
            self.publisher.flushed().await;
        }
        if !self.actor.clean_up(&wanted.pod, runtime).await {
            return false;
        }
        if wanted.gone {
            return true;
        }
        match self.actor.shared.cluster.delete_pod(&wanted.pod).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "pod not deleted yet");
                false
            }
        }
    }
}
