//! Flow control: each class of callers has its own share of requests in flight, so that one cannot starve another.

use std::sync::Arc;
use std::time::Duration;

use mainstay_api::status::{ApiResult, Status};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::authn::UserInfo;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests in flight, by class.
pub(crate) struct Flow {
    nodes: Arc<Semaphore>,
    workloads: Arc<Semaphore>,
    everyone: Arc<Semaphore>,
}

impl Default for Flow {
    fn default() -> Self {
        let share = |permits| Arc::new(Semaphore::new(permits));
        Self { nodes: share(400), workloads: share(400), everyone: share(400) }
    }
}

impl Flow {
    /// Waits for a turn; streams need none, nor do administrators and masters.
    ///
    /// # Errors
    /// 429 if none comes.
    pub async fn admit(&self, user: &UserInfo, stream: bool) -> ApiResult<Option<OwnedSemaphorePermit>> {
        let member = |group: &str| user.groups.iter().any(|own| own == group);
        if stream || member("system:masters") {
            return Ok(None);
        }
        let class = if member("system:nodes") {
            &self.nodes
        } else if member("system:serviceaccounts") {
            &self.workloads
        } else {
            &self.everyone
        };
        match tokio::time::timeout(PATIENCE, class.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Status::too_many_requests("Too many requests, please try again later.", 1)),
        }
    }
}
