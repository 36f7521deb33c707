//! Controllers: each looks at what is observed, plans, and acts through the API. One file a controller.
//!
//! They run where the leader is and end with its leadership; the client that they get carries the term, so that a
//! deposed leader's controllers cannot write. All are level-triggered: what a lost event may cost is time.

mod certificates;
mod claim;
mod cluster_roles;
mod cron_job;
mod daemon_set;
mod deployment;
mod device_claims;
mod disruption;
mod endpoint_slice;
mod endpoints;
mod event_expiry;
mod expectations;
mod garbage;
mod history;
mod job;
mod meta;
mod mirror;
mod namespace;
mod node_lifecycle;
mod pod;
mod pod_gc;
mod policy_status;
mod quota;
mod replica_set;
mod runner;
mod service;
mod service_account;
mod slice;
mod stateful_set;
mod taint_eviction;
mod world;

use std::sync::Arc;
use std::time::Duration;

use mainstay_client::{Client, EventRecorder, EventSource};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use crate::certificates::CertificateSigner;
pub use crate::node_lifecycle::{Liveness, NodeDeadlines, NodeLiveness};
use crate::runner::{Controller, Keys, keys, work};
use crate::world::{Informers, World};

/// What the controllers need besides the API.
#[derive(Clone)]
pub struct ControllerConfig {
    /// Where heartbeats are known.
    pub liveness: Arc<dyn NodeLiveness>,
    /// The cluster's CA, PEM, for the config map `kube-root-ca.crt` in every namespace.
    pub ca_pem: String,
    /// Signs with that CA.
    pub signer: Arc<dyn CertificateSigner>,
    /// How long silence of nodes is borne.
    pub deadlines: NodeDeadlines,
    /// How long events are kept after they last happened.
    pub event_ttl: Duration,
}

impl ControllerConfig {
    /// The usual deadlines.
    pub fn new(liveness: Arc<dyn NodeLiveness>, ca_pem: String, signer: Arc<dyn CertificateSigner>) -> Self {
        let event_ttl = Duration::from_secs(3600);
        ControllerConfig { liveness, ca_pem, signer, deadlines: NodeDeadlines::default(), event_ttl }
    }
}

/// Why the controllers ended before they were told to.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// A task ended by itself; that is a bug, and the caller should start all again.
    #[error("a controller task ended unexpectedly: {0}")]
    TaskEnded(String),
}

/// Runs all controllers until `stop`. `client` carries the term that writes are bound to.
///
/// # Errors
/// [`ControllerError::TaskEnded`] if a task panicked or ended by itself; all others are stopped by then.
pub async fn run(client: Client, config: ControllerConfig, stop: CancellationToken) -> Result<(), ControllerError> {
    let stop = stop.child_token();
    let _stop_all = stop.clone().drop_guard();
    let events = EventRecorder::start(&client, EventSource::component("controller-manager"), stop.clone());
    let mut informers = Informers::new(&client);
    let world = informers.world(&client, events);
    let mut tasks = JoinSet::new();
    let mut crew = Crew { world: world.clone(), workers: Vec::new() };
    let lifecycle = enlist(&mut crew, &mut informers, &config, &mut tasks, &stop);
    informers.start(&mut tasks, &stop);
    tokio::select! {
        () = world.synced() => {}
        () = stop.cancelled() => return Ok(()),
    }
    tracing::info!(pods = world.pods.len(), nodes = world.nodes.len(), "controllers start");
    tasks.spawn(lifecycle.0.watch(lifecycle.1, stop.clone()));
    tasks.spawn(pod_gc::run(world, stop.clone()));
    for (controller, queue, workers) in crew.workers {
        tasks.spawn(work(controller, queue, workers, stop.clone()));
    }
    supervise(tasks, &stop).await
}

/// The controllers with their queues, before they work.
struct Crew {
    world: World,
    workers: Vec<(Arc<dyn Controller>, Keys, usize)>,
}

impl Crew {
    fn add<C: Controller>(&mut self, workers: usize, make: impl FnOnce(&World, &Keys) -> C) {
        let queue = keys();
        let controller = make(&self.world, &queue);
        self.workers.push((Arc::new(controller), queue, workers));
    }
}

fn enlist(
    crew: &mut Crew,
    informers: &mut Informers,
    config: &ControllerConfig,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> (Arc<node_lifecycle::NodeLifecycle>, Keys) {
    crew.add(8, |world, queue| deployment::Deployments::new(world, informers, queue));
    crew.add(16, |world, queue| replica_set::ReplicaSets::new(world, informers, queue));
    crew.add(8, |world, queue| stateful_set::StatefulSets::new(world, informers, queue));
    crew.add(4, |world, queue| daemon_set::DaemonSets::new(world, informers, queue));
    crew.add(8, |world, queue| job::Jobs::new(world, informers, queue));
    crew.add(4, |world, queue| cron_job::CronJobs::new(world, informers, queue));
    crew.add(4, |world, queue| disruption::Disruption::new(world, informers, queue));
    crew.add(4, |world, queue| quota::Quotas::new(world, informers, queue));
    crew.add(4, |world, queue| mirror::EndpointMirror::new(world, informers, queue));
    crew.add(8, |world, queue| endpoint_slice::EndpointSlices::new(world, informers, queue));
    crew.add(4, |world, queue| endpoints::EndpointObjects::new(world, informers, queue));
    crew.add(4, |world, queue| taint_eviction::TaintEviction::new(world, informers, queue));
    crew.add(2, |world, queue| certificates::CertificateRequests::new(world, informers, queue, config.signer.clone()));
    crew.add(4, |world, queue| device_claims::ClaimMaker::new(world, informers, queue));
    crew.add(4, |world, queue| device_claims::ClaimReleaser::new(world, informers, queue));
    crew.add(1, |world, queue| device_claims::DeviceEviction::new(world, informers, queue));
    crew.add(2, |world, queue| policy_status::PolicyStatus::new(world, informers, queue));
    crew.add(1, |world, queue| cluster_roles::ClusterRoles::new(world, informers, queue));
    crew.add(4, |world, queue| namespace::Namespaces::new(world, informers, queue));
    crew.add(2, |world, queue| {
        service_account::NamespaceDefaults::new(world, informers, queue, config.ca_pem.clone(), tasks, stop)
    });
    crew.add(1, |world, queue| event_expiry::EventExpiry::new(world, queue, config.event_ttl, tasks, stop));
    let queue = keys();
    let garbage = garbage::GarbageCollector::new(&crew.world, &queue);
    tasks.spawn(garbage.clone().follow(stop.clone()));
    crew.workers.push((garbage, queue, 8));
    let queue = keys();
    let liveness = config.liveness.clone();
    let lifecycle = node_lifecycle::NodeLifecycle::new(&crew.world, informers, &queue, liveness, config.deadlines);
    let lifecycle = Arc::new(lifecycle);
    crew.workers.push((lifecycle.clone(), queue.clone(), 8));
    (lifecycle, queue)
}

async fn supervise(mut tasks: JoinSet<()>, stop: &CancellationToken) -> Result<(), ControllerError> {
    while let Some(ended) = tasks.join_next().await {
        if stop.is_cancelled() {
            continue;
        }
        stop.cancel();
        let why = ended.err().map_or_else(|| "it returned".to_owned(), |e| e.to_string());
        return Err(ControllerError::TaskEnded(why));
    }
    Ok(())
}
