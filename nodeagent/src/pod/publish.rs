//! Writes a pod's status: the latest only, again and again until a master has taken it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Shared;

/// Between two tries; doubles up to the longest.
const RETRY: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// By then, what was written has come back in the pod's object.
const SETTLE: Duration = Duration::from_secs(5);
/// Longest wait for a status to be written before a pod's object goes.
const FLUSH: Duration = Duration::from_secs(30);

/// With a number, so that it can be waited for.
type Job = Option<Arc<(u64, Pod, PodStatus)>>;

/// Writes in the background; ends when dropped.
pub(super) struct Publisher {
    jobs: watch::Sender<Job>,
    written: watch::Receiver<u64>,
    sent: u64,
    last: Option<PodStatus>,
    at: Option<Instant>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub fn new(shared: Arc<Shared>) -> Publisher {
        let (jobs, inbox) = watch::channel(None);
        let (done, written) = watch::channel(0);
        let task = tokio::spawn(write_all(shared, inbox, done));
        Publisher { jobs, written, sent: 0, last: None, at: None, task }
    }

    /// The last status that was handed in.
    pub fn last(&self) -> Option<&PodStatus> {
        self.last.as_ref()
    }

    /// Takes a status to be written, unless it is what the API has or will have.
    pub fn publish(&mut self, pod: &Pod, status: PodStatus) {
        let same = self.last.as_ref().or(pod.status.as_ref()) == Some(&status);
        let settled = self.at.is_none_or(|at| at.elapsed() > SETTLE);
        if same && !(settled && overwritten(pod.status.as_ref(), &status)) {
            return;
        }
        self.at = Some(Instant::now());
        self.last = Some(status.clone());
        self.sent += 1;
        self.jobs.send_replace(Some(Arc::new((self.sent, pod.clone(), status))));
    }

    /// Waits until all that was handed in is written.
    pub async fn flushed(&mut self) {
        let sent = self.sent;
        let written = self.written.wait_for(|written| *written >= sent);
        if tokio::time::timeout(FLUSH, written).await.is_err() {
            tracing::warn!("the last status of a pod was not taken");
        }
    }
}

/// Whether somebody else has changed what is ours, as the masters do while they cannot hear the node.
fn overwritten(theirs: Option<&PodStatus>, ours: &PodStatus) -> bool {
    let Some(theirs) = theirs else { return true };
    let verdict = |status: &PodStatus, kind: &str| {
        status.conditions.iter().flatten().find(|c| c.type_ == kind).map(|c| c.status.clone())
    };
    theirs.phase != ours.phase
        || ["Ready", "ContainersReady"].iter().any(|kind| verdict(theirs, kind) != verdict(ours, kind))
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
