//! How many pods of a disruption budget may be evicted now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use mainstay_client::{Error, EventRecorder, EventType, Key, object_key};

use crate::claim::absent_is_fine;
use crate::deployment::scaled;
use crate::meta::{controller_of, is_deleting, name, namespace, owner_key, remaining, selector, selects, states, uid};
use crate::pod::{is_active, is_ready};
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

/// An evicted pod that is still there after this was not evicted after all.
const EVICTION: Duration = Duration::from_secs(120);
const ALLOWED: &str = "DisruptionAllowed";

pub(crate) struct Disruption {
    world: World,
    events: EventRecorder,
}

impl Disruption {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.budgets.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let (keys, budgets) = (queue.clone(), world.budgets.clone());
        informers.pods.on_change(move |change| {
            for budget in budgets.in_namespace(namespace(&change.object().metadata)) {
                if states(change).into_iter().any(|pod| covers(&budget, pod)) {
                    keys.add(object_key(&*budget));
                }
            }
        });
        Disruption { world: world.clone(), events: world.recorder("controllermanager") }
    }

    /// How many pods the owner of a pod wants; an error text if nobody can tell.
    fn scale_of(&self, pod: &Pod) -> Result<Option<(String, i32)>, String> {
        let Some(owner) = controller_of(&pod.metadata) else { return Ok(None) };
        let world = &self.world;
        if let Some(key) = owner_key::<ReplicaSet>(&pod.metadata) {
            let Some(set) = world.replica_sets.get(&key) else { return Ok(None) };
            let above = owner_key::<Deployment>(&set.metadata).and_then(|key| world.deployments.get(&key));
            let (uid, replicas) = match above {
                Some(above) => (uid(&above.metadata).to_owned(), above.spec.as_ref().and_then(|s| s.replicas)),
                None => (uid(&set.metadata).to_owned(), set.spec.as_ref().and_then(|s| s.replicas)),
            };
            return Ok(Some((uid, replicas.unwrap_or(1))));
        }
        if let Some(key) = owner_key::<StatefulSet>(&pod.metadata) {
            let Some(set) = world.stateful_sets.get(&key) else { return Ok(None) };
            let replicas = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
            return Ok(Some((uid(&set.metadata).to_owned(), replicas)));
        }
        Err(format!("{} does not implement the scale subresource", plural(&owner.api_version, &owner.kind)))
    }
}

/// `daemonsets.apps`: as a resource with its group.
fn plural(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let row = mainstay_api::resource::by_kind(group, version, kind);
    let resource = row.map_or_else(|| kind.to_lowercase(), |row| row.resource.to_string());
    if group.is_empty() { resource } else { format!("{resource}.{group}") }
}

fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let wire = budget.spec.as_ref().and_then(|s| s.selector.as_ref());
    wire.is_some_and(|wire| selects(&selector(wire), &pod.metadata))
}

#[async_trait]
impl Controller for Disruption {
    fn name(&self) -> &'static str {
        "disruption"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(budget) = self.world.budgets.get(key).filter(|b| !is_deleting(&b.metadata)) else {
            return Ok(Next::Settled);
        };
        let mut pods = self.world.pods.in_namespace(&key.namespace);
        pods.retain(|pod| is_active_or_leaving(pod) && covers(&budget, pod));
        let (status, next) = match expected(&budget, &pods, &|pod| self.scale_of(pod)) {
            Ok(expected) => status(&budget, &pods, expected, Timestamp::now()),
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                self.events.event(&*budget, EventType::Warning, "CalculateExpectedPodCountFailed", message);
                (unknown(&budget, &why, Timestamp::now()), None)
            }
        };
        if budget.status.as_ref() != Some(&status) {
            let changed = PodDisruptionBudget { status: Some(status), ..(*budget).clone() };
            absent_is_fine(self.world.api::<PodDisruptionBudget>(&key.namespace).update_status(&changed).await)?;
        }
        Ok(Next::maybe(next))
    }
}

fn is_active_or_leaving(pod: &Pod) -> bool {
    is_active(pod) || is_deleting(&pod.metadata) && !crate::pod::is_finished(pod)
}

/// What a budget is reckoned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    pods: i32,
    healthy: i32,
}

type Scale<'a> = &'a dyn Fn(&Pod) -> Result<Option<(String, i32)>, String>;

/// How many pods there should be, and how many of them have to be healthy.
fn expected(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], scale: Scale) -> Result<Expected, String> {
    let spec = budget.spec.clone().unwrap_or_default();
    let count = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    let wanted = || -> Result<i32, String> {
        let mut owners: BTreeMap<String, i32> = BTreeMap::new();
        for pod in pods {
            owners.extend(scale(pod)?);
        }
        Ok(owners.values().sum())
    };
    if let Some(most) = &spec.max_unavailable {
        let all = wanted()?;
        return Ok(Expected { pods: all, healthy: (all - scaled(Some(most), all, true)).max(0) });
    }
    match &spec.min_available {
        Some(IntOrString::Int(least)) => Ok(Expected { pods: count, healthy: *least }),
        Some(least) => {
            let all = wanted()?;
            Ok(Expected { pods: all, healthy: scaled(Some(least), all, true) })
        }
        None => Ok(Expected { pods: count, healthy: 0 }),
    }
}

/// The status, and when it has to be looked at again.
fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    expected: Expected,
    now: Timestamp,
) -> (PodDisruptionBudgetStatus, Option<Duration>) {
    let known = budget.status.clone().unwrap_or_default();
    let mut disrupted = known.disrupted_pods.clone().unwrap_or_default();
    let mut next: Option<Duration> = None;
    disrupted.retain(|evicted, at| {
        let pod = pods.iter().find(|pod| name(&pod.metadata) == evicted);
        let left = remaining(at, EVICTION, now);
        let waits = pod.is_some_and(|pod| !is_deleting(&pod.metadata)) && !left.is_zero();
        if waits {
            next = Some(next.map_or(left, |n| n.min(left)));
        }
        waits
    });
    let healthy = pods.iter().filter(|pod| {
        let leaving = is_deleting(&pod.metadata) || disrupted.contains_key(name(&pod.metadata));
        !leaving && is_ready(pod)
    });
    let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    let allowed = if expected.pods > 0 { (healthy - expected.healthy).max(0) } else { 0 };
    let verdict = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let status = PodDisruptionBudgetStatus {
        conditions: Some(with_condition(budget, verdict, "", now)),
        current_healthy: Some(healthy),
        desired_healthy: Some(expected.healthy),
        expected_pods: Some(expected.pods),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(disrupted).filter(|d| !d.is_empty()),
        observed_generation: budget.metadata.generation,
    };
    (status, next)
}

/// Nothing may be evicted while nobody knows how many pods there should be.
fn unknown(budget: &PodDisruptionBudget, why: &str, now: Timestamp) -> PodDisruptionBudgetStatus {
    PodDisruptionBudgetStatus {
        conditions: Some(with_condition(budget, ("False", "SyncFailed"), why, now)),
        disruptions_allowed: Some(0),
        observed_generation: budget.metadata.generation,
        ..budget.status.clone().unwrap_or_default()
    }
}

fn with_condition(
    budget: &PodDisruptionBudget,
    (word, reason): (&str, &str),
    message: &str,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all = budget.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    let before = all.iter().find(|c| c.type_ == ALLOWED && c.status == word);
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let since = before.map_or(now, |c| c.last_transition_time.clone());
    let at = all.iter().position(|c| c.type_ == ALLOWED);
    let condition = Condition {
        type_: ALLOWED.into(),
        status: word.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: since,
        observed_generation: budget.metadata.generation,
    };
    match at {
        Some(at) => all[at] = condition,
        None => all.push(condition),
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(spec: Value) -> PodDisruptionBudget {
        let value = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "b", "generation": 2}, "spec": spec,
            "status": {"disruptedPods": {"p0": "2026-01-01T00:00:00Z"}}});
        serde_json::from_value(value).unwrap()
    }

    fn pods(count: usize, ready: usize) -> Vec<Arc<Pod>> {
        let one = |number: usize| {
            let word = if number < ready { "True" } else { "False" };
            let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}")},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": word}]}});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        (0..count).map(one).collect()
    }

    fn four(_: &Pod) -> Result<Option<(String, i32)>, String> {
        Ok(Some(("u".into(), 4)))
    }

    #[test]
    fn numbers_and_shares_say_how_many_must_be_healthy() {
        let pods = pods(3, 3);
        let of = |spec| expected(&budget(spec), &pods, &four).unwrap();
        assert_eq!(of(json!({"minAvailable": 2})), Expected { pods: 3, healthy: 2 });
        assert_eq!(of(json!({"minAvailable": "60%"})), Expected { pods: 4, healthy: 3 });
        assert_eq!(of(json!({"maxUnavailable": 1})), Expected { pods: 4, healthy: 3 });
        assert!(expected(&budget(json!({"maxUnavailable": 1})), &pods, &|_| Err("no".into())).is_err());
    }

    #[test]
    fn an_evicted_pod_counts_as_gone_until_it_is_or_time_is_up() {
        let budget = budget(json!({"minAvailable": 2}));
        let (all, wanted) = (pods(4, 4), Expected { pods: 4, healthy: 2 });
        let (soon, next) = status(&budget, &all, wanted, "2026-01-01T00:00:20Z".parse().unwrap());
        assert_eq!(
            (soon.current_healthy, soon.disruptions_allowed, next),
            (Some(3), Some(1), Some(Duration::from_secs(100)))
        );
        let (later, _) = status(&budget, &all, wanted, "2026-01-01T00:05:00Z".parse().unwrap());
        assert_eq!((later.current_healthy, later.disruptions_allowed, later.disrupted_pods), (Some(4), Some(2), None));
        assert_eq!(later.conditions.unwrap()[0].reason, "SufficientPods");
    }
}
