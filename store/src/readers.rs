//! The bounded queue in which readers wait for the index that they must have applied.

use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;

/// Readers that wait for an index.
pub(crate) const WAITING: usize = 16 * 1024;

/// Whom to tell the index.
pub(crate) type Reader = oneshot::Sender<Result<u64, StoreError>>;

/// The queue's entrance.
pub(crate) struct Readers(mpsc::Sender<Reader>);

impl Readers {
    /// The entrance and the exit of the readers' queue.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Reader>) {
        let (queue, exit) = mpsc::channel(WAITING);
        (Self(queue), exit)
    }

    /// Queues a reader and waits for its index.
    pub(crate) async fn index(&self) -> Result<u64, StoreError> {
        let (reader, index) = oneshot::channel();
        let queued = self.0.try_send(reader);
        queued.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Shutdown,
        })?;
        index.await.map_err(|_| StoreError::Shutdown)?
    }
}
