//! Looks at the cluster around a fault, and measures when what is expected comes about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::{Api, Client, DeleteOptions, ListParams};
use serde_json::json;
use tokio::time::Instant;

use crate::expectation::{Expected, Measured};
use crate::fault::containers;
use crate::pod::{is_ready, restarts};
use crate::report::millis;
use crate::state::State;
use crate::status::{Asker, Leadership};
use crate::workload::namespace::NAMESPACE;
use crate::workload::steady;

/// How often the cluster is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// A look that takes longer counts as nothing seen.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Looks at the cluster around one fault.
pub struct Observer {
    client: Client,
    /// The node that is hit.
    node: Option<String>,
    /// The steady deployment's pods as they were before, by uid.
    pods: BTreeSet<String>,
    /// Restarts of pods, and processes of their containers by node, as they were before.
    restarts: i32,
    processes: BTreeMap<String, BTreeSet<i32>>,
    probe: String,
    /// Workers with ready endpoints.
    serving: BTreeSet<String>,
    /// Who led, and each master to be asked who leads.
    leadership: Option<Leadership>,
    askers: Vec<Asker>,
}

/// Pods that are made to see where new ones go.
const PROBES: usize = 3;

impl Observer {
    /// Notes how things are before the fault numbered `number`.
    ///
    /// # Errors
    /// When the cluster cannot be read.
    pub async fn before(client: &Client, askers: &[Asker], number: usize) -> Result<Self> {
        let pods = steady_pods(client).await?;
        let processes = processes_by_node(&pods)?;
        let probe = format!("probe-{number}");
        let mut observer = Self {
            client: client.clone(),
            node: None,
            pods: pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect(),
            restarts: pods.iter().map(restarts).sum(),
            processes,
            probe,
            serving: BTreeSet::new(),
            leadership: None,
            askers: askers.to_vec(),
        };
        observer.serving = observer.serving_now().await?;
        observer.leadership = observer.leaderships().await.into_iter().max_by_key(|one| one.term);
        Ok(observer)
    }

    /// Workers with ready endpoints, as it was before.
    #[must_use]
    pub fn serving(&self) -> &BTreeSet<String> {
        &self.serving
    }

    /// What the masters that answer say about who leads.
    async fn leaderships(&self) -> Vec<Leadership> {
        let answers = futures::future::join_all(self.askers.iter().map(Asker::leadership)).await;
        answers.into_iter().filter_map(|answer| answer.ok().flatten()).collect()
    }

    /// Watches for some time whether the leader and its term stay; says what changed.
    pub async fn undisturbed(&self, time: Duration) -> Result<(), String> {
        if time.is_zero() {
            return Ok(());
        }
        let latest = async || self.leaderships().await.into_iter().max_by_key(|one| one.term);
        let Some(before) = latest().await else { return Err("nobody leads".to_owned()) };
        let until = Instant::now() + time;
        while Instant::now() < until {
            if let Some(now) = latest().await.filter(|now| *now != before) {
                let (from, to) = (before.term, now.term);
                return Err(format!("{} in term {from} was followed by {} in term {to}", before.leader, now.leader));
            }
            tokio::time::sleep(PAUSE * 5).await;
        }
        Ok(())
    }

    /// Sets the node that the fault hits.
    pub fn aim(&mut self, node: Option<&str>) {
        self.node = node.map(str::to_owned);
    }

    /// Waits for all of these at once, each until its bound after `since`.
    pub async fn measure(&self, expected: &[Expected], since: Instant) -> Vec<Measured> {
        futures::future::join_all(expected.iter().map(|one| self.wait(*one, since))).await
    }

    /// What does not stay may still come about for good: a fault is not felt at once.
    async fn wait(&self, expected: Expected, since: Instant) -> Measured {
        let bound = Duration::from_millis(expected.within_ms);
        let mut relapsed = false;
        let took_ms = loop {
            let seen = tokio::time::timeout(LOOK_LIMIT, self.holds(expected.state)).await;
            let took = since.elapsed();
            match seen {
                Ok(Ok(true)) if took <= bound => {
                    if self.stays(expected).await {
                        break Some(millis(took));
                    }
                    relapsed = true;
                }
                _ if took > bound => break None,
                _ => tokio::time::sleep(PAUSE).await,
            }
        };
        let wrong = match took_ms {
            Some(took) if took < expected.not_before_ms => Some("too soon"),
            None if relapsed => Some("it did not stay so"),
            _ => None,
        };
        Measured { state: expected.state, within_ms: expected.within_ms, took_ms, wrong }
    }

    /// A look that fails says nothing.
    async fn stays(&self, expected: Expected) -> bool {
        let until = Instant::now() + Duration::from_millis(expected.for_ms);
        while Instant::now() < until {
            if matches!(tokio::time::timeout(LOOK_LIMIT, self.holds(expected.state)).await, Ok(Ok(false))) {
                return false;
            }
            tokio::time::sleep(PAUSE * 5).await;
        }
        true
    }

    async fn holds(&self, state: State) -> Result<bool> {
        Ok(match state {
            State::NodeReady => self.node_is_ready().await?,
            State::NodeNotReady => !self.node_is_ready().await?,
            State::OutOfService => self.left_service().await?,
            State::AnotherLeads => self.leads(|now, then| now.leader != then.leader && now.term > then.term).await?,
            State::SameLeads => self.leads(|now, then| now == then).await?,
            State::LonePodGone => self.lone_pods().await? == 0,
            State::NewPodsElsewhere => self.new_pods_elsewhere().await?,
            State::PodsReady => self.ready_elsewhere(None).await?,
            State::PodsReplaced => self.ready_elsewhere(self.node.as_deref()).await?,
            State::PodsUndisturbed => self.pods_are_as_before().await?,
            State::OtherNodesReady => self.other_nodes_are_ready().await?,
            State::PodScheduled => self.schedules().await?,
            State::ContainerRestarted => {
                let pods = steady_pods(&self.client).await?;
                pods.iter().map(restarts).sum::<i32>() > self.restarts && pods.iter().all(is_ready)
            }
            State::ContainersStay => !self.processes.is_empty() && self.processes.values().all(containers::all_alive),
            State::LeftOversCleaned => self.left_overs_are_cleaned()?,
            State::NewDeploymentReady => self.new_deployment_is_ready().await?,
            State::NodeGone => self.node_object().await?.is_none(),
            State::WritesRefused => self.write().await.is_err(),
            State::WritesGoOn => self.write().await.is_ok(),
        })
    }

    async fn node_object(&self) -> Result<Option<Node>> {
        let name = self.node.as_deref().context("this fault hits no node")?;
        Ok(Api::<Node>::all(self.client.clone()).get_opt(name).await?)
    }

    fn left_overs_are_cleaned(&self) -> Result<bool> {
        let name = self.node.as_deref().context("this fault hits no node")?;
        let before = self.processes.get(name).context("no container ran on the node before")?;
        Ok(!containers::any_alive(before))
    }

    async fn node_is_ready(&self) -> Result<bool> {
        Ok(node_ready(&self.node_object().await?.context("the node is not there")?))
    }

    async fn other_nodes_are_ready(&self) -> Result<bool> {
        let nodes = Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await?.items;
        Ok(nodes.iter().all(|node| node.metadata.name == self.node || node_ready(node)))
    }

    async fn pods_are_as_before(&self) -> Result<bool> {
        let now = steady_pods(&self.client).await?;
        let uids: BTreeSet<_> = now.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        Ok(uids == self.pods && now.iter().all(is_ready))
    }

    /// Whether the node, which was in service before, has no ready endpoint any more.
    async fn left_service(&self) -> Result<bool> {
        let node = self.node.as_deref().context("this fault hits no node")?;
        anyhow::ensure!(self.serving.contains(node), "{node} was not in service before");
        Ok(!self.serving_now().await?.contains(node))
    }

    /// The nodes with ready endpoints.
    async fn serving_now(&self) -> Result<BTreeSet<String>> {
        let slices = Api::<EndpointSlice>::namespaced(self.client.clone(), NAMESPACE);
        let slices = slices.list(&ListParams::default()).await?;
        let endpoints = slices.items.iter().filter_map(|slice| slice.endpoints.as_ref()).flatten();
        let ready = endpoints.filter(|endpoint| {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
            ready.unwrap_or(true)
        });
        Ok(ready.filter_map(|endpoint| endpoint.node_name.clone()).collect())
    }

    /// Whether the latest leadership that any master knows of compares so with the one before.
    async fn leads(&self, compares: impl Fn(&Leadership, &Leadership) -> bool) -> Result<bool> {
        let before = self.leadership.as_ref().context("nobody led before")?;
        let now = self.leaderships().await.into_iter().max_by_key(|one| one.term);
        Ok(now.is_some_and(|now| compares(&now, before)))
    }

    async fn lone_pods(&self) -> Result<usize> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), NAMESPACE);
        Ok(pods.list(&ListParams::labels(steady::LONE_SELECTOR)).await?.items.len())
    }

    /// Makes some pods once the node is said to be out of order, and sees where they get.
    async fn new_pods_elsewhere(&self) -> Result<bool> {
        if self.node_is_ready().await? {
            return Ok(false);
        }
        let pods = Api::<Pod>::namespaced(self.client.clone(), NAMESPACE);
        let mut placed = Vec::new();
        for number in 0..PROBES {
            let name = format!("{}-{number}", self.probe);
            match pods.get_opt(&name).await? {
                Some(pod) => placed.extend(pod.spec.and_then(|spec| spec.node_name)),
                None => drop(pods.create(&steady::pod(&name)?).await?),
            }
        }
        Ok(placed.len() == PROBES && placed.iter().all(|node| Some(node) != self.node.as_ref()))
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

    async fn new_deployment_is_ready(&self) -> Result<bool> {
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), NAMESPACE);
        let Some(deployment) = deployments.get_opt(&self.probe).await? else {
            deployments.create(&steady::deployment(&self.probe, 1)?).await?;
            return Ok(false);
        };
        Ok(deployment.status.and_then(|status| status.ready_replicas) == Some(1))
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
        let numbered = (0..PROBES).map(|number| format!("{}-{number}", self.probe));
        for name in numbered.chain([self.probe.clone()]) {
            match pods.delete(&name, &DeleteOptions::default()).await {
                Err(error) if !error.is_not_found() => return Err(error).context("removing a probe pod"),
                _ => {}
            }
        }
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), NAMESPACE);
        match deployments.delete(&self.probe, &DeleteOptions::default()).await {
            Err(error) if !error.is_not_found() => Err(error).context("removing a probe deployment"),
            _ => Ok(()),
        }
    }
}

fn processes_by_node(pods: &[Pod]) -> Result<BTreeMap<String, BTreeSet<i32>>> {
    let mut by_node: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) {
            by_node.entry(node).or_default().push(pod.clone());
        }
    }
    let found = by_node.into_iter().map(|(node, pods)| Ok((node, containers::processes(&pods)?)));
    let found = found.collect::<Result<BTreeMap<_, _>>>()?;
    Ok(found.into_iter().filter(|(_, processes)| !processes.is_empty()).collect())
}

async fn steady_pods(client: &Client) -> Result<Vec<Pod>> {
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    Ok(pods.list(&ListParams::labels(steady::SELECTOR)).await.context("listing pods")?.items)
}

fn node_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
