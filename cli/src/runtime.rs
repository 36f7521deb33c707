//! The threads that client commands and the supervisor of `mainstay up` run on.

use anyhow::Result;

/// Does the work on threads of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A thread that waits for a key at the terminal must not hold up the end.
    runtime.shutdown_background();
    outcome
}
