//! A sealed value: magic, number of the data key, nonce, ciphertext with its tag. Sealed is the place of the revision's
//! digits and the value without them; the place in the store is authenticated along with it, so that no value can be
//! passed off as another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bytes::Bytes;

use super::EncryptionError;
use crate::codec::Encoded;

/// No JSON begins like this.
const MAGIC: &[u8; 4] = b"\x01mse";
const HEAD: usize = MAGIC.len() + 4 + NONCE_LEN;
/// In the place of an offset: no revision is to be put in.
const NOWHERE: u32 = u32::MAX;

/// A key that seals values.
pub(super) struct DataKey {
    /// Its number in the keyring.
    pub(super) id: u32,
    key: RandomizedNonceKey,
}

impl DataKey {
    pub(super) fn new(id: u32, bytes: &[u8]) -> Result<Self, EncryptionError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| EncryptionError::Crypto)?;
        Ok(Self { id, key })
    }

    /// The sealed form of a value that gets its revision at `splice`.
    pub(super) fn seal(&self, place: &[u8], value: &[u8], splice: Option<u32>) -> Result<Bytes, EncryptionError> {
        let mut secret = Vec::with_capacity(4 + value.len() + AES_256_GCM.tag_len());
        secret.extend_from_slice(&splice.unwrap_or(NOWHERE).to_be_bytes());
        secret.extend_from_slice(value);
        let nonce = self.key.seal_in_place_append_tag(Aad::from(place), &mut secret);
        let nonce = nonce.map_err(|_| EncryptionError::Crypto)?;
        let mut out = Vec::with_capacity(HEAD + secret.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&secret);
        Ok(out.into())
    }

    /// What was sealed, with an empty revision.
    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Encoded, EncryptionError> {
        let damaged = || EncryptionError::Damaged(shown(place));
        let nonce = sealed.get(MAGIC.len() + 4..HEAD).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut secret = sealed[HEAD..].to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(place), &mut secret).map_err(|_| damaged())?;
        let (splice, value) = opened.split_first_chunk::<4>().ok_or_else(damaged)?;
        Ok(Encoded { splice: u32::from_be_bytes(*splice), bytes: Bytes::copy_from_slice(value) })
    }
}

/// The number of the key that a value is sealed with; `None` if it is not sealed.
pub(super) fn key_of(value: &[u8]) -> Option<u32> {
    let number = value.strip_prefix(MAGIC)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*number))
}

/// An opened value as it is at a revision.
pub(super) fn at(opened: &Encoded, revision: u64) -> Bytes {
    if opened.splice as usize > opened.bytes.len() { opened.bytes.clone() } else { opened.at(revision) }
}

/// A store's key for error messages.
pub(super) fn shown(place: &[u8]) -> String {
    String::from_utf8_lossy(place).replace('\0', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> DataKey {
        DataKey::new(id, &[7; 32]).unwrap()
    }

    #[test]
    fn a_value_comes_back_with_the_revision_of_its_record() {
        let sealed = key(3).seal(b"place", br#"{"resourceVersion":"","data":"x"}"#, Some(20)).unwrap();
        assert_eq!(key_of(&sealed), Some(3));
        assert!(!sealed.windows(4).any(|part| part == b"data"));
        let opened = key(3).open(b"place", &sealed).unwrap();
        assert_eq!(at(&opened, 42), br#"{"resourceVersion":"42","data":"x"}"#.as_slice());
    }

    #[test]
    fn a_value_without_a_place_for_the_revision_stays_as_it_is() {
        let sealed = key(1).seal(b"place", b"{}", None).unwrap();
        assert_eq!(at(&key(1).open(b"place", &sealed).unwrap(), 42), b"{}".as_slice());
    }

    #[test]
    fn what_is_changed_or_moved_does_not_open() {
        let sealed = key(1).seal(b"place", b"{}", None).unwrap();
        assert!(key(1).open(b"other", &sealed).is_err());
        for position in MAGIC.len() + 4..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[position] ^= 1;
            assert!(key(1).open(b"place", &changed).is_err(), "byte {position}");
        }
        for length in 0..sealed.len() {
            assert!(key(1).open(b"place", &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn plain_values_are_told_from_sealed_ones() {
        assert_eq!(key_of(br#"{"apiVersion":"v1"}"#), None);
        assert_eq!(key_of(b""), None);
        assert_eq!(key_of(b"\x01ms"), None);
    }
}
