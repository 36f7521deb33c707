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
const SETTLE: Duration = Duration::from_secs(3);
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

    /// Takes a status to be written, unless it is what the API has or will have. After the time that is given back, it has
    /// to be asked again: by then it is certain whether somebody has overwritten the last one.
    pub fn publish(&mut self, pod: &Pod, status: PodStatus) -> Option<Duration> {
        let known = self.last.as_ref().or(pod.status.as_ref());
        match due(known, pod.status.as_ref(), &status, self.at.map(|at| at.elapsed())) {
            Due::Not => return None,
            Due::After(pause) => return Some(pause),
            Due::Now => {}
        }
        self.at = Some(Instant::now());
        self.last = Some(status.clone());
        self.sent += 1;
        self.jobs.send_replace(Some(Arc::new((self.sent, pod.clone(), status))));
        None
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

/// Whether a status has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    /// What the API has is not ours, but ours may still be on its way.
    After(Duration),
    Not,
}

/// `known` is what was written last, so long ago; `theirs` is what the API has.
fn due(known: Option<&PodStatus>, theirs: Option<&PodStatus>, ours: &PodStatus, age: Option<Duration>) -> Due {
    if known != Some(ours) {
        return Due::Now;
    }
    if !overwritten(theirs, ours) {
        return Due::Not;
    }
    match age.map(|age| SETTLE.saturating_sub(age)) {
        Some(left) if !left.is_zero() => Due::After(left),
        _ => Due::Now,
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodCondition;

    use super::*;

    fn status(ready: &str) -> PodStatus {
        let condition = PodCondition { type_: "Ready".into(), status: ready.into(), ..PodCondition::default() };
        PodStatus { conditions: Some(vec![condition]), ..PodStatus::default() }
    }

    #[test]
    fn what_a_master_overwrote_is_written_again_once_that_is_certain() {
        let (ours, theirs) = (status("True"), status("False"));
        let second = Duration::from_secs(1);
        assert_eq!(due(None, None, &ours, None), Due::Now);
        assert_eq!(due(Some(&theirs), Some(&theirs), &ours, Some(second)), Due::Now);
        assert_eq!(due(Some(&ours), Some(&ours), &ours, Some(second)), Due::Not);
        assert_eq!(due(Some(&ours), Some(&theirs), &ours, Some(second)), Due::After(SETTLE - second));
        assert_eq!(due(Some(&ours), Some(&theirs), &ours, Some(SETTLE)), Due::Now);
        assert_eq!(due(Some(&ours), Some(&theirs), &ours, None), Due::Now);
    }
}
