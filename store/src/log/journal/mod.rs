//! An append-only journal of the log's changes, in segments that are written before they are used.
//!
//! Every write is one frame ([`frame`]) of changes ([`batch`]) and is synced before the next one begins. When a segment is
//! full the next one begins with what must be known besides entries (vote, purge mark, where they go on), so that segments
//! whose entries are all cut off can go; they become the next spare ones ([`spares`]). They go and are used again in order,
//! so that no number is ever missing between two that are there. At the start everything is read once ([`mod@replay`]): a last
//! write that is torn was never acknowledged and is dropped, damage anywhere else is refused.
//!
//! Not RocksDB's write-ahead log, because that one grows with each write, which the file system has to put on disk, too
//! ([`segment`] has numbers). Nor is anything kept in memory here but where entries are.

mod batch;
mod contents;
mod frame;
mod replay;
mod segment;
mod spares;
mod tail;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::{StoreError, to_io};
use crate::raft_types::{LogId, RaftEntry, Vote};
use crate::state::sync_dir;
use crate::wire;
use batch::{Batch, Change};
pub(crate) use contents::Contents;
use contents::Piece;
use frame::Seal;
use replay::{Found, Trouble, replay};
use segment::Segment;
pub(crate) use spares::Making;
use spares::Spares;
use tail::Tail;

/// Number of the first segment.
const FIRST: u64 = 1;
/// Locked by the process that has the journal open.
const LOCK: &str = "lock";

/// What a journal holds, shared with who reads it.
pub(crate) type Shared = Arc<Mutex<Contents>>;

/// The journal of one directory. One writer at a time; readers share its [`Contents`].
pub(crate) struct Journal {
    contents: Shared,
    batch: Batch,
    active: Arc<Segment>,
    tail: Tail,
    /// Where the next frame goes.
    at: usize,
    /// Where the segment's first frame ends.
    begun: usize,
    /// Of the last write.
    number: u64,
    secret: u64,
    segment_bytes: usize,
    spares: Spares,
    dir: PathBuf,
    /// After a failed write nobody knows what is on disk; only a start can find out.
    failed: bool,
    _lock: File,
}

impl Journal {
    /// Opens or creates the journal in `dir`, whose segments get `segment_bytes` bytes; the id of its last entry.
    ///
    /// # Errors
    /// `InUse`, `Corrupt`, and I/O errors.
    pub(crate) fn open(
        dir: &Path,
        data_dir: &Path,
        segment_bytes: usize,
        making: Making,
    ) -> Result<(Self, Option<LogId>), StoreError> {
        let segment_bytes = segment_bytes.next_multiple_of(tail::BLOCK);
        let failed = |error: std::io::Error| StoreError::io(dir, &error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let lock = lock(dir, data_dir)?;
        let mut found = match replay(dir).map_err(|trouble| trouble.told(data_dir))? {
            Some(found) => found,
            None => Found::nothing(first_segment(dir, data_dir, segment_bytes).map_err(failed)?),
        };
        let (last, tail) = (found.last, Tail::of(&found.active, found.end).map_err(failed)?);
        let secret = *found.contents.marks.secret.get_or_insert_with(rand::random);
        let mut journal = Self {
            contents: Arc::new(Mutex::new(found.contents)),
            batch: Batch::new(),
            active: found.active,
            tail,
            at: found.end,
            // Whether the first frame was the only one does not matter here.
            begun: 0,
            number: found.number,
            secret,
            segment_bytes,
            spares: Spares::new(dir, segment_bytes, making, found.ready).map_err(failed)?,
            dir: dir.to_path_buf(),
            failed: false,
            _lock: lock,
        };
        if journal.at == 0 {
            journal.begin_segment().map_err(failed)?;
        }
        journal.give_back();
        journal.order_spare();
        Ok((journal, last))
    }

    /// What it holds.
    pub(crate) fn contents(&self) -> &Shared {
        &self.contents
    }

    /// Adds an entry to the next write.
    pub(crate) fn entry(&mut self, entry: &RaftEntry) -> std::io::Result<()> {
        self.batch.entry(entry)
    }

    /// Adds a vote to the next write.
    pub(crate) fn vote(&mut self, vote: Vote) -> std::io::Result<()> {
        self.batch.mark(Change::Vote(vote))
    }

    /// Adds a hint at what is committed to the next write.
    pub(crate) fn committed(&mut self, id: LogId) -> std::io::Result<()> {
        self.batch.mark(Change::Committed(id))
    }

    /// Takes back all entries from `from` on, with the next write.
    pub(crate) fn truncate(&mut self, from: u64) -> std::io::Result<()> {
        self.batch.mark(Change::Truncate(from))
    }

    /// Cuts off all entries up to `upto`, with the next write.
    pub(crate) fn purge(&mut self, upto: LogId) -> std::io::Result<()> {
        self.batch.mark(Change::Purge(upto))
    }

    /// Takes nothing any more: something could not be added, and what comes after it would follow a hole.
    pub(crate) fn give_up(&mut self) {
        self.failed = true;
        self.batch.clear();
    }

    /// Writes what was added and syncs it. After an error the journal takes nothing any more.
    pub(crate) fn write(&mut self) -> std::io::Result<()> {
        let outcome = if self.failed { Err(to_io("an earlier write failed")) } else { self.write_batch() };
        self.failed = outcome.is_err();
        self.batch.clear();
        outcome
    }

    fn write_batch(&mut self) -> std::io::Result<()> {
        self.contents.lock().admits(&self.batch.changes)?;
        let full = self.at + frame::padded(self.batch.frame.len()) > self.segment_bytes;
        // One that does not fit into an empty segment makes it larger.
        if full && self.at > self.begun {
            self.active = Arc::new(self.spares.take(self.active.number + 1)?);
            self.begin_segment()?;
            self.order_spare();
        }
        let base = self.at;
        let mut frame = std::mem::take(&mut self.batch.frame);
        let written = self.write_frame(&mut frame);
        self.batch.frame = frame;
        written?;
        let mut purged = false;
        {
            let mut contents = self.contents.lock();
            for change in &self.batch.changes {
                contents.apply(change, self.active.number, base)?;
                purged |= matches!(change, Change::Purge(_));
            }
        }
        if purged {
            self.give_back();
        }
        Ok(())
    }

    /// Writes the marks into the segment, which is new, and makes it part of the contents.
    fn begin_segment(&mut self) -> std::io::Result<()> {
        let changes = self.contents.lock().head();
        let mut head = Batch::new();
        changes.into_iter().try_for_each(|change| head.mark(change))?;
        self.at = 0;
        self.tail = Tail::default();
        self.write_frame(&mut head.frame)?;
        self.begun = self.at;
        self.contents.lock().segments.insert(self.active.number, self.active.clone());
        Ok(())
    }

    fn write_frame(&mut self, frame: &mut Vec<u8>) -> std::io::Result<()> {
        let seal = Seal { segment: self.active.number, secret: self.secret };
        frame::seal(frame, seal, self.at, self.number + 1)?;
        self.tail.write(&self.active, frame, self.at)?;
        self.at += frame.len();
        self.number += 1;
        #[cfg(test)]
        {
            let synced = self.at == frame.len() || !crate::planted::planted(crate::planted::Bug::AckBeforeSync);
            crate::simulation::disk::note_written(&self.active.path, self.at, synced);
        }
        Ok(())
    }

    fn give_back(&mut self) {
        let unneeded = self.contents.lock().take_unneeded(self.active.number);
        self.spares.give_back(unneeded.into_values());
        self.tell_size();
    }

    fn order_spare(&mut self) {
        self.spares.order(self.active.number + 1);
        self.tell_size();
    }

    fn tell_size(&self) {
        let mut contents = self.contents.lock();
        contents.size = ((contents.segments.len() + self.spares.len()) * self.segment_bytes) as u64;
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The first one of a new journal, whose directory may be new as well.
fn first_segment(dir: &Path, data_dir: &Path, bytes: usize) -> std::io::Result<Segment> {
    let segment = Segment::create(dir, FIRST, bytes)?;
    sync_dir(data_dir)?;
    Ok(segment)
}

fn lock(dir: &Path, data_dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let failed = |error: std::io::Error| StoreError::io(&path, &error);
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: data_dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

impl Found {
    fn nothing(segment: Segment) -> Self {
        let (contents, ready) = (Contents::default(), std::collections::VecDeque::new());
        Self { contents, last: None, number: 0, active: Arc::new(segment), end: 0, ready }
    }
}

impl Trouble {
    fn told(self, data_dir: &Path) -> StoreError {
        match self {
            Self::Failed(path, error) => StoreError::io(&path, &error),
            Self::Damaged(path, detail) => StoreError::Corrupt { path, data_dir: data_dir.to_path_buf(), detail },
        }
    }
}

/// Whether there is a journal in `dir`.
pub(crate) fn is_in(dir: &Path) -> std::io::Result<bool> {
    Ok(!segment::numbers(dir)?.is_empty())
}

/// Removes the journal in `dir`, if there is one.
pub(crate) fn remove(dir: &Path) -> std::io::Result<()> {
    segment::numbers(dir)?.into_iter().try_for_each(|number| std::fs::remove_file(segment::place(dir, number)))
}

/// Whether a file belongs to a journal, by its name.
pub(crate) fn owns(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == LOCK)
        || path.extension().is_some_and(|ending| ending == segment::ENDING)
}

/// Those entries of `range` that are on disk, up to `limit` bytes but at least the first.
pub(crate) fn read(contents: &Shared, range: Range<u64>, limit: usize) -> std::io::Result<Vec<RaftEntry>> {
    let pieces = contents.lock().locate(range, limit);
    pieces.into_iter().map(read_piece).collect()
}

fn read_piece((segment, at, length): Piece) -> std::io::Result<RaftEntry> {
    let bytes = segment.read(at, length)?;
    wire::decode_entry(Bytes::from(bytes)).map_err(|error| to_io(format!("{}: {error}", segment.path.display())))
}
