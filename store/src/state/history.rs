//! What changed, by revision: written with each step, read by watchers that fell behind and by reads of the past, dropped
//! when it is old.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_proto::raft as pb;
use prost::Message as _;
use rocksdb::{Direction, IteratorMode, ReadOptions, WriteBatch};

use super::apply::Change;
use super::columns::Column;
use super::db::StateDb;
use super::keys::{self, Stored};
use crate::error::StoreError;
use crate::types::{Event, EventKind, Revision};

/// Bytes of events after which a block ends.
const BLOCK: usize = 64 << 10;

impl StateDb {
    /// Adds changes to a batch, in blocks of whole revisions: inserting many small records costs more than one large one.
    pub(super) fn put_events(&self, batch: &mut WriteBatch, changes: &[Change]) {
        let history = self.column(Column::History);
        let mut block = Vec::new();
        let mut changes = changes.iter().peekable();
        while let Some(change) = changes.next() {
            let revision = change.event.revision;
            // As a field of `StoredEvents`: its tag, its length, itself.
            prost::encoding::message::encode(1, &stored_event(change), &mut block);
            let ends = changes.peek().is_none_or(|next| next.event.revision != revision);
            if ends && (block.len() >= BLOCK || changes.peek().is_none()) {
                batch.put_cf(history, keys::history(revision), &block);
                block.clear();
            }
        }
    }

    /// Kept events after `after` whose keys begin with `prefix`, whole revisions, until `limit_bytes` are read or `upto`
    /// is reached; and the revision up to which that is all.
    pub(crate) fn history(
        &self,
        after: Revision,
        upto: Revision,
        prefix: &[u8],
        limit_bytes: usize,
    ) -> Result<(Vec<Arc<Event>>, Revision), StoreError> {
        let snapshot = self.db.snapshot();
        let mut events = Vec::new();
        let (mut bytes, mut reached) = (0, after);
        for block in self.blocks(&snapshot, after)? {
            for event in block?.events.into_iter().filter(|event| event.revision > after.0) {
                let revision = Revision(event.revision);
                if revision > upto {
                    return Ok((events, upto));
                }
                if revision > reached && bytes >= limit_bytes {
                    return Ok((events, reached));
                }
                reached = revision;
                bytes += event.key.len() + event.value.len() + event.previous.as_ref().map_or(0, Bytes::len);
                if event.key.starts_with(prefix) {
                    events.push(Arc::new(to_event(event)));
                }
            }
        }
        Ok((events, upto))
    }

    /// Blocks of events that hold changes after `after`; the first may begin with earlier ones. Fails with
    /// [`StoreError::Compacted`] if some are gone.
    pub(super) fn blocks<'a>(
        &'a self,
        snapshot: &'a rocksdb::Snapshot<'a>,
        after: Revision,
    ) -> Result<impl Iterator<Item = Result<pb::StoredEvents, StoreError>> + 'a, StoreError> {
        let start = keys::history(Revision(after.0.saturating_add(1)));
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(vec![keys::HISTORY + 1]);
        let history = self.column(Column::History);
        let records = snapshot.iterator_cf_opt(history, options, IteratorMode::From(&start, Direction::Forward));
        // Only now: the iterator holds the files that it reads, and files go only after the floor has moved.
        let floor = self.floor()?;
        if after < floor {
            return Err(StoreError::Compacted { oldest: floor });
        }
        Ok(records.map(move |item| {
            let (_, value) = item.map_err(|error| self.explain(&error))?;
            pb::StoredEvents::decode(Bytes::from(value)).map_err(|error| self.damaged(error))
        }))
    }

    /// The last revision marked at or before `millis`, and the key range of marks up to it.
    fn revision_at(&self, millis: u64) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let start = keys::time(millis);
        let mut marks = self.db.iterator(IteratorMode::From(&start, Direction::Reverse));
        let Some((key, value)) = marks.next().transpose().map_err(|error| self.explain(&error))? else {
            return Ok(None);
        };
        if key.first() != Some(&keys::TIME) {
            return Ok(None);
        }
        let revision = keys::number(&value).ok_or_else(|| self.damaged("time mark"))?;
        Ok(Some((key.into_vec(), Revision(revision))))
    }

    fn marks_before(&self, mark: Vec<u8>) -> impl Iterator<Item = Result<Box<[u8]>, rocksdb::Error>> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(mark);
        let start = keys::time(0);
        self.db
            .iterator_opt(IteratorMode::From(&start, Direction::Forward), options)
            .map(|item| item.map(|(key, _)| key))
    }

    /// Removes the files that hold nothing later than `upto`; what is left of them in others is never read.
    fn drop_history(&self, upto: Revision) -> Result<(), StoreError> {
        let (from, to) = (keys::history(Revision(0)), keys::history(upto));
        let dropped = self.db.delete_file_in_range_cf(self.column(Column::History), from, to);
        dropped.map_err(|error| self.explain(&error))
    }

    /// Drops history that was made at or before `millis`. Affects no outcome, so masters need not agree on it.
    /// Returns the new floor if it moved.
    pub(crate) fn compact(&self, millis: u64) -> Result<Option<Revision>, StoreError> {
        let Some((mark, revision)) = self.revision_at(millis)? else {
            return Ok(None);
        };
        let floor = self.floor()?;
        if revision <= floor {
            return Ok(None);
        }
        let mut batch = WriteBatch::default();
        batch.put(keys::FLOOR, revision.0.to_be_bytes());
        for older in self.marks_before(mark) {
            batch.delete(older.map_err(|error| self.explain(&error))?);
        }
        self.write(batch)?;
        // A floor that a crash takes back must not promise events whose files are gone.
        self.flush()?;
        self.drop_history(revision)?;
        Ok(Some(revision))
    }

    /// The time of the last mark, 0 if there is none.
    pub(super) fn last_mark(&self) -> Result<u64, StoreError> {
        let found = self.revision_at(u64::MAX)?;
        Ok(found.and_then(|(key, _)| keys::number(&key[1..])).unwrap_or(0))
    }
}

fn stored_event(change: &Change) -> pb::StoredEvent {
    let event = &change.event;
    pb::StoredEvent {
        kind: match event.kind {
            EventKind::Created => pb::stored_event::Kind::Created,
            EventKind::Updated => pb::stored_event::Kind::Updated,
            EventKind::Deleted => pb::stored_event::Kind::Deleted,
        }
        .into(),
        key: event.key.clone(),
        value: event.value.clone(),
        previous: event.previous.clone(),
        created: change.previous_created.0,
        modified: change.previous_modified.0,
        revision: event.revision.0,
    }
}

fn to_event(event: pb::StoredEvent) -> Event {
    let revision = Revision(event.revision);
    let kind = match event.kind() {
        pb::stored_event::Kind::Created => EventKind::Created,
        pb::stored_event::Kind::Updated => EventKind::Updated,
        pb::stored_event::Kind::Deleted => EventKind::Deleted,
    };
    Event { revision, key: event.key, value: event.value, previous: event.previous, kind }
}

pub(super) fn previous_of(event: &pb::StoredEvent) -> Option<Stored> {
    event.previous.clone().map(|value| Stored {
        created: Revision(event.created),
        modified: Revision(event.modified),
        value,
    })
}
