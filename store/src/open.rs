//! Starting a master.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answers::Answers;
use crate::clock::now_ms;
use crate::cluster::{Leadership, MemberInfo};
use crate::config::{Start, StoreConfig, Tuning};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::identity::Identity;
use crate::leadership::{Channels, Heard};
use crate::lease::Lease;
use crate::log::{LogStore, Sizes, Writing};
use crate::membership::Change;
use crate::node::Node;
use crate::peer::connect::Connections;
use crate::peer::net::{Listener, Net, TlsNet};
use crate::peer::network::NetworkFactory;
use crate::peer::server;
use crate::peer::tls::TlsConfigs;
use crate::proposals::Proposals;
use crate::readers::Readers;
use crate::state::{Raft, State, StateMachine};
use crate::told::Told;
use crate::{consistency, leadership, proposer, reads, upkeep};

/// How long to wait for the directory's last user to let go.
const LOCKED: Duration = Duration::from_secs(2);
/// How long to wait for what was known before a restart.
const RECOVERY: Duration = Duration::from_secs(5);

/// What a master stands on; tests stand it on something else.
pub(crate) struct Ground {
    /// `None`: TCP with mutual TLS.
    pub(crate) net: Option<Arc<dyn Net>>,
    pub(crate) writing: Writing,
    /// Where those wait who ask, if that is elsewhere.
    pub(crate) askers: Option<Handle>,
}

impl Ground {
    /// The real one.
    pub(crate) fn real() -> Self {
        Self { net: None, writing: Writing::Thread, askers: None }
    }
}

/// Opens the directory, starts Raft and the listener, and begins or resumes as the configuration says.
pub(crate) async fn open(config: StoreConfig, ground: Ground) -> Result<Arc<Node>, StoreError> {
    config.check()?;
    std::fs::create_dir_all(&config.data_dir).map_err(|error| StoreError::io(&config.data_dir, &error))?;
    let identity = Identity::load_or_create(&config)?;
    let tls = TlsConfigs::new(&config.tls)?;
    let net = ground.net.unwrap_or_else(|| Arc::new(TlsNet::new(&tls)));
    let (log, state, machine) = open_storage(&config.data_dir, &config.tuning, identity.id, ground.writing).await?;
    let listener = listen(&config, net.as_ref()).await?;
    let me = member(&config, &identity, listener.as_ref())?;
    let connections = Connections::new(net);
    let told = Told::default();
    let patience = config.tuning.patience();
    let network = NetworkFactory { connections: connections.clone(), patience, told: told.clone() };
    let raft = Raft::new(me.id, Arc::new(raft_config(&config.tuning)?), network, log.clone(), machine)
        .await
        .map_err(|error| StoreError::reading(&config.data_dir, &error.to_string()))?;

    let (leadership_out, leadership) = watch::channel(Leadership::default());
    let (cut_off_out, cut_off) = watch::channel(false);
    let (out, heard) = (Channels { leadership: leadership_out, cut_off: cut_off_out }, Heard::nobody());
    let (proposals, proposal_queue) = Proposals::new(config.tuning.queue, config.tuning.txn_bytes);
    let (readers, reader_queue) = Readers::new();
    let election_max = config.tuning.election_max;
    let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
    let answers = ground.askers.map_or_else(Answers::here, |askers| Answers::on(&askers, &tasks, end.clone()));
    let node = Arc::new(Node {
        me,
        started_ms: now_ms(),
        disk: Disk::new(&config.data_dir, config.tuning.disk_low_bytes),
        tuning: config.tuning,
        raft: raft.clone(),
        lease: Lease::new(&raft, election_max),
        told,
        log,
        state,
        connections,
        certificate: tls.own.clone(),
        proposals,
        readers,
        answers,
        leadership,
        heard: heard.clone(),
        cut_off,
        failure: watch::Sender::new(None),
        changing: Mutex::new(()),
        stop: end,
        tasks,
    });
    let tasks = &node.tasks;
    tasks.spawn(leadership::follow(raft, heard, node.tuning.patience(), out, node.stop.clone()));
    tasks.spawn(proposer::run(node.clone(), proposal_queue));
    tasks.spawn(reads::run(node.clone(), reader_queue));
    tasks.spawn(upkeep::watch_disk(node.clone()));
    tasks.spawn(upkeep::cut_log(node.clone()));
    tasks.spawn(upkeep::compact(node.clone()));
    tasks.spawn(consistency::watch(node.clone()));
    if let Err(error) = begin(&node, listener, config.start).await {
        stop(&node).await;
        return Err(error);
    }
    Ok(node)
}

/// Databases of a process that has just ended may still be locked for a moment.
async fn open_storage(
    data_dir: &Path,
    tuning: &Tuning,
    me: u64,
    writing: Writing,
) -> Result<(LogStore, Arc<State>, StateMachine), StoreError> {
    let deadline = tokio::time::Instant::now() + LOCKED;
    let log_dir = data_dir.join("log");
    let sizes = Sizes { cache: tuning.log_cache_bytes, segment: tuning.log_segment_bytes };
    let log = loop {
        match LogStore::open(&log_dir, data_dir, sizes, me, writing) {
            Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            opened => break opened?,
        }
    };
    loop {
        match StateMachine::open(data_dir, tuning.ring_bytes) {
            Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            opened => {
                let (state, machine) = opened?;
                belong_together(&log, &state, data_dir)?;
                return Ok((log, state, machine));
            }
        }
    }
}

/// The log goes on where the state is, or before: a part that is gone must not be taken for one that never was.
fn belong_together(log: &LogStore, state: &State, data_dir: &Path) -> Result<(), StoreError> {
    let applied = state.applied().log;
    let damaged = |part: &str, detail: String| {
        Err(StoreError::Corrupt { path: data_dir.join(part), data_dir: data_dir.to_path_buf(), detail })
    };
    if log.is_new() && applied.is_some() {
        return damaged("log", "it is empty, and the state is not".to_owned());
    }
    match log.purged() {
        Some(purged) if applied < Some(purged) => {
            let has = applied.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
            damaged("state", format!("it has {has}, and the log begins after {purged}"))
        }
        _ => Ok(()),
    }
}

async fn listen(config: &StoreConfig, net: &dyn Net) -> Result<Box<dyn Listener>, StoreError> {
    let listener = net.listen(config.peer_listen).await;
    listener.map_err(|error| StoreError::Io(format!("cannot listen for peers on {}: {error}", config.peer_listen)))
}

fn member(config: &StoreConfig, identity: &Identity, listener: &dyn Listener) -> Result<MemberInfo, StoreError> {
    let peer_address = if config.peer_address.is_empty() {
        listener.local_addr().map_err(|error| StoreError::Io(error.to_string()))?.to_string()
    } else {
        config.peer_address.clone()
    };
    Ok(MemberInfo { id: identity.id, name: identity.name.clone(), peer_address, api_url: config.api_url.clone() })
}

fn raft_config(tuning: &Tuning) -> Result<Config, StoreError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "mainstay".to_owned(),
        heartbeat_interval: millis(tuning.heartbeat),
        election_timeout_min: millis(tuning.election_min),
        election_timeout_max: millis(tuning.election_max),
        // For a whole snapshot.
        install_snapshot_timeout: 600_000,
        max_payload_entries: 256,
        // `upkeep` decides when, and what of the log goes.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate().map_err(|error| StoreError::Config(error.to_string()))
}

async fn begin(node: &Arc<Node>, listener: Box<dyn Listener>, start: Start) -> Result<(), StoreError> {
    let fatal = |error: &dyn std::fmt::Display| StoreError::Io(error.to_string());
    let known = node.raft.is_initialized().await.map_err(|error| fatal(&error))?;
    if known && node.membership().voter_ids().count() > 1 {
        // Before the crash this master may have granted a lease that still runs: do not vote until it is over.
        tokio::time::sleep(node.tuning.election_max).await;
    }
    node.tasks.spawn(server::serve(node.clone(), listener));
    match start {
        _ if known => resume(node).await,
        Start::Bootstrap => {
            let members = std::collections::BTreeMap::from([(node.me.id, node.me.clone())]);
            node.raft.initialize(members).await.map_err(|error| fatal(&error))?;
            let mut leadership = node.leadership.clone();
            let acting = leadership.wait_for(|leadership| leadership.acting);
            tokio::time::timeout(RECOVERY, acting)
                .await
                .map_err(|_| StoreError::NoLeader)?
                .map_err(|error| fatal(&error))?;
            Ok(())
        }
        Start::Join(peers) => {
            node.join(&peers).await?;
            know_oneself(node).await
        }
    }
}

/// The leader counts this master as a voter already; waits until it knows so itself.
async fn know_oneself(node: &Node) -> Result<(), StoreError> {
    let deadline = tokio::time::Instant::now() + RECOVERY;
    while !node.membership().voter_ids().any(|id| id == node.me.id) {
        if tokio::time::Instant::now() > deadline {
            return Err(StoreError::NoLeader);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until what this master knew before is applied again, if the others are there, and tells them a new address.
async fn resume(node: &Arc<Node>) -> Result<(), StoreError> {
    if let Err(error) = node.raft.wait_for_recovery(Some(RECOVERY)).await {
        tracing::warn!(%error, "not enough masters yet; reads may lag behind what was seen before");
    }
    let known = leadership::member_of(&node.membership(), node.me.id);
    if known.as_ref() != Some(&node.me) {
        let announcing = node.clone();
        node.tasks.spawn(async move {
            let change = Change::Add(announcing.me.clone());
            if let Err(error) = announcing.change(change, announcing.tuning.join_timeout).await {
                tracing::warn!(%error, "cannot announce the new address");
            }
        });
    }
    Ok(())
}

/// Hands leadership over if this master has it, then ends everything.
pub(crate) async fn leave(node: &Node) {
    let leads = node.leadership.borrow().leader.as_ref().is_some_and(|leader| leader.id == node.me.id);
    if leads
        && node.membership().voter_ids().count() > 1
        && let Err(error) = node.hand_over_as_leader(None).await
    {
        tracing::warn!(%error, "leadership was not handed over");
    }
    stop(node).await;
}

/// Ends all tasks and Raft.
pub(crate) async fn stop(node: &Node) {
    node.stop.cancel();
    if let Err(error) = node.raft.shutdown().await {
        tracing::warn!(%error, "raft did not end well");
    }
    node.tasks.close();
    if tokio::time::timeout(Duration::from_secs(5), node.tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    let db = node.state.db();
    match crate::thread::blocking(move || db.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot flush the state; the log has it"),
        Err(error) => tracing::warn!(%error, "cannot flush the state; the log has it"),
    }
}
