//! A job's conditions, and whether it has come to its end.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) const COMPLETE: &str = "Complete";
pub(crate) const FAILED: &str = "Failed";

/// A condition that holds.
pub(crate) fn condition<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.as_ref()?.iter().find(|c| c.type_ == kind && c.status == "True")
}

/// "Complete" or "Failed", once the job is one of them.
pub(crate) fn verdict(job: &Job) -> Option<&'static str> {
    let status = job.status.as_ref()?;
    [COMPLETE, FAILED].into_iter().find(|kind| condition(status, kind).is_some())
}

/// Whether nothing more will happen.
pub(crate) fn is_finished(job: &Job) -> bool {
    verdict(job).is_some()
}

/// When it came to its end.
pub(super) fn ended_at(status: &JobStatus) -> Option<&Time> {
    let ended = [COMPLETE, FAILED].into_iter().find_map(|kind| condition(status, kind));
    ended.and_then(|c| c.last_transition_time.as_ref())
}

/// Adds a condition or turns the one that is there.
pub(super) fn set(status: &mut JobStatus, kind: &str, holds: bool, reason: &str, message: &str, now: &Time) {
    let word = if holds { "True" } else { "False" };
    let all = status.conditions.get_or_insert_default();
    if all.iter().any(|c| c.type_ == kind && c.status == word) {
        return;
    }
    all.retain(|c| c.type_ != kind);
    all.push(JobCondition {
        type_: kind.into(),
        status: word.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
    });
}
