//! A stateful set's status.

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;

use super::identity;
use super::input::{Input, runs};
use crate::meta::{is_deleting, name};
use crate::pod::phase;

/// The status that follows from what is seen.
pub(super) fn of(input: &Input) -> StatefulSetStatus {
    let known = input.set.status.clone().unwrap_or_default();
    let count = |test: &dyn Fn(&Pod) -> bool| {
        let number = input.pods.iter().filter(|p| !phase(p).is_empty() && test(p)).count();
        i32::try_from(number).unwrap_or(i32::MAX)
    };
    let (current, update) = (name(&input.current().metadata), name(&input.update().metadata));
    let of_revision =
        |pod: &Pod, revision: &str| !is_deleting(&pod.metadata) && identity::revision(pod) == Some(revision);
    let replicas = count(&|_| true);
    let ready = count(&runs);
    let updated = count(&|p| of_revision(p, update));
    let mut status = StatefulSetStatus {
        observed_generation: input.set.metadata.generation,
        replicas,
        ready_replicas: Some(ready),
        available_replicas: Some(count(&|p| input.is_available(p))),
        current_replicas: Some(count(&|p| of_revision(p, current))),
        updated_replicas: Some(updated),
        current_revision: Some(current.to_owned()),
        update_revision: Some(update.to_owned()),
        collision_count: input.history.collisions.or(known.collision_count).or(Some(0)),
        conditions: known.conditions,
    };
    let complete = input.rolls() && updated == replicas && ready == replicas && current != update;
    if complete {
        status.current_revision = status.update_revision.clone();
        status.current_replicas = status.updated_replicas;
    }
    for field in [&mut status.ready_replicas, &mut status.current_replicas, &mut status.updated_replicas] {
        *field = field.filter(|count| *count > 0);
    }
    status
}
