//! The agents that this master hears, and what other masters say that they hear.
//!
//! Liveness is kept in memory only. Every master tells the leader once a second; the leader's node controller asks
//! [`NodeLiveness`]. The session's tunnel is how logs, exec and the like reach an agent that has no open port.

mod peers;
mod tunnel;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_proto::v1::{AgentFrame, MasterFrame, SessionReport, SessionState, agent_frame, master_frame};
use mainstay_store::Store;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::pki::MasterPki;

pub(crate) use tunnel::Tunnel;

/// How often agents beat.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(1000);

/// What the masters hear of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Time since its last heartbeat.
    pub silence: Duration,
    /// It closed its connection while its host answers.
    pub closed: bool,
    /// Its container runtime answers.
    pub runtime_ready: bool,
}

/// Asks for the liveness of nodes; a cheap handle.
#[derive(Clone)]
pub struct NodeLiveness(Arc<Agents>);

impl NodeLiveness {
    /// What is known of a node's agent; `None` if no master has heard it.
    pub fn liveness(&self, node: &str) -> Option<Liveness> {
        self.0.liveness(node)
    }
}

struct Heard {
    instance: String,
    at: Instant,
    runtime_ready: bool,
    closed: bool,
}

impl Heard {
    fn liveness(&self) -> Liveness {
        Liveness { silence: self.at.elapsed(), closed: self.closed, runtime_ready: self.runtime_ready }
    }
}

struct Session {
    heard: Heard,
    /// Tells sessions of the same agent apart.
    number: u64,
    frames: Option<mpsc::Sender<Result<MasterFrame, tonic::Status>>>,
    tunnels: Arc<tunnel::Tunnels>,
}

/// What another master hears, as it reported.
struct Remote {
    url: String,
    heard: Heard,
}

/// All agents' sessions.
pub(crate) struct Agents {
    local: Mutex<HashMap<String, Session>>,
    remote: Mutex<HashMap<String, Remote>>,
    numbers: AtomicU64,
    pub store: Store,
    pub pki: Arc<MasterPki>,
}

impl Agents {
    pub fn new(store: Store, pki: Arc<MasterPki>) -> Arc<Self> {
        let (local, remote) = (Mutex::default(), Mutex::default());
        Arc::new(Self { local, remote, numbers: AtomicU64::new(1), store, pki })
    }

    pub fn handle(self: &Arc<Self>) -> NodeLiveness {
        NodeLiveness(self.clone())
    }

    /// The API addresses of all masters.
    pub fn masters(&self) -> Vec<String> {
        self.store.members().into_iter().map(|member| member.api_url).collect()
    }

    /// The best that any master knows of an agent.
    fn liveness(&self, node: &str) -> Option<Liveness> {
        let local = self.local.lock().get(node).map(|session| session.heard.liveness());
        let remote = self.remote.lock().get(node).map(|remote| remote.heard.liveness());
        match (local, remote) {
            (Some(a), Some(b)) => Some(if a.silence <= b.silence { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// An agent has opened its session.
    pub fn open(&self, node: &str, instance: String, frames: mpsc::Sender<Result<MasterFrame, tonic::Status>>) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let heard = Heard { instance, at: Instant::now(), runtime_ready: false, closed: false };
        let session = Session { heard, number, frames: Some(frames.clone()), tunnels: tunnel::Tunnels::new(frames) };
        self.local.lock().insert(node.to_owned(), session);
        number
    }

    /// A frame of an open session.
    pub async fn frame(&self, node: &str, number: u64, frame: AgentFrame) -> Option<MasterFrame> {
        match frame.frame? {
            agent_frame::Frame::Heartbeat(beat) => {
                self.beat(node, number, beat.runtime_ready);
                let ack = mainstay_proto::v1::HeartbeatAck { sequence: beat.sequence, masters: self.masters() };
                return Some(MasterFrame { frame: Some(master_frame::Frame::Ack(ack)) });
            }
            agent_frame::Frame::Hello(_) => {}
            agent_frame::Frame::Data(data) => {
                if let Some(tunnels) = self.tunnels(node, number) {
                    tunnels.data(data).await;
                }
            }
            agent_frame::Frame::Close(close) => {
                if let Some(tunnels) = self.tunnels(node, number) {
                    tunnels.close(&close);
                }
            }
            agent_frame::Frame::Credit(credit) => {
                if let Some(tunnels) = self.tunnels(node, number) {
                    tunnels.credit(&credit);
                }
            }
        }
        None
    }

    fn beat(&self, node: &str, number: u64, runtime_ready: bool) {
        if let Some(session) = self.local.lock().get_mut(node).filter(|session| session.number == number) {
            session.heard.at = Instant::now();
            session.heard.runtime_ready = runtime_ready;
            session.heard.closed = false;
        }
    }

    fn tunnels(&self, node: &str, number: u64) -> Option<Arc<tunnel::Tunnels>> {
        self.local.lock().get(node).filter(|session| session.number == number).map(|session| session.tunnels.clone())
    }

    /// The session's connection has ended.
    pub fn close(&self, node: &str, number: u64) {
        if let Some(session) = self.local.lock().get_mut(node).filter(|session| session.number == number) {
            session.heard.closed = true;
            session.frames = None;
            session.tunnels.abort();
        }
    }

    /// What this master tells the leader.
    fn report(&self) -> SessionReport {
        let me = self.store.me();
        let local = self.local.lock();
        let sessions = local.iter().map(|(node, session)| SessionState {
            node_name: node.clone(),
            instance: session.heard.instance.clone(),
            silence_ms: u32::try_from(session.heard.at.elapsed().as_millis()).unwrap_or(u32::MAX),
            runtime_ready: session.heard.runtime_ready,
            closed: session.heard.closed,
        });
        SessionReport { master: me.name.clone(), url: me.api_url.clone(), sessions: sessions.collect() }
    }

    /// What another master has told.
    pub fn take_report(&self, report: SessionReport) {
        let mut remote = self.remote.lock();
        for state in report.sessions {
            let at =
                Instant::now().checked_sub(Duration::from_millis(state.silence_ms.into())).unwrap_or_else(Instant::now);
            let newer = remote.get(&state.node_name).is_none_or(|known| known.heard.at <= at);
            if newer {
                let heard =
                    Heard { instance: state.instance, at, runtime_ready: state.runtime_ready, closed: state.closed };
                remote.insert(state.node_name, Remote { url: report.url.clone(), heard });
            }
        }
    }

    /// Which master holds a node's session, as far as this one knows.
    pub fn url_of(&self, node: &str) -> Option<String> {
        let here = self.local.lock().get(node).is_some_and(|session| session.frames.is_some());
        if here {
            return Some(self.store.me().api_url.clone());
        }
        self.remote.lock().get(node).filter(|remote| !remote.heard.closed).map(|remote| remote.url.clone())
    }

    /// A byte stream to an agent whose session is here.
    pub async fn open_local(&self, node: &str) -> Option<Tunnel> {
        let tunnels = self.local.lock().get(node).filter(|session| session.frames.is_some())?.tunnels.clone();
        tunnels.open().await
    }
}
