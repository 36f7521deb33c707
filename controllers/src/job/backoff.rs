//! How long new pods of a job wait after others have failed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::meta::{created, remaining};

/// After the first failure; doubled with each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is left of the pause after the last of so many failures; `None`: nothing.
pub(super) fn pause(failed: i32, last_failure: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let doublings = u32::try_from(failed - 1).ok()?.min(20);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let left = remaining(&Time(last_failure?), pause, now);
    Some(left).filter(|left| !left.is_zero())
}

/// When the last container of a pod ended; when it was made, if no container says.
pub(super) fn ended_at(pod: &Pod) -> Timestamp {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    let ends =
        statuses.into_iter().flatten().filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    ends.map(|t| t.0).max().unwrap_or_else(|| created(&pod.metadata))
}
