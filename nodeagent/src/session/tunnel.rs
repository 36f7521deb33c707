//! Byte streams from a master to the agent's HTTP server, many over one session, each with its own flow control.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mainstay_proto::v1::agent_frame::Frame;
use mainstay_proto::v1::{AgentFrame, TunnelClose, TunnelCredit, TunnelData};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::server::Server;

/// Unconfirmed bytes on the way in one direction.
const WINDOW: usize = 256 << 10;
/// Bytes in one frame.
const CHUNK: usize = 32 << 10;

struct Tunnel {
    /// Bounded by the peer's window: it may not send more before it has credit.
    inbound: Option<mpsc::UnboundedSender<Bytes>>,
    credit: Arc<Semaphore>,
    tasks: [JoinHandle<()>; 3],
}

/// All streams of one session; they end when it does.
pub(super) struct Tunnels {
    server: Arc<Server>,
    frames: mpsc::Sender<AgentFrame>,
    open: HashMap<u64, Tunnel>,
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        self.open.values().flat_map(|t| &t.tasks).for_each(JoinHandle::abort);
    }
}

impl Tunnels {
    pub fn new(server: Arc<Server>, frames: mpsc::Sender<AgentFrame>) -> Tunnels {
        Tunnels { server, frames, open: HashMap::new() }
    }

    pub fn open(&mut self, stream: u64) {
        self.open.retain(|_, tunnel| !tunnel.tasks.iter().all(JoinHandle::is_finished));
        let (near, far) = tokio::io::duplex(CHUNK);
        let (read, write) = tokio::io::split(near);
        let (inbound, queue) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW));
        let server = Arc::clone(&self.server);
        let tasks = [
            tokio::spawn(async move { server.serve(far).await }),
            tokio::spawn(feed(stream, queue, write, self.frames.clone())),
            tokio::spawn(drain(stream, read, Arc::clone(&credit), self.frames.clone())),
        ];
        self.open.insert(stream, Tunnel { inbound: Some(inbound), credit, tasks });
    }

    pub fn data(&mut self, stream: u64, data: Bytes) {
        if let Some(inbound) = self.open.get(&stream).and_then(|t| t.inbound.as_ref())
            && inbound.send(data).is_err()
        {
            tracing::trace!(stream, "data for a stream that has ended");
        }
    }

    pub fn credit(&mut self, stream: u64, bytes: u32) {
        if let Some(tunnel) = self.open.get(&stream) {
            let most = WINDOW.saturating_sub(tunnel.credit.available_permits());
            tunnel.credit.add_permits((bytes as usize).min(most));
        }
    }

    pub fn close(&mut self, stream: u64, error: &str) {
        if error.is_empty() {
            if let Some(tunnel) = self.open.get_mut(&stream) {
                tunnel.inbound = None;
            }
        } else if let Some(tunnel) = self.open.remove(&stream) {
            tunnel.tasks.iter().for_each(JoinHandle::abort);
        }
    }
}

fn frame(frame: Frame) -> AgentFrame {
    AgentFrame { frame: Some(frame) }
}

/// From the master to the server.
async fn feed(
    stream: u64,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    mut write: WriteHalf<DuplexStream>,
    frames: mpsc::Sender<AgentFrame>,
) {
    let mut reads = true;
    while let Some(data) = queue.recv().await {
        // What nobody reads any more is confirmed all the same, or the other end would wait for ever.
        reads = reads && write.write_all(&data).await.is_ok();
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if frames.send(frame(Frame::Credit(TunnelCredit { stream, bytes }))).await.is_err() {
            return;
        }
    }
    if let Err(error) = write.shutdown().await {
        tracing::trace!(%error, stream, "already closed");
    }
}

/// From the server to the master.
async fn drain(
    stream: u64,
    mut read: ReadHalf<DuplexStream>,
    credit: Arc<Semaphore>,
    frames: mpsc::Sender<AgentFrame>,
) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match read.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => count,
            Err(_) => break,
        };
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        match credit.acquire_many(permits).await {
            Ok(permit) => permit.forget(),
            Err(_) => return,
        }
        let data = Bytes::copy_from_slice(&buffer[..count]);
        if frames.send(frame(Frame::Data(TunnelData { stream, data }))).await.is_err() {
            return;
        }
    }
    let close = TunnelClose { stream, error: String::new() };
    if frames.send(frame(Frame::Close(close))).await.is_err() {
        tracing::trace!(stream, "the session ended first");
    }
}
