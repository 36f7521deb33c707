//! Following changes from a revision on: without a gap, without a repetition, across failovers and snapshots, because the
//! cursor is a revision and every master has the same history.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::pace::Pace;
use crate::state::{Applied, State};
use crate::types::{Event, Revision};

/// Bytes of events in one batch, roughly.
const BATCH_BYTES: usize = 1 << 20;

/// Changes of keys with a prefix, in order.
pub struct Watch {
    state: Arc<State>,
    applied: watch::Receiver<Applied>,
    stop: CancellationToken,
    prefix: Bytes,
    cursor: Revision,
    pace: Pace,
    /// Held by each watcher of this store.
    audience: Arc<()>,
}

/// The next changes.
#[derive(Clone, Debug)]
pub struct WatchBatch {
    /// In order; a transaction's events are never split over two batches. May be empty.
    pub events: Vec<Arc<Event>>,
    /// Everything up to here has been delivered; moves on also when nothing under the prefix changed.
    pub revision: Revision,
}

impl Watch {
    pub(crate) fn new(
        state: Arc<State>,
        stop: CancellationToken,
        prefix: Bytes,
        after: Revision,
    ) -> Result<Self, StoreError> {
        let floor = state.db().floor()?;
        if after < floor {
            return Err(StoreError::Compacted { oldest: floor });
        }
        let applied = state.follow();
        #[cfg(test)]
        let after = Revision(after.0 + u64::from(crate::planted::planted(crate::planted::Bug::GapOnResume)));
        let audience = state.audience();
        Ok(Self { state, applied, stop, prefix, cursor: after, pace: Pace::default(), audience })
    }

    /// The revision up to which everything has been delivered.
    pub fn revision(&self) -> Revision {
        self.cursor
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if the watcher fell behind the kept history; [`StoreError::Shutdown`] when the store
    /// goes away; storage errors.
    pub async fn next(&mut self) -> Result<WatchBatch, StoreError> {
        let cursor = self.cursor;
        tokio::select! {
            () = self.stop.cancelled() => return Err(StoreError::Shutdown),
            applied = self.applied.wait_for(|applied| applied.revision > cursor) => {
                drop(applied.map_err(|_| StoreError::Shutdown)?);
            }
        }
        self.pace.turn(Arc::strong_count(&self.audience)).await;
        let applied = self.applied.borrow().revision;
        let (events, revision) = self.state.events(cursor, applied, &self.prefix, BATCH_BYTES)?;
        self.cursor = revision;
        Ok(WatchBatch { events, revision })
    }
}
