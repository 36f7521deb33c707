//! The root keys: a line each of `pki/encryption.key`, `id:key in base64`. The first wraps, all of them unwrap; a line that
//! is put first (on every master, before a rotation) takes over.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::EncryptionError;

const KEY_LEN: usize = 32;

/// The keys that wrap the data keys.
pub struct RootKeys {
    text: String,
    keys: Vec<(String, RandomizedNonceKey)>,
}

impl std::fmt::Debug for RootKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RootKeys({})", self.ids())
    }
}

impl RootKeys {
    /// One new key.
    #[must_use]
    pub fn create() -> Self {
        let (id, key): (u32, [u8; KEY_LEN]) = (rand::random(), rand::random());
        let text = format!("{id:08x}:{}\n", STANDARD.encode(key));
        Self::parse(text).expect("a line that was just made parses")
    }

    /// The keys of a file.
    ///
    /// # Errors
    /// [`EncryptionError::BadFile`].
    pub fn parse(text: String) -> Result<Self, EncryptionError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(line).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(EncryptionError::BadFile("it holds no key"));
        }
        Ok(Self { text, keys })
    }

    /// The file's text; secret.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The keys' ids, which are no secret.
    pub(super) fn ids(&self) -> String {
        self.keys.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Wraps a data key: the root key's id, and nonce and ciphertext.
    pub(super) fn wrap(&self, number: u32, data_key: &[u8]) -> Result<(String, Vec<u8>), EncryptionError> {
        let (id, key) = self.keys.first().ok_or(EncryptionError::BadFile("it holds no key"))?;
        let mut secret = data_key.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(number.to_be_bytes()), &mut secret);
        let nonce = nonce.map_err(|_| EncryptionError::Crypto)?;
        Ok((id.clone(), [nonce.as_ref().as_slice(), &secret].concat()))
    }

    /// Unwraps it again.
    pub(super) fn unwrap(&self, number: u32, root: &str, wrapped: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let other = || EncryptionError::OtherRoot { wanted: root.to_owned(), found: self.ids() };
        let damaged = || EncryptionError::Damaged(format!("data key {number}"));
        let (_, key) = self.keys.iter().find(|(id, _)| id == root).ok_or_else(other)?;
        let (nonce, secret) = wrapped.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut secret = secret.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(number.to_be_bytes()), &mut secret).map_err(|_| damaged())?;
        Ok(opened.to_vec())
    }
}

fn line(line: &str) -> Result<(String, RandomizedNonceKey), EncryptionError> {
    const BAD: EncryptionError =
        EncryptionError::BadFile("its lines are not of the form id:key, with 32 bytes in base64");
    let (id, key) = line.split_once(':').ok_or(BAD)?;
    let key = STANDARD.decode(key.trim()).ok().filter(|key| key.len() == KEY_LEN).ok_or(BAD)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| EncryptionError::Crypto)?;
    Ok((id.trim().to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_put_first_wraps_and_the_old_one_still_unwraps() {
        let old = RootKeys::create();
        let (id, wrapped) = old.wrap(1, &[9; 32]).unwrap();
        let both = RootKeys::parse(format!("{}{}", RootKeys::create().text(), old.text())).unwrap();
        assert_eq!(both.unwrap(1, &id, &wrapped).unwrap(), [9; 32]);
        assert_ne!(both.wrap(1, &[9; 32]).unwrap().0, id);
    }

    #[test]
    fn another_clusters_key_is_named_as_such() {
        let (ours, theirs) = (RootKeys::create(), RootKeys::create());
        let (id, wrapped) = theirs.wrap(1, &[9; 32]).unwrap();
        let error = ours.unwrap(1, &id, &wrapped).unwrap_err().to_string();
        assert!(error.contains(&id) && error.contains("copy pki/encryption.key"), "{error}");
        assert!(theirs.unwrap(2, &id, &wrapped).is_err(), "the number is authenticated");
    }

    #[test]
    fn files_that_are_no_keys_are_refused() {
        for text in ["", "# nothing\n", "abc", "abc:", "abc:AAAA", "abc:!!!"] {
            assert!(RootKeys::parse(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
