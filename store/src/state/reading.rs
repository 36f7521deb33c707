//! Reading values: the latest, and those of a kept revision.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::apply::Lookup;
use super::db::StateDb;
use super::history::previous_of;
use super::keys::{self, Stored};
use super::progress::Progress;
use crate::error::StoreError;
use crate::types::{Entry, Revision};

impl StateDb {
    /// A value and a revision at which it was so; `reached` is one that had been applied before the call.
    pub(crate) fn read_after(&self, reached: Revision, key: &Bytes) -> Result<(Option<Entry>, Revision), StoreError> {
        let value = self.db.get(keys::data(key)).map_err(|error| self.explain(&error))?;
        match value {
            // It has been so since it was changed, and `reached` was before now.
            Some(bytes) => {
                let entry = self.entry(key.clone(), bytes.into())?;
                let revision = reached.max(entry.modified);
                Ok((Some(entry), revision))
            }
            // Nothing tells since when it is gone.
            None => self.read(key),
        }
    }

    /// A value and the revision at which it was read.
    pub(crate) fn read(&self, key: &Bytes) -> Result<(Option<Entry>, Revision), StoreError> {
        // One call sees one moment, and takes no lock for it as a snapshot does.
        let found = self.db.multi_get([keys::APPLIED, &keys::data(key)]);
        let mut found = found.into_iter().map(|value| value.map_err(|error| self.explain(&error)));
        let revision = self.revision_in(found.next().transpose()?.flatten())?;
        let value = found.next().transpose()?.flatten();
        let entry = value.map(|bytes| self.entry(key.clone(), bytes.into())).transpose()?;
        Ok((entry, revision))
    }

    /// When a key was last changed.
    pub(crate) fn modified(&self, key: &[u8]) -> Result<Option<Revision>, StoreError> {
        let pinned = self.db.get_pinned(keys::data(key)).map_err(|error| self.explain(&error))?;
        pinned.map(|bytes| keys::modified(&bytes).ok_or_else(|| self.damaged("value record"))).transpose()
    }

    fn revision_in(&self, applied: Option<Vec<u8>>) -> Result<Revision, StoreError> {
        match applied {
            None => Ok(Revision(0)),
            Some(bytes) => {
                Progress::decode_applied(&bytes).map(|at| at.revision).ok_or_else(|| self.damaged("applied mark"))
            }
        }
    }

    fn entry(&self, key: Bytes, bytes: Bytes) -> Result<Entry, StoreError> {
        Ok(to_entry(key, self.stored(bytes)?))
    }

    /// Entries under `prefix` after `after`, `limit` at the most (0: all), as of `at` (`None`: now); whether there are
    /// more; the revision of what was read.
    pub(crate) fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<(Vec<Entry>, bool, Revision), StoreError> {
        let snapshot = self.db.snapshot();
        let applied = snapshot.get(keys::APPLIED).map_err(|error| self.explain(&error))?;
        let now = self.revision_in(applied)?;
        let mut undo = match at {
            Some(revision) if revision < now => self.undo(&snapshot, revision, |key| key.starts_with(prefix))?,
            _ => BTreeMap::new(),
        };
        let revision = at.map_or(now, |revision| revision.min(now));
        if let Some(after) = after {
            undo.retain(|key, _| key.as_ref() > after);
        }
        let limit = if limit == 0 { usize::MAX } else { limit };
        let rows = self.rows(&snapshot, prefix, after);
        let (entries, more) = self.merge(rows, undo, limit)?;
        Ok((entries, more, revision))
    }

    /// The stored records under `prefix` after `after`, in key order.
    fn rows<'a>(
        &'a self,
        snapshot: &'a rocksdb::Snapshot<'a>,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> + 'a {
        let full_prefix = keys::data(prefix);
        let start = match after {
            // The smallest key after `after`.
            Some(after) => [&keys::data(after)[..], &[0]].concat().max(full_prefix.clone()),
            None => full_prefix.clone(),
        };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::end_of(&full_prefix));
        options.set_readahead_size(256 << 10);
        snapshot.iterator_opt(IteratorMode::From(&start, Direction::Forward), options).map(move |item| {
            let (key, value) = item.map_err(|error| self.explain(&error))?;
            Ok((Bytes::from(key).slice(1..), Bytes::from(value)))
        })
    }

    /// Current rows with `undo` laid over them.
    fn merge(
        &self,
        rows: impl Iterator<Item = Result<(Bytes, Bytes), StoreError>>,
        undo: BTreeMap<Bytes, Option<Stored>>,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let mut entries = Vec::new();
        let mut undo = undo.into_iter().peekable();
        for row in rows {
            let (key, value) = row?;
            while let Some((gone, state)) = undo.next_if(|(changed, _)| *changed < key) {
                entries.extend(state.map(|stored| to_entry(gone, stored)));
            }
            match undo.next_if(|(changed, _)| *changed == key) {
                Some((key, state)) => entries.extend(state.map(|stored| to_entry(key, stored))),
                None => entries.push(self.entry(key, value)?),
            }
            if entries.len() > limit {
                break;
            }
        }
        if entries.len() <= limit {
            entries.extend(undo.filter_map(|(key, state)| state.map(|stored| to_entry(key, stored))));
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok((entries, more))
    }

    /// The state at `revision` of each key that changed after it: the state before its first change.
    fn undo(
        &self,
        snapshot: &rocksdb::Snapshot<'_>,
        revision: Revision,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<BTreeMap<Bytes, Option<Stored>>, StoreError> {
        let mut undo = BTreeMap::new();
        for block in self.blocks(snapshot, revision)? {
            for event in block?.events.into_iter().filter(|event| event.revision > revision.0 && wanted(&event.key)) {
                let previous = previous_of(&event);
                undo.entry(event.key).or_insert(previous);
            }
        }
        Ok(undo)
    }

    /// The value of `key` as of `revision`.
    pub(crate) fn read_at(&self, key: &Bytes, revision: Revision) -> Result<Option<Entry>, StoreError> {
        let snapshot = self.db.snapshot();
        let mut undo = self.undo(&snapshot, revision, |changed| changed == key)?;
        match undo.remove(key) {
            Some(state) => Ok(state.map(|stored| to_entry(key.clone(), stored))),
            None => {
                let bytes = snapshot.get(keys::data(key)).map_err(|error| self.explain(&error))?;
                bytes.map(|bytes| self.entry(key.clone(), bytes.into())).transpose()
            }
        }
    }
}

impl Lookup for StateDb {
    type Error = StoreError;

    fn lookup(&self, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        match self.get(&keys::data(key))? {
            None => Ok(None),
            Some(bytes) => self.stored(bytes).map(Some),
        }
    }
}

fn to_entry(key: Bytes, stored: Stored) -> Entry {
    Entry { key, value: stored.value, created: stored.created, modified: stored.modified }
}

#[cfg(test)]
mod tests {
    use rocksdb::WriteBatch;

    use super::super::progress::encode_applied;
    use super::*;

    #[test]
    fn a_value_is_told_with_a_revision_at_which_it_was_so() {
        let temp = tempfile::tempdir().unwrap();
        let db = StateDb::open(&temp.path().join("0"), temp.path()).unwrap();
        let stored = Stored { created: Revision(3), modified: Revision(7), value: Bytes::from_static(b"v") };
        let mut batch = WriteBatch::default();
        batch.put(keys::APPLIED, encode_applied(None, Revision(9), 0));
        batch.put(keys::data(b"k"), stored.encode());
        db.write(batch).unwrap();
        let told = |reached, key| db.read_after(Revision(reached), &Bytes::from_static(key)).unwrap().1;
        assert_eq!(told(5, b"k"), Revision(7), "before that it was another");
        assert_eq!(told(8, b"k"), Revision(8));
        assert_eq!(told(5, b"x"), Revision(9), "it may have been removed since");
    }
}
