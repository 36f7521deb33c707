//! The replicated state.
//!
//! A RocksDB without a write-ahead log (the Raft log is it). Its two column families are flushed together, so that a flush
//! takes a consistent prefix of what was applied; events (`h`) are in one of their own ([`columns`] says why):
//!
//! | key | value |
//! |---|---|
//! | `d` key | created revision, modified revision (8 bytes each, big endian), value |
//! | `h` revision (8 bytes) | `StoredEvents`: changes applied together up to that revision, with the state before each |
//! | `t` milliseconds since 1970 (8 bytes) | the revision reached by then; one a second at the most |
//! | `m/applied` | term, index + 1, revision, checksum of all changes |
//! | `m/membership` | the last applied membership, JSON |
//! | `m/floor` | the revision up to which history is gone (each master's own) |
//!
//! Data, history, applied id, membership and revision of a step are one batch. [`apply`] decides what a transaction does
//! and is the same on every master. After a crash the database is some earlier state; openraft applies again what the log
//! has after it, and the log is cut only behind what was flushed. The state as of a kept revision is today's with the
//! changes since undone; events carry what they replaced. [`ring`] keeps recent events in memory.

mod apply;
mod checkpoint;
mod columns;
mod db;
mod history;
mod keys;
mod machine;
mod marks;
mod progress;
mod reading;
mod ring;
mod shared;

pub(crate) use checkpoint::{Checkpoint, Dirs, sync_dir, write_durably};
pub(crate) use columns::small_footprint;
pub(crate) use db::{StateDb, holds_data};
pub(crate) use machine::{Raft, Snapshot, StateMachine};
pub(crate) use marks::{Mark, Verdict, compare};
pub(crate) use shared::{Applied, State};
