//! Byte streams over a session: each is a pipe here and an HTTP connection at the agent, with credit-based flow control.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use mainstay_proto::v1::{MasterFrame, TunnelClose, TunnelCredit, TunnelData, TunnelOpen, master_frame::Frame};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};

/// Bytes that a sender may have unconfirmed.
const WINDOW: usize = 256 << 10;
/// Bytes in one frame.
const CHUNK: usize = 32 << 10;

/// One end of a byte stream to an agent.
pub(crate) type Tunnel = DuplexStream;

type Frames = mpsc::Sender<Result<MasterFrame, tonic::Status>>;

struct Stream {
    /// To the reader here; at most a window is in it, since the agent waits for credit.
    inbound: mpsc::UnboundedSender<bytes::Bytes>,
    credit: Arc<Semaphore>,
}

/// The streams of one session.
pub(crate) struct Tunnels {
    frames: Frames,
    streams: Mutex<HashMap<u64, Stream>>,
    next: AtomicU64,
}

impl Tunnels {
    pub fn new(frames: Frames) -> Arc<Self> {
        Arc::new(Self { frames, streams: Mutex::default(), next: AtomicU64::new(1) })
    }

    /// Opens a stream; `None` if the session is over.
    pub async fn open(self: &Arc<Self>) -> Option<Tunnel> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(WINDOW);
        let (inbound, received) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW));
        self.streams.lock().insert(id, Stream { inbound, credit: credit.clone() });
        self.send(Frame::Open(TunnelOpen { stream: id })).await.then_some(())?;
        let (read, write) = tokio::io::split(far);
        tokio::spawn(outward(self.clone(), id, read, credit));
        tokio::spawn(inward(self.clone(), id, write, received));
        Some(near)
    }

    async fn send(&self, frame: Frame) -> bool {
        self.frames.send(Ok(MasterFrame { frame: Some(frame) })).await.is_ok()
    }

    /// Bytes from the agent.
    pub async fn data(&self, data: TunnelData) {
        let gone = {
            let streams = self.streams.lock();
            streams.get(&data.stream).is_none_or(|stream| stream.inbound.send(data.data).is_err())
        };
        if gone {
            self.send(Frame::Close(TunnelClose { stream: data.stream, error: "nobody reads".into() })).await;
        }
    }

    /// The agent has ended its direction, or both.
    pub async fn close(&self, close: TunnelClose) {
        // Dropping the sender ends the reader once it has taken what is queued.
        if let Some(stream) = self.streams.lock().remove(&close.stream)
            && !close.error.is_empty()
        {
            stream.credit.close();
        }
    }

    /// The agent has consumed bytes.
    pub fn credit(&self, credit: &TunnelCredit) {
        if let Some(stream) = self.streams.lock().get(&credit.stream) {
            stream.credit.add_permits(credit.bytes as usize);
        }
    }

    /// The session is over.
    pub fn abort(&self) {
        for (_, stream) in self.streams.lock().drain() {
            stream.credit.close();
        }
    }
}

/// From the pipe to the agent, as far as its credit goes.
async fn outward(tunnels: Arc<Tunnels>, id: u64, mut read: ReadHalf<DuplexStream>, credit: Arc<Semaphore>) {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        buffer.reserve(CHUNK);
        match read.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        while !buffer.is_empty() {
            let part = buffer.split_to(buffer.len().min(CHUNK));
            let Ok(permits) = credit.acquire_many(u32::try_from(part.len()).unwrap_or(u32::MAX)).await else { return };
            permits.forget();
            if !tunnels.send(Frame::Data(TunnelData { stream: id, data: part.freeze() })).await {
                return;
            }
        }
    }
    if !tunnels.send(Frame::Close(TunnelClose { stream: id, error: String::new() })).await {
        tracing::debug!(id, "the session of a tunnel is over");
    }
}

/// From the agent to the pipe, confirming what has been taken.
async fn inward(
    tunnels: Arc<Tunnels>,
    id: u64,
    mut write: WriteHalf<DuplexStream>,
    mut received: mpsc::UnboundedReceiver<bytes::Bytes>,
) {
    while let Some(bytes) = received.recv().await {
        if write.write_all(&bytes).await.is_err() {
            tunnels.streams.lock().remove(&id);
            tunnels.send(Frame::Close(TunnelClose { stream: id, error: "the client is gone".into() })).await;
            return;
        }
        let taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if !tunnels.send(Frame::Credit(TunnelCredit { stream: id, bytes: taken })).await {
            return;
        }
    }
    if let Err(error) = write.shutdown().await {
        tracing::debug!(%error, id, "closing a tunnel");
    }
}
