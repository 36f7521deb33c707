//! The store as the rest of the API server sees it: the same calls, with sealing and opening in between.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use mainstay_store::{
    Entry, Event, Freshness, Guard, ListQuery, Op, Page, Revision, Store, StoreError, Txn, TxnOutcome, Watch,
    WatchBatch,
};

use super::envelope::{self, DataKey, shown};
use super::keyring::{Keyring, PLACE, Record};
use super::{EncryptionError, RootKeys};

/// The resources whose objects are sealed, as their keys in the store begin.
pub(super) const SEALED: [&[u8]; 1] = [b"/secrets\0"];

/// Tries to put a key in while others change them too.
const TRIES: usize = 8;
/// Passes over everything until a rewrite finds nothing left to do; writers that have the old key get the new one
/// within moments.
const PASSES: usize = 10;
/// Writes of a rewrite at once.
const AT_ONCE: usize = 64;

/// A store that seals what is secret; a cheap handle. All else is the store's own.
#[derive(Clone)]
pub struct SealedStore {
    store: Store,
    keyring: Arc<Keyring>,
}

impl Deref for SealedStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

fn is_sealed(place: &[u8]) -> bool {
    SEALED.iter().any(|prefix| place.starts_with(prefix))
}

impl SealedStore {
    /// Reads the data keys that the store holds.
    ///
    /// # Errors
    /// [`EncryptionError::OtherRoot`] for data of another cluster; storage errors.
    pub async fn open(store: Store, root: Arc<RootKeys>) -> Result<Self, EncryptionError> {
        let sealed = Self { store, keyring: Arc::new(Keyring::new(root)) };
        sealed.reload(Freshness::Local).await?;
        Ok(sealed)
    }

    /// [`Store::propose`], with secrets sealed.
    ///
    /// # Errors
    /// As there.
    pub async fn propose(&self, mut txn: Txn) -> Result<TxnOutcome, StoreError> {
        if txn
            .ops
            .iter()
            .any(|op| matches!(op, Op::Put { key, .. } | Op::Delete { key, last: Some(_) } if is_sealed(key)))
        {
            let with = self.sealing_key().await?;
            txn.ops.iter_mut().try_for_each(|op| seal(op, &with))?;
        }
        self.store.propose(txn).await
    }

    /// [`Store::get`], opened.
    ///
    /// # Errors
    /// As there.
    pub async fn get(&self, key: &[u8], fresh: Freshness) -> Result<(Option<Entry>, Revision), StoreError> {
        let (entry, revision) = self.store.get(key, fresh).await?;
        let opened = match entry {
            Some(entry) => Some(self.opened(entry).await?),
            None => None,
        };
        Ok((opened, revision))
    }

    /// [`Store::list`], opened.
    ///
    /// # Errors
    /// As there.
    pub async fn list(&self, query: ListQuery) -> Result<Page, StoreError> {
        let mut page = self.store.list(query).await?;
        for entry in &mut page.entries {
            if envelope::key_of(&entry.value).is_some() {
                *entry = self.opened(entry.clone()).await?;
            }
        }
        Ok(page)
    }

    /// [`Store::watch`], opened.
    ///
    /// # Errors
    /// As there.
    pub fn watch(&self, prefix: Bytes, after: Revision) -> Result<SealedWatch, StoreError> {
        Ok(SealedWatch { watch: self.store.watch(prefix, after)?, store: self.clone() })
    }

    /// Puts a new data key in front; what is written from now on is sealed with it. Its number.
    ///
    /// # Errors
    /// Storage errors; [`EncryptionError::OtherRoot`] if the present keys cannot be read.
    pub async fn rotate(&self) -> Result<u32, EncryptionError> {
        for _ in 0..TRIES {
            let (entry, _) = self.store.get(PLACE, Freshness::Consistent).await?;
            let (record, guard) = match entry {
                Some(entry) => (Record::parse(&entry.value)?, Guard::At(entry.key, entry.modified)),
                None => (Record::default(), Guard::Absent(Bytes::from_static(PLACE))),
            };
            if self.put_record(&record.with_new_key(&self.keyring.root)?, guard).await? {
                self.reload(Freshness::Consistent).await?;
                return Ok(self.sealing_key().await?.id);
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Seals everything anew that is not sealed with the present key; how many objects that were.
    ///
    /// # Errors
    /// Storage errors; what is done by then stays done.
    pub async fn rewrite(&self) -> Result<u64, EncryptionError> {
        let mut rewritten = 0;
        for _ in 0..PASSES {
            self.reload(Freshness::Consistent).await?;
            let present = self.sealing_key().await?.id;
            let stale = self.stale(present).await?;
            if stale.is_empty() {
                return Ok(rewritten);
            }
            let writes = stream::iter(stale.into_iter().map(|entry| self.seal_again(entry)));
            let done: Vec<bool> = writes.buffer_unordered(AT_ONCE).try_collect().await?;
            rewritten += done.into_iter().filter(|done| *done).count() as u64;
        }
        Err(StoreError::Busy.into())
    }

    /// What is not sealed with this key, as it is stored.
    async fn stale(&self, present: u32) -> Result<Vec<Entry>, StoreError> {
        let mut stale = Vec::new();
        for prefix in SEALED {
            let prefix = Bytes::from_static(prefix);
            let query = ListQuery { prefix, after: None, limit: 0, fresh: Freshness::Consistent };
            let entries = self.store.list(query).await?.entries.into_iter();
            stale.extend(entries.filter(|entry| envelope::key_of(&entry.value) != Some(present)));
        }
        Ok(stale)
    }

    /// Writes an object as it is; `false` if somebody changed it meanwhile.
    async fn seal_again(&self, entry: Entry) -> Result<bool, StoreError> {
        let guards = vec![Guard::At(entry.key.clone(), entry.modified)];
        let key = entry.key.clone();
        let encoded = match envelope::key_of(&entry.value) {
            Some(_) => self.open_value(&key, &entry.value).await?,
            None => crate::codec::encode(&crate::codec::decode(&entry.value)),
        };
        let op = Op::Put { key, value: encoded.bytes, splice: Some(encoded.splice) };
        let outcome = self.propose(Txn { guards, ops: vec![op] }).await?;
        Ok(matches!(outcome, TxnOutcome::Committed(_)))
    }

    /// The key that seals; the cluster's first secret makes the first one.
    async fn sealing_key(&self) -> Result<Arc<DataKey>, EncryptionError> {
        if let Some(key) = self.keyring.first() {
            return Ok(key);
        }
        let record = Record::default().with_new_key(&self.keyring.root)?;
        // Whoever is first is right.
        self.put_record(&record, Guard::Absent(Bytes::from_static(PLACE))).await?;
        self.reload(Freshness::Consistent).await?;
        self.keyring.first().ok_or(EncryptionError::Crypto)
    }

    async fn put_record(&self, record: &Record, guard: Guard) -> Result<bool, StoreError> {
        let op = Op::Put { key: Bytes::from_static(PLACE), value: record.bytes().into(), splice: None };
        let outcome = self.store.propose(Txn { guards: vec![guard], ops: vec![op] }).await?;
        Ok(matches!(outcome, TxnOutcome::Committed(_)))
    }

    async fn reload(&self, fresh: Freshness) -> Result<(), EncryptionError> {
        let (entry, _) = self.store.get(PLACE, fresh).await?;
        entry.map_or(Ok(()), |entry| self.keyring.load(&entry.value))
    }

    async fn opened(&self, entry: Entry) -> Result<Entry, StoreError> {
        let value = self.open_at(&entry.key, &entry.value, entry.modified).await?;
        Ok(Entry { value, ..entry })
    }

    /// A stored value as it is at a revision.
    async fn open_at(&self, place: &[u8], value: &Bytes, revision: Revision) -> Result<Bytes, StoreError> {
        if envelope::key_of(value).is_none() {
            return Ok(value.clone());
        }
        Ok(envelope::at(&self.open_value(place, value).await?, revision.0))
    }

    async fn open_value(&self, place: &[u8], value: &Bytes) -> Result<crate::codec::Encoded, EncryptionError> {
        let number = envelope::key_of(value).ok_or_else(|| EncryptionError::Damaged(shown(place)))?;
        if let Some(key) = self.keyring.get(number) {
            return key.open(place, value);
        }
        // The record was applied before the value; only this process has not looked yet.
        self.reload(Freshness::Local).await?;
        let unknown = || EncryptionError::UnknownKey { what: shown(place), key: number };
        self.keyring.get(number).ok_or_else(unknown)?.open(place, value)
    }

    async fn open_event(&self, event: &Arc<Event>) -> Result<Arc<Event>, StoreError> {
        if *event.key == *PLACE {
            self.keyring.load(&event.value)?;
        }
        let sealed = |value: &Bytes| envelope::key_of(value).is_some();
        if !sealed(&event.value) && !event.previous.as_ref().is_some_and(sealed) {
            return Ok(event.clone());
        }
        let value = self.open_at(&event.key, &event.value, event.revision).await?;
        let previous = match &event.previous {
            // Its own revision is not told; nobody shows it.
            Some(previous) => Some(self.open_at(&event.key, previous, Revision(0)).await?),
            None => None,
        };
        Ok(Arc::new(Event { value, previous, key: event.key.clone(), ..**event }))
    }
}

fn seal(op: &mut Op, with: &DataKey) -> Result<(), EncryptionError> {
    match op {
        Op::Put { key, value, splice } if is_sealed(key) => {
            *value = with.seal(key, value, splice.take())?;
        }
        Op::Delete { key, last: Some((value, splice)) } if is_sealed(key) => {
            *value = with.seal(key, value, splice.take())?;
        }
        _ => {}
    }
    Ok(())
}

/// A watch whose events are opened.
pub struct SealedWatch {
    watch: Watch,
    store: SealedStore,
}

impl SealedWatch {
    /// [`Watch::next`], opened.
    ///
    /// # Errors
    /// As there.
    pub async fn next(&mut self) -> Result<WatchBatch, StoreError> {
        let mut batch = self.watch.next().await?;
        for event in &mut batch.events {
            *event = self.store.open_event(event).await?;
        }
        Ok(batch)
    }
}
