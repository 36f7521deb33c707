//! What clients do while things break, each client a task that ends with the run.

mod changes;
mod creations;
mod curl;
mod fenced;
mod leaders;
pub(crate) mod namespace;
mod registers;
pub(crate) mod steady;
mod transfers;
mod watching;
mod web;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use mainstay_client::{Api, Client, Config, DeleteOptions};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::check::identity::Living;
use crate::check::one_leader::Fenced;
use crate::check::watched::Seen;
use crate::check::{Violation, converged};
use crate::cluster::Cluster;
use crate::history::History;
use crate::scenario::Scenario;
use crate::status::{Asker, Leadership};

pub use curl::Availability;
use namespace::NAMESPACE;
pub(crate) use transfers::ACCOUNTS;

/// Clients that compete for the registers.
const REGISTER_CLIENTS: u32 = 6;
/// Few, so that clients meet.
const REGISTERS: u32 = 3;
/// Clients that create objects one after the other.
const CREATORS: u32 = 2;
/// Clients that move amounts between accounts.
const TRANSFERRERS: u32 = 2;
/// Bound of one call; what takes longer counts as unknown.
const CALL_LIMIT: Duration = Duration::from_secs(3);

/// What all clients write down.
#[derive(Debug)]
pub struct Notes {
    begun: Instant,
    /// Calls on registers and, for gaps, creations.
    pub history: History,
    /// Names of objects whose creation was acknowledged.
    pub acknowledged: Mutex<BTreeSet<String>>,
    /// What the watch delivered.
    pub seen: Mutex<Vec<Seen>>,
    /// Acknowledged writes in the name of a leadership.
    pub fenced: Mutex<Vec<Fenced>>,
    /// What lists of accounts added up to.
    pub sums: Mutex<Vec<i64>>,
    /// Which pods with an identity had living processes, moment by moment.
    pub living: Mutex<Vec<Living>>,
    /// Who led from when on, and in which term; nobody's name is empty.
    pub leaders: Mutex<Vec<(Duration, Leadership)>>,
    /// Answers of the service under curl.
    pub availability: Availability,
}

impl Notes {
    /// Since the run began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// The clients at work.
pub struct Workload {
    notes: Arc<Notes>,
    askers: Vec<Asker>,
    configmaps: Api<ConfigMap>,
    namespaces: Api<Namespace>,
    tasks: JoinSet<Result<()>>,
    stop: CancellationToken,
    /// The watch goes on until it has shown what the others did to the end.
    watch: JoinSet<Result<()>>,
    stop_watch: CancellationToken,
}

impl Workload {
    /// Makes the registers, and a deployment of so many pods, and starts the clients; with `url` one more that fetches it
    /// all the time.
    ///
    /// # Errors
    /// When the cluster does not take the first objects.
    pub async fn start(cluster: &Cluster, scenario: &Scenario, url: Option<String>) -> Result<Self> {
        let mut config = Config::from_kubeconfig(&cluster.kubeconfig())?;
        config.servers = cluster.file()?.masters.into_iter().map(|master| master.url).collect();
        let setup = Client::connect(&config)?;
        let namespaces = Api::<Namespace>::all(setup.clone());
        namespace::prepare(&namespaces).await?;
        if scenario.replicas > 0 {
            steady::start(&setup, scenario.replicas).await?;
        }
        if scenario.changes {
            changes::create(&setup).await?;
        }
        let configmaps = Api::<ConfigMap>::namespaced(setup, NAMESPACE);
        for register in 0..REGISTERS {
            registers::create(&configmaps, register).await?;
        }
        transfers::create(&configmaps).await?;
        let beginning = watching::beginning(&configmaps).await?;
        let notes = Arc::new(Notes {
            begun: Instant::now(),
            history: History::default(),
            acknowledged: Mutex::default(),
            seen: Mutex::default(),
            fenced: Mutex::default(),
            sums: Mutex::default(),
            living: Mutex::default(),
            leaders: Mutex::default(),
            availability: Availability::default(),
        });
        let each = config.servers.iter().map(|url| Config { servers: vec![url.clone()], ..config.clone() });
        let askers = each.map(|config| Asker::new(&config)).collect::<Result<_>>()?;
        let mut workload = Self {
            notes,
            askers,
            configmaps,
            namespaces,
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            watch: JoinSet::new(),
            stop_watch: CancellationToken::new(),
        };
        workload.spawn_clients(&config, beginning)?;
        if scenario.changes {
            workload.spawn_changes(&config)?;
        }
        let urls = if scenario.web { web::start(cluster, workload.client()).await? } else { Vec::new() };
        let urls: Vec<String> = url.into_iter().chain(urls).collect();
        if !urls.is_empty() {
            workload.tasks.spawn(curl::run(urls, workload.notes.clone(), workload.stop.clone()));
        }
        Ok(workload)
    }

    /// Each client starts with another master, so that all of them are asked.
    fn spawn_clients(&mut self, config: &Config, beginning: String) -> Result<()> {
        let own = |position: u32| -> Result<Api<ConfigMap>> {
            let mut config = config.clone();
            let servers = config.servers.len().max(1);
            config.servers.rotate_left(position as usize % servers);
            config.timeout = CALL_LIMIT;
            Ok(Api::namespaced(Client::connect(&config)?, NAMESPACE))
        };
        self.watch.spawn(watching::run(own(1)?, beginning, self.notes.clone(), self.stop_watch.clone()));
        for client in 0..REGISTER_CLIENTS {
            self.tasks.spawn(registers::run(client, own(client)?, self.notes.clone(), self.stop.clone()));
        }
        for client in 0..CREATORS {
            self.tasks.spawn(creations::run(client, own(client)?, self.notes.clone(), self.stop.clone()));
        }
        for client in 0..TRANSFERRERS {
            self.tasks.spawn(transfers::run(own(client)?, self.stop.clone()));
        }
        self.tasks.spawn(transfers::audit(own(2)?, self.notes.clone(), self.stop.clone()));
        self.tasks.spawn(leaders::run(self.askers.clone(), self.notes.clone(), self.stop.clone()));
        for (number, (url, asker)) in config.servers.iter().zip(&self.askers).enumerate() {
            let pinned = Config { servers: vec![url.clone()], timeout: CALL_LIMIT, ..config.clone() };
            let (client, asker) = (Client::connect(&pinned)?, asker.clone());
            self.tasks.spawn(fenced::run(number, client, asker, self.notes.clone(), self.stop.clone()));
        }
        Ok(())
    }

    fn spawn_changes(&mut self, config: &Config) -> Result<()> {
        let client = || Client::connect(&Config { timeout: CALL_LIMIT, ..config.clone() });
        self.tasks.spawn(changes::roll(client()?, self.stop.clone()));
        self.tasks.spawn(changes::churn(client()?, self.stop.clone()));
        self.tasks.spawn(changes::identities(client()?, self.notes.clone(), self.stop.clone()));
        Ok(())
    }

    /// A client of the administrator's, with failover over all masters.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.configmaps.client()
    }

    /// Each master, to be asked on its own.
    #[must_use]
    pub fn askers(&self) -> &[Asker] {
        &self.askers
    }

    /// What the clients have written down so far.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Stops the clients, and the watch once it has shown what was acknowledged; waits until all is as wanted, and removes
    /// what was made.
    ///
    /// # Errors
    /// When a client failed in a way that is not a fault's doing, or the cluster cannot be read.
    pub async fn finish(mut self) -> Result<Finished> {
        self.stop.cancel();
        all_ended(&mut self.tasks).await?;
        watching::settle(&self.notes).await;
        self.stop_watch.cancel();
        all_ended(&mut self.watch).await?;
        let found = creations::names(&self.configmaps).await?;
        let (differences, settled_in) = converged::check(self.configmaps.client()).await?;
        self.namespaces.delete(NAMESPACE, &DeleteOptions::default()).await.context("removing the run's namespace")?;
        Ok(Finished { notes: self.notes, found, differences, settled_in })
    }
}

/// What a workload leaves for the checks.
pub struct Finished {
    /// What clients wrote down.
    pub notes: Arc<Notes>,
    /// The names of the created objects that exist.
    pub found: BTreeSet<String>,
    /// What was not as wanted in time.
    pub differences: Vec<Violation>,
    /// How long it took until all was as wanted.
    pub settled_in: Duration,
}

async fn all_ended(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a client of the workload ended early")??;
    }
    Ok(())
}
