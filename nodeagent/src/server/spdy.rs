//! As much of SPDY/3.1 as a client of containerd's streaming server needs: it opens streams, sends and receives data on
//! them, and closes its side of one, which containerd's WebSocket cannot say.
//!
//! Headers are compressed by the letter only, into blocks that are stored as they are; those of replies are not looked at.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const SYN_STREAM: u16 = 1;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;
/// Version 3, with the bit of a control frame.
const CONTROL: u16 = 0x8003;
const FIN: u8 = 1;
/// Longest frame that is taken: its length has 24 bits.
const LONGEST: usize = (1 << 24) - 1;
/// Data in one frame; containerd reads whole frames into memory.
const CHUNK: usize = 32 << 10;

/// The sending half.
pub(super) struct Sender<W> {
    to: W,
    opened: u32,
}

/// What comes in on streams.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Data, and whether it is the last of the stream.
    Data { stream: u32, data: Bytes, last: bool },
    /// The stream was broken off.
    Reset { stream: u32 },
    /// To be sent back as it is.
    Ping(u32),
    /// No streams are taken any more.
    GoAway,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    pub fn new(to: W) -> Self {
        Sender { to, opened: 0 }
    }

    /// Opens a stream with these headers, whose names are in lower case; returns its number.
    pub async fn open(&mut self, headers: &[(&str, &str)]) -> std::io::Result<u32> {
        let stream = self.opened * 2 + 1;
        let block = header_block(headers, self.opened == 0)?;
        self.opened += 1;
        let mut frame = BytesMut::new();
        frame.put_u16(CONTROL);
        frame.put_u16(SYN_STREAM);
        frame.put_u32(u32::try_from(block.len() + 10).map_err(std::io::Error::other)?);
        frame.put_u32(stream);
        // No associated stream, highest priority, no slot.
        frame.put_u32(0);
        frame.put_u16(0);
        frame.extend_from_slice(&block);
        self.to.write_all(&frame).await?;
        Ok(stream)
    }

    /// Sends data.
    pub async fn data(&mut self, stream: u32, data: &[u8]) -> std::io::Result<()> {
        for part in data.chunks(CHUNK) {
            self.data_frame(stream, part, 0).await?;
        }
        self.to.flush().await
    }

    /// Says that nothing more is sent on a stream.
    pub async fn finish(&mut self, stream: u32) -> std::io::Result<()> {
        self.data_frame(stream, &[], FIN).await?;
        self.to.flush().await
    }

    async fn data_frame(&mut self, stream: u32, data: &[u8], flags: u8) -> std::io::Result<()> {
        let length = u32::try_from(data.len()).map_err(std::io::Error::other)?;
        let mut head = BytesMut::with_capacity(8);
        head.put_u32(stream);
        head.put_u32(u32::from(flags) << 24 | length);
        self.to.write_all(&head).await?;
        self.to.write_all(data).await
    }

    /// Answers a ping.
    pub async fn pong(&mut self, number: u32) -> std::io::Result<()> {
        let mut frame = BytesMut::with_capacity(12);
        frame.put_u16(CONTROL);
        frame.put_u16(PING);
        frame.put_u32(4);
        frame.put_u32(number);
        self.to.write_all(&frame).await?;
        self.to.flush().await
    }
}

/// The next thing that matters; `None` when the connection has ended.
pub(super) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Incoming>> {
    loop {
        let mut head = [0; 8];
        match from.read_exact(&mut head).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        };
        let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let second = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let (flags, length) = ((second >> 24) as u8, second as usize & LONGEST);
        let mut body = vec![0; length];
        from.read_exact(&mut body).await?;
        if first >> 31 == 0 {
            return Ok(Some(Incoming::Data { stream: first, data: body.into(), last: flags & FIN != 0 }));
        }
        if let Some(incoming) = control((first & 0xffff) as u16, &body) {
            return Ok(Some(incoming));
        }
    }
}

/// A control frame, if it is one that changes anything here.
fn control(kind: u16, body: &[u8]) -> Option<Incoming> {
    let word = || body.get(..4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) & 0x7fff_ffff);
    match kind {
        RST_STREAM => Some(Incoming::Reset { stream: word()? }),
        PING => Some(Incoming::Ping(word()?)),
        GO_AWAY => Some(Incoming::GoAway),
        _ => None,
    }
}

/// Names and values as a zlib stream, the whole connection's first part of which has the stream's head.
fn header_block(headers: &[(&str, &str)], first: bool) -> std::io::Result<Bytes> {
    let length = |text: &str| u32::try_from(text.len()).map_err(std::io::Error::other);
    let mut plain = BytesMut::new();
    plain.put_u32(u32::try_from(headers.len()).map_err(std::io::Error::other)?);
    for (name, value) in headers {
        plain.put_u32(length(name)?);
        plain.extend_from_slice(name.as_bytes());
        plain.put_u32(length(value)?);
        plain.extend_from_slice(value.as_bytes());
    }
    let size = u16::try_from(plain.len()).map_err(std::io::Error::other)?;
    let mut block = BytesMut::new();
    if first {
        block.extend_from_slice(&[0x78, 0x01]);
    }
    block.put_u8(0);
    block.put_u16_le(size);
    block.put_u16_le(!size);
    block.extend_from_slice(&plain);
    // An empty block makes the reader hand out what it has.
    block.extend_from_slice(&[0, 0, 0, 0xff, 0xff]);
    Ok(block.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_are_opened_with_stored_headers() {
        let mut sender = Sender::new(Vec::new());
        assert_eq!(sender.open(&[("streamtype", "stdin")]).await.unwrap(), 1);
        let one = sender.to.len();
        assert_eq!(sender.open(&[("streamtype", "error")]).await.unwrap(), 3);
        assert_eq!(&sender.to[..8], [0x80, 3, 0, 1, 0, 0, 0, u8::try_from(one - 8).unwrap()]);
        assert_eq!(&sender.to[18..20], [0x78, 0x01], "the head of the zlib stream");
        assert_eq!(sender.to[one + 18], 0, "comes only once");
        let text = String::from_utf8_lossy(&sender.to[..one]).into_owned();
        assert!(text.contains("streamtype") && text.contains("stdin"));
    }

    #[tokio::test]
    async fn data_and_its_end_come_as_they_were_sent() {
        let mut sender = Sender::new(Vec::new());
        sender.open(&[("streamtype", "stdin")]).await.unwrap();
        sender.data(1, &vec![7; CHUNK + 1]).await.unwrap();
        sender.finish(1).await.unwrap();
        sender.pong(9).await.unwrap();
        let mut from = sender.to.as_slice();
        let mut sizes = Vec::new();
        while let Some(Incoming::Data { stream: 1, data, last }) = receive(&mut from).await.unwrap() {
            sizes.push((data.len(), last));
        }
        assert_eq!(sizes, [(CHUNK, false), (1, false), (0, true)]);
        assert_eq!(receive(&mut from).await.unwrap(), None);
    }
}
