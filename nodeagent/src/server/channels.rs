//! A client's WebSocket joined with containerd's SPDY: the first byte of a frame names the stream, and in v5 the frame
//! `255, n` ends stream n, which is how `echo x | kubectl exec -i pod -- cat` comes to an end.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::spdy::{self, Incoming};
use super::stdio::Streams;

type Io = TokioIo<Upgraded>;
/// A client's WebSocket.
pub(super) type Client = WebSocketStream<Io>;
type Sender = Arc<Mutex<spdy::Sender<WriteHalf<Io>>>>;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Ends the channel that the next byte names.
const CLOSE: u8 = 255;
/// Read at once.
const CHUNK: usize = 32 << 10;

/// A channel and the SPDY stream that it is.
type Channels = Vec<(u8, u32)>;

/// Joins a command's streams until it has ended or the client is gone.
pub(super) async fn translate(client: Client, backend: Io, streams: Streams) {
    let (read, write) = tokio::io::split(backend);
    let mut sender = spdy::Sender::new(write);
    let channels = match open(&mut sender, streams).await {
        Ok(channels) => channels,
        Err(error) => return tracing::debug!(%error, "the streaming server broke off"),
    };
    let sender = Arc::new(Mutex::new(sender));
    let (to_client, from_client) = client.split();
    let ended = tokio::select! {
        ended = upward(from_client, &sender, &channels) => ended,
        ended = downward(to_client, read, &sender, &channels) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a stream to a container broke");
    }
}

/// containerd waits for exactly these streams.
async fn open(sender: &mut spdy::Sender<WriteHalf<Io>>, streams: Streams) -> std::io::Result<Channels> {
    let wanted = [
        (ERROR, "error", true),
        (STDIN, "stdin", streams.stdin),
        (STDOUT, "stdout", streams.stdout),
        (STDERR, "stderr", streams.stderr),
        (RESIZE, "resize", streams.tty),
    ];
    let mut channels = Channels::new();
    for (channel, name, _) in wanted.iter().filter(|(_, _, wanted)| *wanted) {
        channels.push((*channel, sender.open(&[("streamtype", name)]).await?));
    }
    Ok(channels)
}

async fn upward(mut from: SplitStream<Client>, sender: &Sender, channels: &Channels) -> std::io::Result<()> {
    while let Some(message) = from.next().await {
        let data = match message.map_err(std::io::Error::other)? {
            Message::Binary(data) => data,
            Message::Close(_) => return Ok(()),
            _ => continue,
        };
        let stream = |channel: u8| channels.iter().find(|(known, _)| *known == channel).map(|(_, stream)| *stream);
        match *data {
            [CLOSE, channel] => {
                if let Some(stream) = stream(channel) {
                    sender.lock().await.finish(stream).await?;
                }
            }
            [channel @ (STDIN | RESIZE), ref data @ ..] if !data.is_empty() => {
                if let Some(stream) = stream(channel) {
                    sender.lock().await.data(stream, data).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

async fn downward(
    mut to: SplitSink<Client, Message>,
    mut from: ReadHalf<Io>,
    sender: &Sender,
    channels: &Channels,
) -> std::io::Result<()> {
    while let Some(incoming) = spdy::receive(&mut from).await? {
        match incoming {
            Incoming::Data { stream, data, .. } if !data.is_empty() => {
                if let Some((channel, _)) = channels.iter().find(|(_, known)| *known == stream) {
                    to.send(Message::Binary(framed(*channel, &data))).await.map_err(std::io::Error::other)?;
                }
            }
            Incoming::Ping(number) => sender.lock().await.pong(number).await?,
            Incoming::Data { .. } | Incoming::Reset { .. } | Incoming::GoAway => {}
        }
    }
    say_goodbye(&mut to).await
}

fn framed(channel: u8, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(data.len() + 1);
    frame.put_u8(channel);
    frame.extend_from_slice(data);
    frame.freeze()
}

async fn say_goodbye(to: &mut SplitSink<Client, Message>) -> std::io::Result<()> {
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    to.send(Message::Close(Some(close))).await.map_err(std::io::Error::other)?;
    to.close().await.map_err(std::io::Error::other)
}

/// Carries the bytes that a WebSocket's binary frames hold, both ways.
pub(super) async fn carry(client: Client, backend: Io) {
    let (to_client, from_client) = client.split();
    let (read, write) = tokio::io::split(backend);
    let ended = tokio::select! {
        ended = unpack(from_client, write) => ended,
        ended = pack(read, to_client) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a forwarded port broke");
    }
}

async fn unpack(mut from: SplitStream<Client>, mut to: WriteHalf<Io>) -> std::io::Result<()> {
    while let Some(message) = from.next().await {
        match message.map_err(std::io::Error::other)? {
            Message::Binary(data) => {
                to.write_all(&data).await?;
                to.flush().await?;
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    to.shutdown().await
}

async fn pack(mut from: ReadHalf<Io>, mut to: SplitSink<Client, Message>) -> std::io::Result<()> {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        buffer.reserve(CHUNK);
        if from.read_buf(&mut buffer).await? == 0 {
            return say_goodbye(&mut to).await;
        }
        to.send(Message::Binary(buffer.split().freeze())).await.map_err(std::io::Error::other)?;
    }
}

/// Joins one connection with a port in a pod's network.
pub(super) async fn forward(client: Io, backend: Io, port: u16) {
    let (read, write) = tokio::io::split(backend);
    let sender = Arc::new(Mutex::new(spdy::Sender::new(write)));
    let stream = match open_port(&sender, port).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "the streaming server broke off"),
    };
    let (from_client, to_client) = tokio::io::split(client);
    let upward = send_all(from_client, &sender, stream);
    let downward = receive_all(read, to_client, &sender, stream);
    let ended = tokio::select! {
        ended = downward => ended,
        ended = async { upward.await?; std::future::pending().await } => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, port, "a forwarded port broke");
    }
}

/// A stream for errors and one for data belong together by their request's number.
async fn open_port(sender: &Sender, port: u16) -> std::io::Result<u32> {
    let mut sender = sender.lock().await;
    let port = port.to_string();
    let error = sender.open(&[("streamtype", "error"), ("port", &port), ("requestid", "0")]).await?;
    sender.finish(error).await?;
    sender.open(&[("streamtype", "data"), ("port", &port), ("requestid", "0")]).await
}

async fn send_all(mut from: ReadHalf<Io>, sender: &Sender, stream: u32) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await? {
            0 => return sender.lock().await.finish(stream).await,
            count => sender.lock().await.data(stream, &buffer[..count]).await?,
        }
    }
}

async fn receive_all(mut from: ReadHalf<Io>, mut to: WriteHalf<Io>, sender: &Sender, own: u32) -> std::io::Result<()> {
    while let Some(incoming) = spdy::receive(&mut from).await? {
        match incoming {
            Incoming::Data { stream, data, last } if stream == own => {
                to.write_all(&data).await?;
                to.flush().await?;
                if last {
                    break;
                }
            }
            Incoming::Data { data, .. } if !data.is_empty() => {
                return Err(std::io::Error::other(String::from_utf8_lossy(&data).into_owned()));
            }
            Incoming::Reset { stream } if stream == own => break,
            Incoming::Ping(number) => sender.lock().await.pong(number).await?,
            _ => {}
        }
    }
    to.shutdown().await
}
