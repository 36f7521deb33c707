//! Removes pods that no agent will ever remove: of nodes that are gone, never scheduled but deleted, or ended long ago.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use mainstay_client::{DeleteOptions, Error, Store};
use tokio_util::sync::CancellationToken;

use crate::claim::absent_is_fine;
use crate::meta::{created, is_deleting, name, namespace, uid};
use crate::pod::{is_finished, node_name};
use crate::world::World;

const PERIOD: Duration = Duration::from_secs(5);
/// So many ended pods are kept for people to look at.
const KEEP_FINISHED: usize = 12_500;

pub(crate) async fn run(world: World, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let victims = victims(&world.pods.list(), &world.nodes);
        for pod in victims {
            if let Err(error) = remove(&world, &pod).await {
                tracing::warn!(%error, pod = name(&pod.metadata), "could not remove a leftover pod, trying again");
            }
        }
    }
}

async fn remove(world: &World, pod: &Pod) -> Result<(), Error> {
    let node = node_name(pod);
    if !node.is_empty() && !is_finished(pod) && world.api::<Node>("").get_opt(node).await?.is_some() {
        // The informer is behind: the node is new.
        return Ok(());
    }
    let options = DeleteOptions::of_uid(uid(&pod.metadata)).grace(0);
    let api = world.api::<Pod>(namespace(&pod.metadata));
    absent_is_fine(api.delete(name(&pod.metadata), &options).await).map(|_| ())
}

fn victims(pods: &[Arc<Pod>], nodes: &Store<Node>) -> Vec<Arc<Pod>> {
    let orphaned = |pod: &Pod| !node_name(pod).is_empty() && nodes.find("", node_name(pod)).is_none();
    let never_ran = |pod: &Pod| node_name(pod).is_empty() && is_deleting(&pod.metadata);
    let (mut victims, others): (Vec<_>, Vec<_>) = pods.iter().cloned().partition(|p| orphaned(p) || never_ran(p));
    let mut finished: Vec<_> = others.into_iter().filter(|p| is_finished(p)).collect();
    finished.sort_by_key(|p| created(&p.metadata));
    finished.truncate(finished.len().saturating_sub(KEEP_FINISHED));
    victims.extend(finished);
    victims
}
