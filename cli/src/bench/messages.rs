//! The messages of a gRPC answer, decoded where they arrived: what a load generator copies, the servers under test do without.

use std::collections::VecDeque;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use prost::Message;

use super::connection::Answer;

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A message as it is sent.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// An answer of many messages.
pub(super) struct Messages {
    body: Answer,
    arrived: Pieces,
}

impl Messages {
    /// Those of this answer.
    pub(super) fn of(body: Answer) -> Self {
        Self { body, arrived: Pieces::default() }
    }

    /// The next one; `None` once there are no more.
    ///
    /// # Errors
    /// When the answer breaks off, or is none of such messages.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>> {
        if !self.gather(PREFIX).await? {
            return Ok(None);
        }
        ensure!(self.arrived.get_u8() == 0, "a message is compressed, which nobody asked for");
        let length = usize::try_from(self.arrived.get_u32())?;
        ensure!(self.gather(length).await?, "the answer ended inside of a message");
        M::decode((&mut self.arrived).take(length)).context("decoding a message").map(Some)
    }

    /// Waits until so many bytes are there; `false` if the answer ends before.
    async fn gather(&mut self, length: usize) -> Result<bool> {
        while self.arrived.remaining() < length {
            let Some(frame) = self.body.frame().await else { return Ok(false) };
            if let Ok(data) = frame.context("the answer broke off")?.into_data() {
                self.arrived.push(data);
            }
        }
        Ok(true)
    }
}

/// Bytes as they arrived, none of them empty.
#[derive(Default)]
struct Pieces {
    queue: VecDeque<Bytes>,
    length: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.queue.push_back(piece);
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.queue.front().map_or(&[], |first| first)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.length, "no more can be read than is there");
        self.length -= count;
        while let Some(first) = self.queue.front_mut().filter(|_| count > 0) {
            let part = count.min(first.len());
            first.advance(part);
            count -= part;
            if first.is_empty() {
                self.queue.pop_front();
            }
        }
    }

    /// Without a copy where all of it arrived together.
    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let together = self.queue.front().filter(|first| first.len() >= length).map(|first| first.slice(..length));
        let bytes = together.unwrap_or_else(|| {
            let mut copied = BytesMut::with_capacity(length);
            for piece in &self.queue {
                copied.put_slice(&piece[..piece.len().min(length - copied.len())]);
            }
            copied.freeze()
        });
        self.advance(length);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_in_pieces_is_read_as_if_it_had_come_at_once() {
        let text = b"abcdefghij";
        for cut in 1..text.len() {
            let mut pieces = Pieces::default();
            for piece in [&text[..cut], &[], &text[cut..]] {
                pieces.push(Bytes::copy_from_slice(piece));
            }
            assert_eq!(pieces.get_u8(), b'a');
            assert_eq!(pieces.copy_to_bytes(4), "bcde");
            pieces.advance(3);
            assert_eq!((pieces.remaining(), pieces.copy_to_bytes(2)), (2, Bytes::from("ij")));
            assert_eq!((pieces.remaining(), pieces.chunk()), (0, &[][..]));
        }
    }
}
