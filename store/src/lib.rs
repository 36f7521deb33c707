//! Replicated, revisioned key-value store: openraft over RocksDB. Bytes only; it knows nothing of Kubernetes.
//!
//! A write: [`Store::propose`] → queue (`proposals`) → one Raft entry for all that has queued up (`proposer`) → log, synced
//! on a majority (`log`, `peer`) → deterministic apply on every master (`state`), which gives the transaction its revision
//! and makes its events in the same step. A read: [`Store::get`], [`Store::list`] after asking how far this master must
//! have come (`reads`). A watch follows applied events from any kept revision (`watch`).
//!
//! Data directory: `identity.json` (id and name), `log/` (the journal, of synced writes), `state/<n>/` (RocksDB without a
//! write-ahead log, named by `state/CURRENT`), `incoming/` and `checkpoints/` (snapshots on their way).

mod answers;
mod backup;
#[doc(hidden)]
pub mod bench;
mod clock;
mod cluster;
mod config;
mod consistency;
mod disk;
mod error;
mod identity;
mod leadership;
mod lease;
mod log;
mod membership;
mod node;
mod open;
mod pace;
mod peer;
mod proposals;
mod proposer;
mod query;
mod raft_types;
mod readers;
mod reads;
mod recovery;
mod removal;
mod state;
mod status;
mod store;
mod thread;
mod told;
mod types;
mod upkeep;
mod verdict;
mod watch;
mod wire;

#[cfg(test)]
mod planted;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod storage_suite;

pub use backup::{BackupFile, BackupInfo, verify_backup};
pub use cluster::{ClusterStatus, Leadership, MemberInfo, MemberStatus, Role};
pub use config::{PeerTls, Start, StoreConfig, Tuning};
pub use consistency::set_aside_diverged;
pub use error::StoreError;
pub use pace::Pace;
pub use query::{ListQuery, Page};
pub use recovery::{recover, restore};
pub use store::Store;
pub use types::{Entry, Event, EventKind, Freshness, Guard, Op, Revision, Term, Txn, TxnOutcome};
pub use watch::{Watch, WatchBatch};
