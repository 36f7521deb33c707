//! What a scenario says must come about during or after a fault, and how long it took.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::{Api, Client, DeleteOptions, ListParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::fault::containers;
use crate::workload::{NAMESPACE, steady};

/// How often the cluster is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// A look that takes longer counts as nothing seen.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// A state of the cluster. `node` is the worker that the fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The node's `Ready` condition is not `True`.
    NodeNotReady,
    /// It is `True`.
    NodeReady,
    /// No endpoint on the node is ready: services lead elsewhere.
    OutOfService,
    /// All pods of the steady deployment are ready on other nodes.
    PodsReplaced,
    /// All pods of the steady deployment are ready, wherever.
    PodsReady,
    /// A pod made after the fault has a node.
    PodScheduled,
    /// The container that was killed runs again.
    ContainerRestarted,
    /// The processes of all containers that ran before are still there.
    ContainersStay,
    /// A write is refused, or not answered in time.
    WritesRefused,
}

/// What a step of a scenario asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expected {
    /// What must come about.
    pub state: State,
    /// How long after the fault, or after its end, in milliseconds.
    pub within_ms: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    /// The state.
    pub state: State,
    /// The bound, in milliseconds.
    pub within_ms: u64,
    /// After how long it was there, in milliseconds; `None` if it was not in time.
    pub took_ms: Option<u64>,
}

/// Looks at the cluster around one fault.
pub struct Observer {
    client: Client,
    /// The worker that is hit.
    node: Option<String>,
    /// Pods, by restarts, and processes of their containers, as they were before.
    restarts: i32,
    processes: BTreeSet<i32>,
    probe: String,
}

impl Observer {
    /// Notes how things are before the fault numbered `number`.
    ///
    /// # Errors
    /// When the cluster cannot be read.
    pub async fn before(client: &Client, number: usize) -> Result<Self> {
        let pods = steady_pods(client).await?;
        let processes = containers::processes(&pods)?;
        let probe = format!("probe-{number}");
        Ok(Self { client: client.clone(), node: None, restarts: restarts(&pods), processes, probe })
    }

    /// Sets the worker that the fault hits.
    pub fn aim(&mut self, node: Option<&str>) {
        self.node = node.map(str::to_owned);
    }

    /// Waits for all of these at once, each until its bound after `since`.
    pub async fn measure(&self, expected: &[Expected], since: Instant) -> Vec<Measured> {
        futures::future::join_all(expected.iter().map(|one| self.wait(*one, since))).await
    }

    async fn wait(&self, expected: Expected, since: Instant) -> Measured {
        let bound = Duration::from_millis(expected.within_ms);
        let took_ms = loop {
            let seen = tokio::time::timeout(LOOK_LIMIT, self.holds(expected.state)).await;
            let took = since.elapsed();
            match seen {
                Ok(Ok(true)) if took <= bound => break Some(crate::report::millis(took)),
                _ if took > bound => break None,
                _ => tokio::time::sleep(PAUSE).await,
            }
        };
        Measured { state: expected.state, within_ms: expected.within_ms, took_ms }
    }

    async fn holds(&self, state: State) -> Result<bool> {
        Ok(match state {
            State::NodeReady => self.node_is_ready().await?,
            State::NodeNotReady => !self.node_is_ready().await?,
            State::OutOfService => !self.serves().await?,
            State::PodsReady => self.ready_elsewhere(None).await?,
            State::PodsReplaced => self.ready_elsewhere(self.node.as_deref()).await?,
            State::PodScheduled => self.schedules().await?,
            State::ContainerRestarted => {
                let pods = steady_pods(&self.client).await?;
                restarts(&pods) > self.restarts && pods.iter().all(is_ready)
            }
            State::ContainersStay => !self.processes.is_empty() && containers::all_alive(&self.processes),
            State::WritesRefused => self.write().await.is_err(),
        })
    }

    async fn node_is_ready(&self) -> Result<bool> {
        let name = self.node.as_deref().context("this fault hits no node")?;
        let node = Api::<Node>::all(self.client.clone()).get(name).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
    }

    /// Whether a ready endpoint is on the node.
    async fn serves(&self) -> Result<bool> {
        let slices = Api::<EndpointSlice>::namespaced(self.client.clone(), NAMESPACE);
        let slices = slices.list(&ListParams::default()).await?;
        let mut endpoints = slices.items.iter().filter_map(|slice| slice.endpoints.as_ref()).flatten();
        Ok(endpoints.any(|endpoint| {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
            endpoint.node_name == self.node && ready.unwrap_or(true)
        }))
    }

    /// Whether as many pods as wanted are ready on nodes other than this.
    async fn ready_elsewhere(&self, node: Option<&str>) -> Result<bool> {
        let wanted = steady::replicas(&self.client).await?;
        let pods = steady_pods(&self.client).await?;
        let on = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let ready = pods.iter().filter(|pod| is_ready(pod) && (node.is_none() || on(pod).as_deref() != node));
        Ok(ready.count() >= wanted)
    }

    async fn schedules(&self) -> Result<bool> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), NAMESPACE);
        let Some(pod) = pods.get_opt(&self.probe).await? else {
            pods.create(&steady::pod(&self.probe)?).await?;
            return Ok(false);
        };
        Ok(pod.spec.is_some_and(|spec| spec.node_name.is_some()))
    }

    async fn write(&self) -> Result<()> {
        let configmaps = Api::<ConfigMap>::namespaced(self.client.clone(), NAMESPACE);
        let object = serde_json::from_value(json!({"metadata": {"generateName": "refused-"}}))?;
        let call = tokio::time::timeout(Duration::from_secs(2), configmaps.create(&object));
        call.await.context("no answer")??;
        Ok(())
    }

    /// Removes what the looks have made.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn clean(&self) -> Result<()> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), NAMESPACE);
        match pods.delete(&self.probe, &DeleteOptions::default()).await {
            Err(error) if !error.is_not_found() => Err(error).context("removing the probe pod"),
            _ => Ok(()),
        }
    }
}

async fn steady_pods(client: &Client) -> Result<Vec<Pod>> {
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    Ok(pods.list(&ListParams::labels(steady::SELECTOR)).await.context("listing pods")?.items)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready =
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn restarts(pods: &[Pod]) -> i32 {
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref());
    statuses.flatten().map(|status| status.restart_count).sum()
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::NodeNotReady => "node NotReady",
            State::NodeReady => "node Ready",
            State::OutOfService => "node out of service",
            State::PodsReplaced => "pods replaced",
            State::PodsReady => "all pods ready",
            State::PodScheduled => "new pod scheduled",
            State::ContainerRestarted => "container restarted",
            State::ContainersStay => "containers kept running",
            State::WritesRefused => "writes refused",
        })
    }
}
