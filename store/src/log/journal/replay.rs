//! Reading the journal at the start: every frame, every entry, and proof that none is missing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, Change};
use super::contents::Contents;
use super::frame::{self, Seal};
use super::segment::{self, Segment};
use crate::raft_types::LogId;

/// What is wrong with the files.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed(PathBuf, std::io::Error),
    Damaged(PathBuf, String),
}

/// Where a journal goes on.
pub(super) struct Found {
    pub(super) contents: Contents,
    pub(super) last: Option<LogId>,
    /// Of the last write.
    pub(super) number: u64,
    /// The last segment with anything in it, and where that ends.
    pub(super) active: Arc<Segment>,
    pub(super) end: usize,
    /// The segments after it.
    pub(super) ready: VecDeque<Segment>,
}

/// Reads all segments in `dir`; `None` if there are none.
pub(super) fn replay(dir: &Path) -> Result<Option<Found>, Trouble> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |error| Trouble::Failed(path, error)
    };
    let numbers = segment::numbers(dir).map_err(failed(dir))?;
    let Some(first) = numbers.first() else { return Ok(None) };
    let mut replay = Replay::new(*first);
    let mut ready = VecDeque::new();
    for (expected, number) in (*first..).zip(&numbers) {
        if *number != expected {
            return Err(Trouble::Damaged(segment::place(dir, expected), "it is missing".to_owned()));
        }
        let path = segment::place(dir, expected);
        let segment = Segment::open(&path, expected).map_err(failed(&path))?;
        if let Some(unused) = replay.read(segment)? {
            ready.push_back(unused);
        }
    }
    // A journal that never began to write: its first segment is as good as new.
    let (active, end) = match replay.active.take() {
        Some(active) => active,
        None => (Arc::new(ready.pop_front().ok_or_else(|| nothing(dir))?), 0),
    };
    replay.complete(&active.path)?;
    let last = replay.ids.back().copied();
    let number = replay.number.unwrap_or(0);
    Ok(Some(Found { contents: replay.contents, last, number, active, end, ready }))
}

fn nothing(dir: &Path) -> Trouble {
    Trouble::Damaged(dir.to_path_buf(), "it holds no segment".to_owned())
}

struct Replay {
    contents: Contents,
    /// Of the entries in `contents`.
    ids: VecDeque<LogId>,
    /// Of the last write that was read; unknown before the first one of a journal whose beginning is gone.
    number: Option<u64>,
    active: Option<(Arc<Segment>, usize)>,
    /// A segment was found into which nothing was written yet.
    ended: bool,
}

impl Replay {
    fn new(first: u64) -> Self {
        let number = (first == super::FIRST).then_some(0);
        Self { contents: Contents::default(), ids: VecDeque::new(), number, active: None, ended: false }
    }

    /// Reads one segment; gives it back if it was not written to.
    fn read(&mut self, segment: Segment) -> Result<Option<Segment>, Trouble> {
        let bytes = segment.settle().and_then(|()| std::fs::read(&segment.path));
        let bytes = Bytes::from(bytes.map_err(|error| Trouble::Failed(segment.path.clone(), error))?);
        let end = self.frames(&segment, &bytes)?;
        self.refuse_later(&segment, &bytes, end)?;
        if end == 0 {
            self.ended = true;
            return Ok(Some(segment));
        }
        #[cfg(test)]
        crate::simulation::disk::note_written(&segment.path, end, true);
        let segment = Arc::new(segment);
        self.contents.segments.insert(segment.number, segment.clone());
        self.active = Some((segment, end));
        Ok(None)
    }

    /// The secret is in the first frame of all, which is read without it.
    fn seal(&self, segment: &Segment) -> Seal {
        Seal { segment: segment.number, secret: self.contents.marks.secret.unwrap_or_default() }
    }

    /// Goes through the frames that follow each other; where they end.
    fn frames(&mut self, segment: &Segment, bytes: &Bytes) -> Result<usize, Trouble> {
        let mut at = 0;
        while let Some((header, content)) = frame::whole(bytes, self.seal(segment), at) {
            if self.ended || self.number.is_some_and(|number| number + 1 != header.number) {
                break;
            }
            let end = frame::padded(content.end);
            let wrong = |error: std::io::Error| Trouble::Damaged(segment.path.clone(), error.to_string());
            let changes = batch::decode(bytes.slice(content.clone()), content.start).map_err(wrong)?;
            changes.iter().try_for_each(|change| self.apply(change, segment.number)).map_err(wrong)?;
            self.number = Some(header.number);
            at = end;
        }
        Ok(at)
    }

    fn apply(&mut self, change: &Change, segment: u64) -> std::io::Result<()> {
        self.contents.apply(change, segment, 0)?;
        match change {
            Change::Entry { id, .. } => self.ids.push_back(*id),
            Change::Truncate(_) => self.ids.truncate(self.contents.len()),
            Change::Purge(_) => drop(self.ids.drain(..self.ids.len() - self.contents.len())),
            Change::Vote(_) | Change::Committed(_) | Change::Next(_) | Change::Secret(_) => {}
        }
        Ok(())
    }

    /// What a crash cut off is the last write. If there are later ones, what ends here was damaged afterwards.
    fn refuse_later(&self, segment: &Segment, bytes: &[u8], end: usize) -> Result<(), Trouble> {
        let later = match (frame::latest(bytes, self.seal(segment), end), self.number) {
            (None, Some(_)) => false,
            (Some(latest), Some(number)) => self.ended || latest > number + 1,
            // A journal whose first segments are gone has something in the others.
            (_, None) => true,
        };
        if !later {
            return Ok(());
        }
        // A beginning that is whole, and too late, says that something is gone before it.
        let before = self.active.as_ref().filter(|_| end == 0 && frame::whole(bytes, self.seal(segment), 0).is_some());
        let (path, end) = before.map_or((&segment.path, end), |(before, end)| (&before.path, *end));
        let detail = format!("the write at byte {end} is damaged, and was synced: later ones follow it");
        Err(Trouble::Damaged(path.clone(), detail))
    }

    /// Refuses a log that lacks something at its beginning, or is out of order.
    fn complete(&self, path: &Path) -> Result<(), Trouble> {
        let wrong = |detail: String| Err(Trouble::Damaged(path.to_path_buf(), detail));
        if let Some(missing) = self.contents.missing() {
            return wrong(format!("entry {missing} and what follows it are missing"));
        }
        let purged = self.contents.marks.purged;
        let ids = purged.iter().chain(&self.ids);
        match ids.clone().zip(ids.skip(1)).find(|(one, next)| one > next) {
            Some((one, next)) => wrong(format!("entry {next} follows {one}")),
            None => Ok(()),
        }
    }
}
