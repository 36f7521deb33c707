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

/// A stream is kept until both directions have ended: credit for what is still going out comes after the agent's last word.
struct Stream {
    /// To the reader here, until the agent has ended its direction; at most a window is in it, since the agent waits for credit.
    inbound: Option<mpsc::UnboundedSender<bytes::Bytes>>,
    credit: Arc<Semaphore>,
    /// Nothing more goes out.
    sent_all: bool,
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
        self.streams.lock().insert(id, Stream { inbound: Some(inbound), credit: credit.clone(), sent_all: false });
        if !self.send(Frame::Open(TunnelOpen { stream: id })).await {
            self.streams.lock().remove(&id);
            return None;
        }
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
            let inbound = streams.get(&data.stream).and_then(|stream| stream.inbound.as_ref());
            inbound.is_none_or(|inbound| inbound.send(data.data).is_err())
        };
        if gone {
            self.forget(data.stream);
            self.send(Frame::Close(TunnelClose { stream: data.stream, error: "nobody reads".into() })).await;
        }
    }

    /// The agent has ended its direction, or both.
    pub fn close(&self, close: &TunnelClose) {
        if !close.error.is_empty() {
            self.forget(close.stream);
            return;
        }
        let mut streams = self.streams.lock();
        let Some(stream) = streams.get_mut(&close.stream) else { return };
        // The reader ends once it has taken what is queued.
        stream.inbound = None;
        if stream.sent_all {
            streams.remove(&close.stream);
        }
    }

    /// Ends both directions; whoever waits for credit gets none.
    fn forget(&self, id: u64) {
        if let Some(stream) = self.streams.lock().remove(&id) {
            stream.credit.close();
        }
    }

    /// Nothing more goes out on this stream.
    fn sent_all(&self, id: u64) {
        let mut streams = self.streams.lock();
        let Some(stream) = streams.get_mut(&id) else { return };
        stream.sent_all = true;
        if stream.inbound.is_none() {
            streams.remove(&id);
        }
    }

    /// The agent has consumed bytes.
    pub fn credit(&self, credit: &TunnelCredit) {
        if let Some(stream) = self.streams.lock().get(&credit.stream) {
            let most = WINDOW.saturating_sub(stream.credit.available_permits());
            stream.credit.add_permits((credit.bytes as usize).min(most));
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
                return tunnels.forget(id);
            }
        }
    }
    tunnels.sent_all(id);
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
            tunnels.forget(id);
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

#[cfg(test)]
mod tests {
    use super::*;

    type Sent = mpsc::Receiver<Result<MasterFrame, tonic::Status>>;

    async fn opened() -> (Arc<Tunnels>, Sent, Tunnel, u64) {
        let (frames, mut sent) = mpsc::channel(64);
        let tunnels = Tunnels::new(frames);
        let near = tunnels.open().await.unwrap();
        let Some(Frame::Open(open)) = sent.recv().await.unwrap().unwrap().frame else { panic!("not opened") };
        (tunnels, sent, near, open.stream)
    }

    /// Bytes up to the close of the direction, with credit for all of them.
    async fn take_all(tunnels: &Tunnels, sent: &mut Sent, stream: u64) -> usize {
        let mut count = 0;
        loop {
            match sent.recv().await.unwrap().unwrap().frame.unwrap() {
                Frame::Data(data) => {
                    count += data.data.len();
                    tunnels.credit(&TunnelCredit { stream, bytes: u32::try_from(data.data.len()).unwrap() });
                }
                Frame::Close(close) => return if close.error.is_empty() { count } else { usize::MAX },
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn what_goes_out_after_the_agents_last_word_still_gets_credit() {
        let (tunnels, mut sent, mut near, stream) = opened().await;
        tunnels.close(&TunnelClose { stream, error: String::new() });
        let much = vec![7; 3 * WINDOW];
        let writing = async {
            near.write_all(&much).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let (count, ()) = tokio::join!(take_all(&tunnels, &mut sent, stream), writing);
        assert_eq!(count, much.len());
        assert!(tunnels.streams.lock().is_empty(), "both directions have ended");
    }

    #[tokio::test]
    async fn an_error_ends_who_waits_for_credit() {
        let (tunnels, mut sent, mut near, stream) = opened().await;
        let writing = tokio::spawn(async move { near.write_all(&vec![7; 4 * WINDOW]).await });
        let mut count = 0;
        while count < WINDOW {
            if let Some(Frame::Data(data)) = sent.recv().await.unwrap().unwrap().frame {
                count += data.data.len();
            }
        }
        tunnels.close(&TunnelClose { stream, error: "gone".into() });
        assert!(writing.await.unwrap().is_err(), "the pipe broke");
        assert!(tunnels.streams.lock().is_empty());
    }
}
