//! Why a job is given up.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use super::finished;

/// Why a job fails: reason and message of its condition.
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Failure {
    /// What was decided before and is not done yet.
    pub(super) fn noted(status: &JobStatus) -> Option<Self> {
        let known = finished::condition(status, "FailureTarget")?;
        let reason = match known.reason.as_deref() {
            Some("DeadlineExceeded") => "DeadlineExceeded",
            _ => "BackoffLimitExceeded",
        };
        Some(Self { reason, message: known.message.clone().unwrap_or_default() })
    }

    /// More pods have failed than may; a container that starts again in its pod counts, too.
    pub(super) fn of_pods(spec: &JobSpec, failed: i32, active: &[Arc<Pod>]) -> Option<Self> {
        let limit = spec.backoff_limit.unwrap_or(6);
        let restarts: i32 = if restarts_in_place(spec) { active.iter().map(|p| restarts(p)).sum() } else { 0 };
        (failed > limit || restarts > 0 && failed + restarts > limit).then(|| Self {
            reason: "BackoffLimitExceeded",
            message: "Job has reached the specified backoff limit".into(),
        })
    }

    /// It has been at work for too long.
    pub(super) fn of_deadline() -> Self {
        Self { reason: "DeadlineExceeded", message: "Job was active longer than specified deadline".into() }
    }
}

fn restarts_in_place(spec: &JobSpec) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|s| s.restart_policy.as_deref());
    policy == Some("OnFailure")
}

fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let all = status
        .into_iter()
        .flat_map(|s| s.container_statuses.iter().flatten().chain(s.init_container_statuses.iter().flatten()));
    all.map(|c| c.restart_count).sum()
}
