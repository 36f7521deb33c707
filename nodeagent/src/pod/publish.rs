//! Writes a pod's status: the latest only, again and again until a master has taken it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Shared;

/// Between two tries; doubles up to the longest.
const RETRY: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// With a number, so that it can be waited for.
type Job = Option<Arc<(u64, Pod, PodStatus)>>;

/// Writes in the background; ends when dropped.
pub(super) struct Publisher {
    jobs: watch::Sender<Job>,
    written: watch::Receiver<u64>,
    sent: u64,
    last: Option<PodStatus>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub fn new(shared: Arc<Shared>) -> Publisher {
        let (jobs, inbox) = watch::channel(None);
        let (done, written) = watch::channel(0);
        let task = tokio::spawn(write_all(shared, inbox, done));
        Publisher { jobs, written, sent: 0, last: None, task }
    }

    /// The last status that was handed in.
    pub fn last(&self) -> Option<&PodStatus> {
        self.last.as_ref()
    }

    /// Takes a status to be written, unless it is what the API has or will have.
    pub fn publish(&mut self, pod: &Pod, status: PodStatus) {
        let known = self.last.as_ref().or(pod.status.as_ref());
        if known == Some(&status) {
            return;
        }
        self.last = Some(status.clone());
        self.sent += 1;
        self.jobs.send_replace(Some(Arc::new((self.sent, pod.clone(), status))));
    }

    /// Waits until all that was handed in is written.
    pub async fn flushed(&mut self) {
        let sent = self.sent;
        if self.written.wait_for(|written| *written >= sent).await.is_err() {
            tracing::debug!("status writer ended early");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write_all(shared: Arc<Shared>, mut inbox: watch::Receiver<Job>, done: watch::Sender<u64>) {
    let mut wait = RETRY;
    while inbox.changed().await.is_ok() {
        loop {
            let Some(job) = inbox.borrow_and_update().clone() else { break };
            match shared.cluster.write_status(&job.1, &job.2).await {
                Ok(()) => {
                    wait = RETRY;
                    done.send_replace(job.0);
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, pod = ?job.1.metadata.name, "pod status not written");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST);
                }
            }
        }
    }
}
