//! What `benches/` measures: a master's inner loops without Raft, disk syncs and network around them. For nothing else.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use openraft::EntryPayload;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ms;
use crate::error::StoreError;
use crate::query::{ListQuery, Page};
use crate::raft_types::{Command, RaftEntry, log_id};
use crate::state::{State, StateMachine};
use crate::types::{Revision, Txn};
use crate::watch::Watch;
use crate::wire;

/// Bytes of events kept in memory, as a master keeps them.
const RING_BYTES: usize = 8 << 20;

/// The command that a leader makes of transactions which have queued up; its size in bytes.
pub fn encode(txns: &[Txn]) -> usize {
    command(txns).0.len()
}

fn command(txns: &[Txn]) -> Command {
    wire::encode_batch(txns.iter().map(wire::txn_to_pb).collect(), now_ms())
}

/// A state machine that is fed by hand.
pub struct Machine {
    state: Arc<State>,
    machine: StateMachine,
    next: u64,
}

impl Machine {
    /// An empty one in `dir`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let (state, machine) = StateMachine::open(dir, RING_BYTES)?;
        Ok(Self { state, machine, next: 1 })
    }

    /// Applies transactions as one entry of the log, as every master does. Returns the revision reached.
    ///
    /// # Errors
    /// I/O errors.
    pub fn apply(&mut self, txns: &[Txn]) -> Result<Revision, StoreError> {
        let entry = RaftEntry { log_id: log_id(1, self.next), payload: EntryPayload::Normal(command(txns)) };
        self.next += 1;
        self.machine.apply_step(vec![(entry, None)])?;
        Ok(self.state.applied().revision)
    }

    /// As [`crate::Store::list`].
    ///
    /// # Errors
    /// As there.
    pub fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        self.state.list(query)
    }

    /// As [`crate::Store::watch`], from now on.
    ///
    /// # Errors
    /// As there.
    pub fn watch(&self, prefix: Bytes) -> Result<Watch, StoreError> {
        Watch::new(self.state.clone(), CancellationToken::new(), prefix, self.state.applied().revision)
    }
}
