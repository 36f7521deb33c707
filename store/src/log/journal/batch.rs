//! What is written at once: changes of the log in order, encoded as they come.

use bytes::Bytes;
use mainstay_proto::raft as pb;
use prost::Message as _;

use super::frame::HEADER;
use crate::error::to_io;
use crate::raft_types::{LogId, RaftEntry, Vote};
use crate::wire;

/// Kind (1 byte) and length (4, little endian) come before each change.
const PREFIX: usize = 5;
/// A buffer that has grown beyond this is let go.
const BUFFER: usize = 2 << 20;

const ENTRY: u8 = 1;
const VOTE: u8 = 2;
const PURGE: u8 = 3;
const COMMITTED: u8 = 4;
const TRUNCATE: u8 = 5;
const NEXT: u8 = 6;
const SECRET: u8 = 7;

/// A change of the log. Entries are known by where they stand in the frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Entry {
        id: LogId,
        at: usize,
        length: usize,
    },
    Vote(Vote),
    /// Entries up to this one are not needed any more.
    Purge(LogId),
    /// A recent committed id; a hint for restarts.
    Committed(LogId),
    /// Entries from this index on never were.
    Truncate(u64),
    /// Where entries go on, at the beginning of a segment.
    Next(u64),
    /// What frames are sealed with, likewise.
    Secret(u64),
}

/// Changes that are not written yet.
pub(super) struct Batch {
    /// Room for the frame's header, then the changes.
    pub(super) frame: Vec<u8>,
    pub(super) changes: Vec<Change>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { frame: vec![0; HEADER], changes: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        if self.frame.capacity() > BUFFER {
            self.frame = Vec::new();
        }
        self.frame.clear();
        self.frame.resize(HEADER, 0);
        self.changes.clear();
    }

    /// Adds an entry.
    pub(super) fn entry(&mut self, entry: &RaftEntry) -> std::io::Result<()> {
        let encoded = wire::entry_to_pb(entry).map_err(to_io)?;
        let at = self.frame.len() + PREFIX;
        let length = self.put(ENTRY, &encoded)?;
        self.changes.push(Change::Entry { id: entry.log_id, at, length });
        Ok(())
    }

    /// Adds what is no entry.
    pub(super) fn mark(&mut self, change: Change) -> std::io::Result<()> {
        match &change {
            Change::Vote(vote) => self.put(VOTE, &wire::vote_to_pb(vote))?,
            Change::Purge(id) => self.put(PURGE, &wire::log_id_to_pb(id))?,
            Change::Committed(id) => self.put(COMMITTED, &wire::log_id_to_pb(id))?,
            Change::Truncate(from) => self.put(TRUNCATE, from)?,
            Change::Next(index) => self.put(NEXT, index)?,
            Change::Secret(secret) => self.put(SECRET, secret)?,
            Change::Entry { .. } => return Err(to_io("entries are added as entries")),
        };
        self.changes.push(change);
        Ok(())
    }

    fn put(&mut self, kind: u8, message: &impl prost::Message) -> std::io::Result<usize> {
        let length = message.encoded_len();
        self.frame.push(kind);
        self.frame.extend_from_slice(&u32::try_from(length).map_err(to_io)?.to_le_bytes());
        message.encode(&mut self.frame).map_err(to_io)?;
        Ok(length)
    }
}

/// The changes in the content of a frame that begins at `start` of the segment; entries with what they hold checked.
pub(super) fn decode(mut content: Bytes, start: usize) -> std::io::Result<Vec<Change>> {
    let (mut changes, mut at) = (Vec::new(), start);
    while !content.is_empty() {
        let prefix: [u8; PREFIX] = content.get(..PREFIX).and_then(|p| p.try_into().ok()).ok_or_else(cut_short)?;
        let length = u32::from_le_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if content.len() < PREFIX + length {
            return Err(cut_short());
        }
        let mut change = content.split_to(PREFIX + length);
        let body = change.split_off(PREFIX);
        changes.push(decode_one(prefix[0], body, at + PREFIX, length)?);
        at += PREFIX + length;
    }
    Ok(changes)
}

fn cut_short() -> std::io::Error {
    to_io("a change is cut short")
}

fn decode_one(kind: u8, body: Bytes, at: usize, length: usize) -> std::io::Result<Change> {
    let id = |body| pb::LogId::decode(body).map(wire::log_id_from_pb).map_err(to_io);
    Ok(match kind {
        ENTRY => Change::Entry { id: wire::decode_entry(body)?.log_id, at, length },
        VOTE => Change::Vote(wire::vote_from_pb(Some(pb::Ballot::decode(body).map_err(to_io)?))?),
        PURGE => Change::Purge(id(body)?),
        COMMITTED => Change::Committed(id(body)?),
        TRUNCATE => Change::Truncate(u64::decode(body).map_err(to_io)?),
        NEXT => Change::Next(u64::decode(body).map_err(to_io)?),
        SECRET => Change::Secret(u64::decode(body).map_err(to_io)?),
        _ => return Err(to_io(format!("a change of kind {kind}, which this version does not know"))),
    })
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::*;
    use crate::raft_types::log_id;

    #[test]
    fn changes_are_read_as_they_were_written() {
        let mut batch = Batch::new();
        let marks = [
            Change::Vote(Vote::new(3, 1)),
            Change::Purge(log_id(1, 4)),
            Change::Committed(log_id(2, 6)),
            Change::Truncate(0),
            Change::Next(7),
            Change::Secret(u64::MAX),
        ];
        marks.iter().for_each(|mark| batch.mark(mark.clone()).unwrap());
        batch.entry(&RaftEntry { log_id: log_id(2, 7), payload: EntryPayload::Blank }).unwrap();
        let content = Bytes::copy_from_slice(&batch.frame[HEADER..]);
        assert_eq!(decode(content.clone(), HEADER).unwrap(), batch.changes);
        for length in 1..content.len() {
            // Cut between two changes, fewer are there; anywhere else it is noticed.
            let cut = decode(content.slice(..length), HEADER);
            assert!(cut.is_err() || cut.unwrap().len() < batch.changes.len(), "{length}");
        }
    }
}
