//! What the journal holds: where entries are, and the marks beside them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::batch::Change;
use super::segment::Segment;
use crate::error::to_io;
use crate::raft_types::{LogId, Vote};

/// What is known besides entries. Each segment begins with it, so that older ones can go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    pub(crate) vote: Option<Vote>,
    /// Up to where the log was cut off at its beginning.
    pub(crate) purged: Option<LogId>,
    /// A recent committed id; a hint for restarts.
    pub(crate) committed: Option<LogId>,
    /// What frames are sealed with; there is none before the first frame of all.
    pub(super) secret: Option<u64>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    segment: u64,
    at: u32,
    length: u32,
}

/// The only index that the next entry can have; unknown before the first.
#[derive(Clone, Copy, Debug, Default)]
struct Next(Option<u64>);

impl Next {
    fn after(self, change: &Change) -> std::io::Result<Self> {
        Ok(Self(match change {
            Change::Entry { id, .. } => Some(self.admit(id.index)? + 1),
            Change::Next(index) => Some(self.admit(*index)?),
            Change::Truncate(from) => self.0.map(|next| next.min(*from)),
            Change::Purge(upto) => self.0.map(|next| next.max(upto.index + 1)),
            Change::Vote(_) | Change::Committed(_) | Change::Secret(_) => self.0,
        }))
    }

    fn admit(self, index: u64) -> std::io::Result<u64> {
        match self.0.filter(|next| *next != index) {
            Some(next) => Err(to_io(format!("entry {index} is there where {next} should be"))),
            None => Ok(index),
        }
    }
}

/// All that was written and is still valid. Only the journal changes it, once a change is on disk.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(super) marks: Marks,
    /// Index of the first of `places`.
    first: u64,
    places: VecDeque<Place>,
    next: Next,
    /// Segments with anything in them.
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// Bytes of all files, those set aside too.
    pub(super) size: u64,
}

/// A piece of a segment.
pub(super) type Piece = (Arc<Segment>, usize, usize);

impl Contents {
    /// What is known besides entries.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Bytes of all files, also of those that are set aside for entries to come.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Indexes of the entries that there are.
    #[cfg(test)]
    pub(super) fn range(&self) -> Range<u64> {
        self.first..self.first + self.places.len() as u64
    }

    /// What a new segment begins with, so that it can be read without those before it.
    pub(super) fn head(&self) -> Vec<Change> {
        let Marks { vote, purged, committed, secret } = &self.marks;
        let marks = [vote.map(Change::Vote), purged.map(Change::Purge), committed.map(Change::Committed)];
        let own = [secret.map(Change::Secret), self.next.0.map(Change::Next)];
        marks.into_iter().chain(own).flatten().collect()
    }

    /// Index of the first entry that is not there although it should be, if all is lost that was there once.
    pub(super) fn missing(&self) -> Option<u64> {
        let expected = self.marks.purged.map_or(0, |id| id.index + 1);
        let first = if self.places.is_empty() { self.next.0? } else { self.first };
        (first > expected).then_some(expected)
    }

    /// Whether `changes` can follow what there is. To be asked before they are written: a start reads what is on disk.
    pub(super) fn admits(&self, changes: &[Change]) -> std::io::Result<()> {
        changes.iter().try_fold(self.next, Next::after).map(drop)
    }

    /// Does what `change`, in a frame at `base` of `segment`, says.
    pub(super) fn apply(&mut self, change: &Change, segment: u64, base: usize) -> std::io::Result<()> {
        let next = self.next.after(change)?;
        match change {
            Change::Entry { id, at, length } => {
                let narrow = |wide: usize| u32::try_from(wide).map_err(to_io);
                let place = Place { segment, at: narrow(base + at)?, length: narrow(*length)? };
                self.append(id.index, place);
            }
            Change::Vote(vote) => self.marks.vote = Some(*vote),
            Change::Committed(id) => self.marks.committed = Some(*id),
            Change::Secret(secret) => self.marks.secret = Some(*secret),
            Change::Truncate(from) => self.truncate(*from),
            Change::Next(_) => {}
            Change::Purge(upto) => self.purge(*upto),
        }
        self.next = next;
        Ok(())
    }

    fn append(&mut self, index: u64, place: Place) {
        if self.places.is_empty() {
            self.first = index;
        }
        self.places.push_back(place);
    }

    fn truncate(&mut self, from: u64) {
        let left = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.places.truncate(left);
    }

    fn purge(&mut self, upto: LogId) {
        self.marks.purged = self.marks.purged.max(Some(upto));
        while !self.places.is_empty() && self.first <= upto.index {
            self.places.pop_front();
            self.first += 1;
        }
    }

    /// Takes out the segments before the first entry, which nobody needs any more; never `active`.
    pub(super) fn take_unneeded(&mut self, active: u64) -> BTreeMap<u64, Arc<Segment>> {
        let needed = self.places.front().map_or(active, |place| place.segment.min(active));
        let kept = self.segments.split_off(&needed);
        std::mem::replace(&mut self.segments, kept)
    }

    /// Where those entries of `range` are that there are, up to `limit` bytes but at least the first.
    pub(super) fn locate(&self, range: Range<u64>, limit: usize) -> Vec<Piece> {
        let wide = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        let start = range.start.max(self.first);
        let places = self.places.iter().skip(wide(start - self.first)).take(wide(range.end.saturating_sub(start)));
        let mut bytes = 0;
        let places = places.take_while(|place| {
            let more = bytes < limit;
            bytes += place.length as usize;
            more
        });
        places.filter_map(|place| self.piece(place)).collect()
    }

    fn piece(&self, place: &Place) -> Option<Piece> {
        let segment = self.segments.get(&place.segment)?;
        Some((segment.clone(), place.at as usize, place.length as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft_types::log_id;

    fn entries(contents: &mut Contents, range: Range<u64>) -> std::io::Result<()> {
        range.into_iter().try_for_each(|index| {
            contents.apply(&Change::Entry { id: log_id(1, index), at: 0, length: 1 }, index / 4, 0)
        })
    }

    #[test]
    fn entries_follow_each_other() {
        let mut contents = Contents::default();
        entries(&mut contents, 7..10).unwrap();
        assert_eq!(entries(&mut contents, 11..12).unwrap_err().to_string(), "entry 11 is there where 10 should be");
        contents.apply(&Change::Truncate(8), 2, 0).unwrap();
        entries(&mut contents, 8..9).unwrap();
        assert_eq!(contents.range(), 7..9);
    }

    #[test]
    fn what_does_not_follow_is_known_before_it_is_written() {
        let mut contents = Contents::default();
        entries(&mut contents, 0..5).unwrap();
        let entry = |index| Change::Entry { id: log_id(2, index), at: 0, length: 1 };
        contents.admits(&[entry(5), Change::Truncate(3), entry(3), Change::Purge(log_id(2, 8)), entry(9)]).unwrap();
        assert!(contents.admits(&[entry(5), entry(7)]).is_err());
        assert!(contents.admits(&[Change::Truncate(3), entry(5)]).is_err());
        assert_eq!(contents.range(), 0..5);
    }

    #[test]
    fn after_a_cut_beyond_the_end_the_next_entry_is_the_one_behind_it() {
        let mut contents = Contents::default();
        entries(&mut contents, 0..3).unwrap();
        contents.apply(&Change::Purge(log_id(2, 9)), 2, 0).unwrap();
        assert_eq!(contents.len(), 0);
        assert!(entries(&mut contents, 3..4).is_err());
        entries(&mut contents, 10..12).unwrap();
        assert_eq!(contents.range(), 10..12);
    }
}
