//! A deployment's status and conditions, in Kubernetes' words: `kubectl rollout status` reads them.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::rollout::{Sets, limits, wanted};
use crate::meta::{name, remaining, seconds};

const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// The status that follows from the sets, and when to look again because a deadline may have passed.
pub(crate) fn status(deployment: &Deployment, sets: &Sets, now: Timestamp) -> (DeploymentStatus, Option<Duration>) {
    let old = deployment.status.clone().unwrap_or_default();
    let mut status = counts(deployment, sets, &old);
    let available = status.available_replicas.unwrap_or(0) >= wanted(deployment) - limits(deployment).1;
    set_condition(&mut status, availability(available), now);
    let deadline = deadline(deployment);
    let recheck = match deadline {
        None => {
            remove_condition(&mut status, PROGRESSING);
            None
        }
        Some(deadline) => progress(deployment, sets, &old, &mut status, deadline, now),
    };
    match replica_failure(sets) {
        Some(failure) => set_condition(&mut status, failure, now),
        None => remove_condition(&mut status, FAILURE),
    }
    (status, recheck)
}

fn counts(deployment: &Deployment, sets: &Sets, old: &DeploymentStatus) -> DeploymentStatus {
    let sum = |field: &dyn Fn(&ReplicaSet) -> i32| sets.all().map(|s| field(s)).sum::<i32>();
    let of = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
    let total = sum(&|s| of(s).replicas);
    let available = sum(&|s| of(s).available_replicas.unwrap_or(0));
    let ready = sum(&|s| of(s).ready_replicas.unwrap_or(0));
    let updated = sets.new.as_ref().map_or(0, |s| of(s).replicas);
    let asked: i32 = sets.all().map(|s| super::rollout::size(s)).sum();
    let positive = |n: i32| Some(n).filter(|n| *n > 0);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: positive(total),
        updated_replicas: positive(updated),
        ready_replicas: positive(ready),
        available_replicas: positive(available),
        unavailable_replicas: positive(asked - available),
        collision_count: old.collision_count,
        conditions: old.conditions.clone(),
        ..Default::default()
    }
}

fn deadline(deployment: &Deployment) -> Option<Duration> {
    let spec = deployment.spec.as_ref()?;
    spec.progress_deadline_seconds.filter(|s| *s != i32::MAX).map(|s| seconds(s.into()))
}

/// Sets the Progressing condition.
fn progress(
    deployment: &Deployment,
    sets: &Sets,
    old: &DeploymentStatus,
    status: &mut DeploymentStatus,
    deadline: Duration,
    now: Timestamp,
) -> Option<Duration> {
    let current = find(old, PROGRESSING).cloned();
    let settled = current.as_ref().is_some_and(|c| c.reason.as_deref() == Some(COMPLETE))
        && status.replicas.unwrap_or(0) == status.updated_replicas.unwrap_or(0);
    if settled {
        return None;
    }
    let subject = subject(deployment, sets);
    let paused = current.as_ref().and_then(|c| c.reason.as_deref()) == Some("DeploymentPaused");
    if is_complete(deployment, status) {
        set_condition(status, progressing("True", COMPLETE, format!("{subject} has successfully progressed.")), now);
        return None;
    }
    if has_progressed(old, status) {
        let mut fresh = progressing("True", "ReplicaSetUpdated", format!("{subject} is progressing."));
        fresh.last_update_time = Some(Time(now));
        let kept = current.as_ref().filter(|c| c.status == "True").and_then(|c| c.last_transition_time.clone());
        fresh.last_transition_time = kept.or(Some(Time(now)));
        replace(status, fresh);
        return Some(deadline);
    }
    let current = current.filter(|_| !paused)?;
    if current.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    let left = current.last_update_time.as_ref().map_or(deadline, |from| remaining(from, deadline, now));
    if left.is_zero() {
        set_condition(status, progressing("False", TIMED_OUT, format!("{subject} has timed out progressing.")), now);
        return None;
    }
    Some(left)
}

fn subject(deployment: &Deployment, sets: &Sets) -> String {
    match &sets.new {
        Some(set) => format!("ReplicaSet {:?}", name(&set.metadata)),
        None => format!("Deployment {:?}", name(&deployment.metadata)),
    }
}

/// All pods run the present template and are available.
pub(crate) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let goal = wanted(deployment);
    status.updated_replicas.unwrap_or(0) == goal
        && status.replicas.unwrap_or(0) == goal
        && status.available_replicas.unwrap_or(0) == goal
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let n = |v: Option<i32>| v.unwrap_or(0);
    let outdated = |s: &DeploymentStatus| n(s.replicas) - n(s.updated_replicas);
    n(new.updated_replicas) > n(old.updated_replicas)
        || outdated(new) < outdated(old)
        || n(new.ready_replicas) > n(old.ready_replicas)
        || n(new.available_replicas) > n(old.available_replicas)
}

fn availability(available: bool) -> DeploymentCondition {
    let (status, reason, message) = if available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    condition(AVAILABLE, status, reason, message.into())
}

/// A Progressing condition.
pub(crate) fn progressing(status: &str, reason: &str, message: String) -> DeploymentCondition {
    condition(PROGRESSING, status, reason, message)
}

fn condition(kind: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: None,
        last_transition_time: None,
    }
}

fn replica_failure(sets: &Sets) -> Option<DeploymentCondition> {
    let newest_first = sets.new.iter().chain(sets.old.iter().rev());
    let mut failures = newest_first.filter_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|c| c.type_ == FAILURE && c.status == "True").cloned()
    });
    failures
        .next()
        .map(|c| condition(FAILURE, &c.status, c.reason.as_deref().unwrap_or(""), c.message.unwrap_or_default()))
}

/// A condition of this type.
pub(crate) fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

/// Sets a condition unless status and reason are what they were.
pub(crate) fn set_condition(status: &mut DeploymentStatus, mut new: DeploymentCondition, now: Timestamp) {
    let current = find(status, &new.type_);
    if current.is_some_and(|c| c.status == new.status && c.reason == new.reason) {
        return;
    }
    let kept = current.filter(|c| c.status == new.status).and_then(|c| c.last_transition_time.clone());
    new.last_transition_time = kept.or(Some(Time(now)));
    new.last_update_time = Some(Time(now));
    replace(status, new);
}

fn replace(status: &mut DeploymentStatus, new: DeploymentCondition) {
    remove_condition(status, &new.type_);
    status.conditions.get_or_insert_default().push(new);
}

fn remove_condition(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| c.type_ != kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn deployment(conditions: serde_json::Value) -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "generation": 2},
            "spec": {"replicas": 2, "progressDeadlineSeconds": 60, "selector": {}, "template": {}},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn sets(available: i32) -> Sets {
        let new = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "d-x"},
            "spec": {"replicas": 2, "selector": {}},
            "status": {"replicas": 2, "readyReplicas": available, "availableReplicas": available},
        }))
        .unwrap();
        Sets { new: Some(Arc::new(new)), old: Vec::new() }
    }

    fn reason<'a>(status: &'a DeploymentStatus, kind: &str) -> &'a str {
        find(status, kind).and_then(|c| c.reason.as_deref()).unwrap_or("")
    }

    #[test]
    fn a_finished_rollout_says_so() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let (status, _) = status(&deployment(json!([])), &sets(2), now);
        assert_eq!(reason(&status, "Progressing"), "NewReplicaSetAvailable");
        assert_eq!(reason(&status, "Available"), "MinimumReplicasAvailable");
        let message = find(&status, "Progressing").and_then(|c| c.message.clone()).unwrap();
        assert_eq!(message, "ReplicaSet \"d-x\" has successfully progressed.");
    }

    #[test]
    fn no_progress_within_the_deadline_times_out() {
        let mut deployment =
            deployment(json!([{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
            "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}]));
        let before = deployment.status.as_mut().unwrap();
        (before.replicas, before.updated_replicas) = (Some(2), Some(2));
        let (early, recheck) = status(&deployment, &sets(0), "2026-01-01T00:00:20Z".parse().unwrap());
        assert_eq!(reason(&early, "Progressing"), "ReplicaSetUpdated");
        assert_eq!(recheck, Some(Duration::from_secs(40)));
        let (late, _) = status(&deployment, &sets(0), "2026-01-01T00:01:01Z".parse().unwrap());
        assert_eq!(reason(&late, "Progressing"), "ProgressDeadlineExceeded");
        assert_eq!(reason(&late, "Available"), "MinimumReplicasUnavailable");
    }
}
