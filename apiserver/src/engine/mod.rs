//! The verb engine: get, list, watch, create, update, patch, apply, delete, on erased objects, for every kind alike.
//!
//! The order of a write's steps lives here and nowhere else: decode, default, mutating admission, the strategy's
//! preparation, metadata, validation, validating admission, proposal under guards.

mod asked;
mod beginning;
mod commit;
mod configuration;
mod continuation;
mod create;
mod decode;
mod delete;
mod delete_collection;
mod empties;
mod expected;
mod fields;
mod identity;
mod list;
mod managed;
mod modify;
pub(crate) mod options;
mod owners;
mod patch;
mod patched;
mod pods;
mod present;
mod read;
mod scale;
mod steps;
mod target;
#[cfg(test)]
mod testing;
mod transaction;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::status::Status;
use mainstay_store::StoreError;
use serde_json::Value;

pub use commit::Answer;
pub use configuration::Configuration;
pub use decode::Body;
pub use list::{ListOptions, Listing};
pub use options::{DeleteOptions, FieldValidation, Propagation, RawOptions, Told, WriteOptions};
pub use patch::{Change, PatchKind};
pub use target::{Call, Target};
pub use transaction::Operation;
pub use watch::{WatchEventKind, WatchItem, WatchOptions, WatchStream};

use crate::admission::Chain;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::cache::{CacheReader, Caches};
use crate::encryption::SealedStore;
use crate::registry::Registry;

pub(crate) use identity::{unknown_conversion, unregistered};
pub(crate) use managed::{SERVER, owning_edit};
pub(crate) use options::parse as parse_options;
pub(crate) use patched::unread;
pub(crate) use present::{list_kind, stored_to_request};
pub(crate) use scale::to_admit as scale_of;

/// What an engine is made of.
pub struct Parts {
    /// The state.
    pub store: SealedStore,
    /// The watch caches over it.
    pub caches: Arc<Caches>,
    /// The resources.
    pub registry: Arc<Registry>,
    /// The admission plugins.
    pub admission: Arc<Chain>,
    /// Decides who may grant what.
    pub authorizer: Arc<Authorizer>,
    /// Issues and reviews tokens.
    pub authenticator: Arc<Authenticator>,
}

/// The engine; a cheap handle.
#[derive(Clone)]
pub struct Engine {
    pub(crate) store: SealedStore,
    pub(crate) caches: Arc<Caches>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) admission: Arc<Chain>,
    pub(crate) reader: CacheReader,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) authenticator: Arc<Authenticator>,
}

impl Engine {
    /// Puts an engine together.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, caches, registry, admission, authorizer, authenticator } = parts;
        let reader = CacheReader(caches.clone());
        Self { store, caches, registry, admission, reader, authorizer, authenticator }
    }

    /// The resources that are served.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The watch caches.
    pub fn caches(&self) -> &Arc<Caches> {
        &self.caches
    }
}

/// A stored object as a write begins from it.
#[derive(Clone)]
pub(crate) struct Live {
    /// The object in its stored version.
    pub value: Value,
    /// Its bytes.
    pub bytes: Bytes,
    /// When it last changed.
    pub revision: mainstay_store::Revision,
}

/// A store's failure as clients are told of it.
pub fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::NoLeader | StoreError::Busy | StoreError::Shutdown => {
            Status::service_unavailable(error.to_string()).with_retry_after(1)
        }
        StoreError::Timeout => Status::timeout(error, 1),
        StoreError::Compacted { .. } => Status::expired("The resourceVersion for the provided list is too old."),
        StoreError::FutureRevision { asked, applied } => Status::resource_version_too_large(asked.0, applied.0, 1),
        StoreError::DiskFull => Status::failure(507, "InsufficientStorage", error.to_string()),
        StoreError::TooLarge { .. } => Status::request_too_large(error),
        other => Status::internal(other),
    }
}
