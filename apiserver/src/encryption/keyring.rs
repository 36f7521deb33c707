//! The data keys: a record of the store, and what it unwraps to.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::envelope::{DataKey, shown};
use super::{EncryptionError, RootKeys};

/// Where the record is in the store; no object's key looks like this.
pub(super) const PLACE: &[u8] = b"mainstay/encryption-keys";

/// The wrapped data keys; the first seals.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    keys: Vec<Wrapped>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wrapped {
    number: u32,
    root: String,
    key: String,
}

impl Record {
    /// The record as the store holds it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, EncryptionError> {
        serde_json::from_slice(bytes).map_err(|_| EncryptionError::Damaged(shown(PLACE)))
    }

    /// The record with a new key in front.
    pub(super) fn with_new_key(mut self, root: &RootKeys) -> Result<Self, EncryptionError> {
        let number = self.keys.iter().map(|key| key.number).max().unwrap_or(0) + 1;
        let fresh: [u8; 32] = rand::random();
        // The old ones too, so that a root key that is no longer the first can go after a rotation.
        for old in &mut self.keys {
            let key = root.unwrap(old.number, &old.root, &decoded(old)?)?;
            *old = wrapped(root, old.number, &key)?;
        }
        self.keys.insert(0, wrapped(root, number, &fresh)?);
        Ok(self)
    }

    /// As it goes into the store.
    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and text always serialise")
    }
}

fn wrapped(root: &RootKeys, number: u32, key: &[u8]) -> Result<Wrapped, EncryptionError> {
    let (id, wrapped) = root.wrap(number, key)?;
    Ok(Wrapped { number, root: id, key: STANDARD.encode(wrapped) })
}

fn decoded(key: &Wrapped) -> Result<Vec<u8>, EncryptionError> {
    STANDARD.decode(&key.key).map_err(|_| EncryptionError::Damaged(shown(PLACE)))
}

/// The unwrapped data keys of this process.
pub(super) struct Keyring {
    pub(super) root: Arc<RootKeys>,
    keys: ArcSwap<Keys>,
}

#[derive(Default)]
struct Keys {
    first: Option<Arc<DataKey>>,
    all: HashMap<u32, Arc<DataKey>>,
}

impl Keys {
    fn newest(&self) -> u32 {
        self.first.as_ref().map_or(0, |key| key.id)
    }
}

impl Keyring {
    pub(super) fn new(root: Arc<RootKeys>) -> Self {
        Self { root, keys: ArcSwap::default() }
    }

    /// Takes over what a record holds.
    pub(super) fn load(&self, record: &[u8]) -> Result<(), EncryptionError> {
        let record = Record::parse(record)?;
        let mut keys = Keys::default();
        for wrapped in &record.keys {
            let key = self.root.unwrap(wrapped.number, &wrapped.root, &decoded(wrapped)?)?;
            let key = Arc::new(DataKey::new(wrapped.number, &key)?);
            keys.first.get_or_insert_with(|| key.clone());
            keys.all.insert(key.id, key);
        }
        let keys = Arc::new(keys);
        // Records may be read out of order; keys are never taken away.
        self.keys.rcu(|old| if old.newest() > keys.newest() { old.clone() } else { keys.clone() });
        Ok(())
    }

    /// The key that seals, if there is one yet.
    pub(super) fn first(&self) -> Option<Arc<DataKey>> {
        self.keys.load().first.clone()
    }

    /// A key by its number.
    pub(super) fn get(&self, number: u32) -> Option<Arc<DataKey>> {
        self.keys.load().all.get(&number).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let ring = Keyring::new(Arc::new(RootKeys::create()));
        assert!(ring.first().is_none());
        let one = Record::default().with_new_key(&ring.root).unwrap();
        ring.load(&one.bytes()).unwrap();
        let sealed = ring.first().unwrap().seal(b"p", b"{}", None).unwrap();
        let two = Record::parse(&one.bytes()).unwrap().with_new_key(&ring.root).unwrap();
        ring.load(&two.bytes()).unwrap();
        assert_eq!(ring.first().unwrap().id, 2);
        assert!(ring.get(1).unwrap().open(b"p", &sealed).is_ok());
    }
}
