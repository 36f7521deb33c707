//! Starts everything and keeps a worker for each pod of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_client::{Api, EventRecorder, EventSource, Informer, ListParams, Store};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::checkpoint::Checkpoint;
use crate::cluster::Cluster;
use crate::config::{AgentConfig, RuntimeKind};
use crate::error::AgentError;
use crate::lease::LeaseKeeper;
use crate::machine::Machine;
use crate::node::NodeKeeper;
use crate::plan::Backoff;
use crate::pod::{Inbox, Shared, cgroups, run_worker};
use crate::runtime::{Census, CriRuntime, HollowRuntime, PodId, Runtime};
use crate::server::Server;
use crate::session::Session;

/// Runs the agent until it is cancelled. Pods run on afterwards; the next start adopts them.
///
/// # Errors
/// [`AgentError`] if the agent cannot start: its directories cannot be made or the node has no address.
pub async fn run(config: AgentConfig, stop: CancellationToken) -> Result<(), AgentError> {
    let machine = Machine::read(&config)?;
    let runtime = open_runtime(&config)?;
    let source = EventSource { component: "kubelet".into(), host: config.node_name.clone() };
    let recorder = EventRecorder::start(&config.client, source, stop.clone());
    let tasks = TaskTracker::new();
    let changed = Arc::new(Notify::new());
    let pods = follow_pods(&config, &tasks, &changed, &stop);
    let services = Informer::<Service>::new(&Api::all(config.client.clone()));
    let (node, service_store) = (follow_node(&config, &tasks, &changed, &stop), services.store());
    tasks.spawn(services.run(stop.clone()));
    let shared = Arc::new(Shared {
        cluster: Cluster::new(config.client.clone()),
        recorder,
        services: service_store,
        host_ip: machine.address.clone(),
        node_memory: machine.memory_bytes,
        pulls: parking_lot::Mutex::new(Backoff::default()),
        runtime: Arc::clone(&runtime),
        config: config.clone(),
    });
    let server = Server::new(Arc::clone(&shared), pods.clone());
    tasks.spawn(LeaseKeeper::new(config.client.clone(), &config.node_name, node.clone()).run(stop.clone()));
    let keeper = NodeKeeper::new(Arc::clone(&shared), machine, node, Arc::clone(&changed));
    tasks.spawn(Session::new(&config, server, keeper.readiness()).run(stop.clone()));
    tasks.spawn(keeper.run(stop.clone()));
    tasks.spawn(watch_runtime(Arc::clone(&runtime), Arc::clone(&changed), stop.clone()));
    if !runtime.hollow() {
        tasks.spawn(crate::rotation::rotate(Arc::clone(&runtime), config.log_dir.clone(), stop.clone()));
        tasks.spawn(crate::images::collect(runtime, config.root_dir.clone(), stop.clone()));
    }
    Manager::new(shared, pods, changed).run(&tasks, stop).await;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn open_runtime(config: &AgentConfig) -> Result<Arc<dyn Runtime>, AgentError> {
    match &config.runtime {
        RuntimeKind::Containerd(endpoint) => {
            for dir in [&config.root_dir, &config.log_dir] {
                std::fs::create_dir_all(dir).map_err(|source| AgentError::Directory { path: dir.clone(), source })?;
            }
            Ok(Arc::new(CriRuntime::connect(endpoint)))
        }
        RuntimeKind::Hollow => Ok(Arc::new(HollowRuntime::new(&config.node_name, config.pod_cidr.as_deref()))),
    }
}

fn follow_pods(
    config: &AgentConfig,
    tasks: &TaskTracker,
    changed: &Arc<Notify>,
    stop: &CancellationToken,
) -> Store<Pod> {
    let fields = format!("spec.nodeName={}", config.node_name);
    let informer = Informer::<Pod>::new(&Api::all(config.client.clone())).select(ListParams::fields(fields));
    follow(informer, tasks, changed, stop)
}

fn follow_node(
    config: &AgentConfig,
    tasks: &TaskTracker,
    changed: &Arc<Notify>,
    stop: &CancellationToken,
) -> Store<Node> {
    let fields = format!("metadata.name={}", config.node_name);
    let informer = Informer::<Node>::new(&Api::all(config.client.clone())).select(ListParams::fields(fields));
    follow(informer, tasks, changed, stop)
}

fn follow<K: mainstay_client::Object>(
    mut informer: Informer<K>,
    tasks: &TaskTracker,
    changed: &Arc<Notify>,
    stop: &CancellationToken,
) -> Store<K> {
    let notify = Arc::clone(changed);
    informer.on_change(move |_| notify.notify_waiters());
    let store = informer.store();
    tasks.spawn(informer.run(stop.clone()));
    store
}

async fn watch_runtime(runtime: Arc<dyn Runtime>, changed: Arc<Notify>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = runtime.changed() => changed.notify_waiters(),
            () = stop.cancelled() => return,
        }
    }
}

/// Between two looks for what nobody knows of.
const SWEEP: Duration = Duration::from_secs(10);
/// So long the masters have to say which pods there are, before those that are noted go on.
const FIRST_WORD: Duration = Duration::from_secs(3);

struct Worker {
    inbox: Arc<Inbox>,
    version: Option<String>,
    /// What of the pod is noted on disk.
    noted: Noted,
    task: JoinHandle<()>,
}

/// Gives each pod its worker.
struct Manager {
    shared: Arc<Shared>,
    pods: Store<Pod>,
    changed: Arc<Notify>,
    /// By uid.
    workers: BTreeMap<String, Worker>,
    /// Ended, but the API still shows them.
    ended: BTreeSet<String>,
    census: Census,
    /// None where nothing outlives the agent.
    checkpoint: Option<Checkpoint>,
    /// Uids with control groups that nobody knew of at the last sweep.
    strays: BTreeSet<String>,
    swept: Instant,
}

/// Changes of anything else need not be noted.
type Noted = (Option<i64>, bool);

fn noted(pod: &Pod) -> Noted {
    (pod.metadata.generation, pod.metadata.deletion_timestamp.is_some())
}

impl Manager {
    fn new(shared: Arc<Shared>, pods: Store<Pod>, changed: Arc<Notify>) -> Manager {
        let checkpoint = (!shared.runtime.hollow()).then(|| Checkpoint::new(&shared.config.root_dir));
        Manager {
            shared,
            pods,
            changed,
            workers: BTreeMap::new(),
            ended: BTreeSet::new(),
            census: Census::new(),
            checkpoint,
            strays: BTreeSet::new(),
            swept: Instant::now(),
        }
    }

    /// Until the masters say which pods there are, those go on that were here before.
    fn recall(&mut self, tasks: &TaskTracker, stop: &CancellationToken) {
        for pod in self.checkpoint.iter().flat_map(Checkpoint::load).collect::<Vec<_>>() {
            if let Some(uid) = pod.metadata.uid.clone() {
                self.hire(uid, Arc::new(pod), false, tasks, stop);
            }
        }
    }

    async fn run(mut self, tasks: &TaskTracker, stop: CancellationToken) {
        if tokio::time::timeout(FIRST_WORD, self.pods.synced()).await.is_err() {
            self.recall(tasks, &stop);
        }
        loop {
            let changed = Arc::clone(&self.changed);
            let notified = changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            self.look(tasks, &stop).await;
            tokio::select! {
                () = notified => {}
                () = tokio::time::sleep(self.shared.config.relist) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&mut self, tasks: &TaskTracker, stop: &CancellationToken) {
        self.bury();
        // Until the masters have said which pods there are, nothing that runs may be taken for an orphan.
        let synced = self.pods.has_synced();
        if synced {
            let listed = self.pods.list();
            self.follow(&listed, tasks, stop);
        }
        if let Ok(census) = self.shared.runtime.census().await {
            self.compare(&census, synced, tasks, stop);
            self.census = census;
            if synced && !self.shared.runtime.hollow() && self.swept.elapsed() > SWEEP {
                self.sweep().await;
            }
        }
    }

    /// A runtime that is killed in the middle of removing a pod forgets it before all of it is gone. What neither a worker
    /// nor the runtime knows of, twice in a row, is nobody's.
    async fn sweep(&mut self) {
        self.swept = Instant::now();
        if let Err(error) = self.shared.runtime.end_strays().await {
            tracing::debug!(%error, "no look for stray processes");
        }
        let mut strays = cgroups::of_pods(&self.shared.config.cgroup_root);
        let in_runtime: BTreeSet<&str> = self.census.keys().map(|pod| pod.uid.as_str()).collect();
        strays.retain(|uid, _| !self.workers.contains_key(uid) && !in_runtime.contains(uid.as_str()));
        for (uid, dirs) in strays.iter().filter(|(uid, _)| self.strays.contains(*uid)) {
            cgroups::end(uid, dirs);
        }
        self.strays = strays.into_keys().collect();
    }

    fn bury(&mut self) {
        let done: Vec<_> =
            self.workers.iter().filter(|(_, w)| w.task.is_finished()).map(|(uid, _)| uid.clone()).collect();
        for uid in done {
            self.workers.remove(&uid);
            self.checkpoint.iter().for_each(|checkpoint| checkpoint.remove(&uid));
            self.ended.insert(uid);
        }
    }

    fn follow(&mut self, listed: &[Arc<Pod>], tasks: &TaskTracker, stop: &CancellationToken) {
        let uids: BTreeSet<_> = listed.iter().filter_map(|p| p.metadata.uid.clone()).collect();
        self.ended.retain(|uid| uids.contains(uid));
        for pod in listed {
            let Some(uid) = pod.metadata.uid.clone() else { continue };
            let version = pod.metadata.resource_version.clone();
            match self.workers.get_mut(&uid) {
                Some(worker) if worker.version == version => {}
                Some(worker) => {
                    worker.version = version;
                    worker.inbox.put(Arc::clone(pod));
                    let now = noted(pod);
                    if worker.noted != now {
                        worker.noted = now;
                        self.checkpoint.iter().for_each(|checkpoint| checkpoint.put(pod));
                    }
                }
                None if self.ended.contains(&uid) => {}
                None => self.hire(uid, Arc::clone(pod), false, tasks, stop),
            }
        }
        for (_, worker) in self.workers.iter().filter(|(uid, _)| !uids.contains(*uid)) {
            worker.inbox.end();
        }
    }

    fn hire(&mut self, uid: String, pod: Arc<Pod>, gone: bool, tasks: &TaskTracker, stop: &CancellationToken) {
        let version = pod.metadata.resource_version.clone();
        let noted = noted(&pod);
        if !gone {
            self.checkpoint.iter().for_each(|checkpoint| checkpoint.put(&pod));
        }
        let inbox = Arc::new(Inbox::new(pod, gone));
        let task = tasks.spawn(run_worker(Arc::clone(&self.shared), Arc::clone(&inbox), stop.clone()));
        self.workers.insert(uid, Worker { inbox, version, noted, task });
    }

    /// Wakes the workers of pods that changed; ends what no object asks for.
    fn compare(&mut self, census: &Census, synced: bool, tasks: &TaskTracker, stop: &CancellationToken) {
        for (pod, seen) in census {
            match self.workers.get(&pod.uid) {
                Some(worker) if self.census.get(pod) != Some(seen) => worker.inbox.wake(),
                Some(_) => {}
                None if self.ended.contains(&pod.uid) || !synced => {}
                None => self.hire(pod.uid.clone(), Arc::new(orphan(pod)), true, tasks, stop),
            }
        }
        for pod in self.census.keys().filter(|pod| !census.contains_key(pod)) {
            if let Some(worker) = self.workers.get(&pod.uid) {
                worker.inbox.wake();
            }
        }
    }
}

/// As much of a pod as its labels tell.
fn orphan(id: &PodId) -> Pod {
    let metadata = ObjectMeta {
        name: Some(id.name.clone()),
        namespace: Some(id.namespace.clone()),
        uid: Some(id.uid.clone()),
        ..ObjectMeta::default()
    };
    Pod { metadata, ..Pod::default() }
}
