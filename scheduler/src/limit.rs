//! How long the API may take.

use std::time::Duration;

/// Bound of one call.
const LIMIT: Duration = Duration::from_secs(10);

/// The outcome of a call, which has so long at the most.
pub(crate) async fn within<T>(call: impl Future<Output = mainstay_client::Result<T>>) -> mainstay_client::Result<T> {
    tokio::time::timeout(LIMIT, call).await.unwrap_or(Err(mainstay_client::Error::Timeout(LIMIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_in_time_has_failed() {
        let answered = within(async { Ok(7) }).await;
        assert_eq!(answered.ok(), Some(7));
        let waited = within(std::future::pending::<mainstay_client::Result<()>>()).await;
        assert!(matches!(waited, Err(mainstay_client::Error::Timeout(limit)) if limit == LIMIT));
    }
}
