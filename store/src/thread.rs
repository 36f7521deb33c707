//! The thread that a master's store runs on: Raft, its connections, the proposer and apply take turns on one thread, so
//! that they hand work to each other without waking another core, and heartbeats do not wait behind the API's work.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;

/// What runs on the thread and its helpers may take this long to end.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Does work that waits for the disk where it holds nobody up; in a simulation at once, so that it repeats.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    #[cfg(test)]
    if turmoil::in_simulation() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// Ends with its handle; what still runs on it is dropped then, and waited for: the databases have to be closed before
/// the process ends, or RocksDB aborts it.
#[derive(Debug)]
pub(crate) struct StoreThread {
    runtime: Handle,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Starts the thread of the master `name`.
    pub(crate) fn start(name: &str) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Io(format!("cannot start the store's thread: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (handle, end) = (runtime.handle().clone(), CancellationToken::new());
        let ended = end.clone();
        let run = move || {
            runtime.block_on(ended.cancelled());
            runtime.shutdown_timeout(END_LIMIT);
        };
        let thread = std::thread::Builder::new().name(format!("store-{name}")).spawn(run).map_err(failed)?;
        Ok(Self { runtime: handle, end, thread: Some(thread) })
    }

    /// No thread of its own: the runtime that this is called on.
    pub(crate) fn current() -> Self {
        Self { runtime: Handle::current(), end: CancellationToken::new(), thread: None }
    }

    /// Does `work` on the thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime.spawn(work).await.map_err(|_| StoreError::Shutdown)
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.end.cancel();
        // The last handle may be dropped by a task of the thread itself.
        let others = |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(others)
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}
