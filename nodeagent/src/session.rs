//! The session with a master: a heartbeat each second, and the tunnel over which masters reach the agent's server.

mod tunnel;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mainstay_client::{Client, Transport};
use mainstay_proto::v1::agent_frame::Frame;
use mainstay_proto::v1::agents_client::AgentsClient;
use mainstay_proto::v1::master_frame::Frame as FromMaster;
use mainstay_proto::v1::{AgentFrame, Heartbeat, Hello, MasterFrame};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::config::AgentConfig;
use crate::server::Server;
use tunnel::Tunnels;

/// Frames that wait to be sent.
const QUEUE: usize = 256;
/// A master must answer the opening and each heartbeat within this.
const SILENCE: Duration = Duration::from_secs(3);
/// Between two attempts; doubles up to the longest.
const RETRY: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Keeps a session with any master.
pub(crate) struct Session {
    client: Client,
    node_name: String,
    instance: String,
    server: Arc<Server>,
    ready: Arc<AtomicBool>,
}

impl Session {
    pub fn new(config: &AgentConfig, server: Server, ready: Arc<AtomicBool>) -> Session {
        Session {
            client: config.client.clone(),
            node_name: config.node_name.clone(),
            instance: uuid::Uuid::new_v4().to_string(),
            server: Arc::new(server),
            ready,
        }
    }

    /// Until the agent stops.
    pub async fn run(self, stop: CancellationToken) {
        let mut wait = RETRY;
        loop {
            let began = Instant::now();
            tokio::select! {
                why = self.once() => tracing::debug!(why, "session with the master ended"),
                () = stop.cancelled() => return,
            }
            self.client.transport().fail_over();
            wait = if began.elapsed() > LONGEST { RETRY } else { (wait * 2).min(LONGEST) };
            tokio::time::sleep(wait).await;
        }
    }

    /// One session; returns why it ended.
    async fn once(&self) -> String {
        let (frames, outbox) = mpsc::channel(QUEUE);
        let hello = Hello {
            node_name: self.node_name.clone(),
            instance: self.instance.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        if frames.send(frame(Frame::Hello(hello))).await.is_err() {
            return "closed before it began".into();
        }
        let mut agents = AgentsClient::new(self.client.transport().service());
        let opened = tokio::time::timeout(SILENCE, agents.session(ReceiverStream::new(outbox))).await;
        match opened {
            Err(_) => "the master does not answer".into(),
            Ok(Err(status)) => status.to_string(),
            Ok(Ok(stream)) => self.talk(stream.into_inner(), frames).await,
        }
    }

    async fn talk(&self, mut stream: Streaming<MasterFrame>, frames: mpsc::Sender<AgentFrame>) -> String {
        let mut tunnels = Tunnels::new(Arc::clone(&self.server), frames.clone());
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let mut heard = Instant::now();
        let mut sequence = 0;
        loop {
            tokio::select! {
                received = stream.message() => match received {
                    Ok(Some(MasterFrame { frame: Some(frame) })) => {
                        heard = Instant::now();
                        self.hear(frame, &mut beat, &mut tunnels);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return "closed by the master".into(),
                    Err(status) => return status.to_string(),
                },
                _ = beat.tick() => {
                    if heard.elapsed() > SILENCE {
                        return "the master fell silent".into();
                    }
                    sequence += 1;
                    let runtime_ready = self.ready.load(Ordering::Relaxed);
                    let heartbeat = Heartbeat { sequence, runtime_ready };
                    // A full queue means that nothing flows; the silence limit then ends the session.
                    if let Err(mpsc::error::TrySendError::Closed(_)) = frames.try_send(frame(Frame::Heartbeat(heartbeat))) {
                        return "closed".into();
                    }
                }
            }
        }
    }

    fn hear(&self, frame: FromMaster, beat: &mut tokio::time::Interval, tunnels: &mut Tunnels) {
        match frame {
            FromMaster::Welcome(welcome) => {
                let every = Duration::from_millis(welcome.heartbeat_interval_ms.clamp(100, 10_000).into());
                *beat = tokio::time::interval(every);
                learn(self.client.transport(), &welcome.masters);
            }
            FromMaster::Ack(ack) => learn(self.client.transport(), &ack.masters),
            FromMaster::Open(open) => tunnels.open(open.stream),
            FromMaster::Data(data) => tunnels.data(data.stream, data.data),
            FromMaster::Credit(credit) => tunnels.credit(credit.stream, credit.bytes),
            FromMaster::Close(close) => tunnels.close(close.stream, &close.error),
        }
    }
}

fn frame(frame: Frame) -> AgentFrame {
    AgentFrame { frame: Some(frame) }
}

/// Takes over the list of masters, if it says anything new.
fn learn(transport: &Transport, masters: &[String]) {
    let mut known = transport.servers();
    let mut told = masters.to_vec();
    known.sort();
    told.sort();
    if !told.is_empty()
        && known != told
        && let Err(error) = transport.set_servers(masters)
    {
        tracing::warn!(%error, "cannot use the list of masters");
    }
}
