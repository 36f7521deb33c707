//! Encryption at rest: what becomes of secrets before the store sees them.
//!
//! Values of the resources in [`sealed::SEALED`] are sealed with AES-256-GCM under a data key on their way into the store
//! and opened on their way out, so that the log, the state, snapshots and backups hold ciphertext only. The data keys are
//! in the store too, wrapped with the root key, which is in `pki/encryption.key` of every master and never in the store:
//! so a new data key reaches all masters in the order of the log, before anything that is sealed with it, and a backup
//! is of no use without the root key.
//!
//! The revision of an object is not known when it is sealed; it is put in when it is opened, from the record's own.

mod envelope;
mod keyring;
mod root;
mod sealed;

pub use root::RootKeys;
pub use sealed::SealedStore;

use mainstay_store::StoreError;

/// Why something cannot be sealed or opened; each text says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EncryptionError {
    /// The root key that wraps the data keys is another cluster's.
    #[error(
        "the store's secrets are encrypted under root key {wanted}, and this master has {found}; copy pki/encryption.key from a master of the cluster that the data (or the backup) is from, and start again"
    )]
    OtherRoot {
        /// The id of the key that is needed.
        wanted: String,
        /// The ids of those that there are.
        found: String,
    },
    /// A sealed value names a data key that the store does not hold.
    #[error("{what} is encrypted with data key {key}, which this cluster does not hold; restore a backup")]
    UnknownKey {
        /// What was to be opened.
        what: String,
        /// The key's number.
        key: u32,
    },
    /// Ciphertext that was changed, or does not belong where it is.
    #[error("{0} cannot be decrypted: it was damaged or put in another's place; restore a backup")]
    Damaged(String),
    /// The file of root keys does not parse.
    #[error("the file of encryption keys is not usable: {0}; copy it from another master")]
    BadFile(&'static str),
    /// The cryptographic library refused.
    #[error("encryption failed")]
    Crypto,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<EncryptionError> for StoreError {
    fn from(error: EncryptionError) -> Self {
        match error {
            EncryptionError::Store(error) => error,
            other => Self::Io(other.to_string()),
        }
    }
}
