//! How everything outside the API server talks to it: a transport over gRPC that fails over between the masters
//! (or a service in this process), a typed `Api<K>`, informers with indexes, keyed work queues and an event recorder.
//!
//! Nothing here knows what an object means; kinds come from `k8s-openapi` and are only identities and metadata.

mod api;
mod client;
mod config;
mod dynamic;
mod error;
mod event;
mod informer;
mod key;
mod kinds;
mod kubeconfig;
mod object;
mod options;
mod queue;
mod raw;
mod slim;
mod store;
mod target;
mod transport;
mod watch;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use api::Api;
pub use client::{Client, Term, Write};
pub use config::{Auth, Config};
pub use dynamic::DynamicApi;
pub use error::{Error, Result};
pub use event::{EventRecorder, EventSource, EventType};
pub use informer::{Change, Informer};
pub use key::Key;
pub use object::{MetadataObject, Object, Observed, object_key};
pub use options::{DeleteOptions, ListParams, ObjectList, Patch, Propagation};
pub use queue::{Backoff, WorkQueue};
pub use store::Store;
pub use target::Target;
pub use transport::{BoxedService, Transport, TransportError};
pub use watch::{WatchSpec, Watcher, WireEvent};
