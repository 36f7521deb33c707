//! How many pods each replica set shall have next. Pure arithmetic.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::revision::{DESIRED, MAX};
use crate::meta::{annotation, created, name};

/// One replica set's new size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resize {
    pub(crate) set: Arc<ReplicaSet>,
    pub(crate) to: i32,
}

/// The replica sets of a deployment.
#[derive(Clone, Default)]
pub(crate) struct Sets {
    /// Runs the present template.
    pub(crate) new: Option<Arc<ReplicaSet>>,
    /// All others, oldest first.
    pub(crate) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    fn total(&self) -> i32 {
        self.all().map(|s| size(s)).sum()
    }
}

/// What a set asks for.
pub(crate) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
}

/// What a deployment asks for.
pub(crate) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

pub(crate) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref());
    strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate")
}

/// Pods above the wanted number during a rolling update, and pods that may be missing.
pub(crate) fn limits(deployment: &Deployment) -> (i32, i32) {
    if is_recreate(deployment) {
        return (0, 0);
    }
    let rolling = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref()?.rolling_update.as_ref());
    let wanted = wanted(deployment);
    let surge = scaled(rolling.and_then(|r| r.max_surge.as_ref()), wanted, true);
    let unavailable = scaled(rolling.and_then(|r| r.max_unavailable.as_ref()), wanted, false);
    if surge == 0 && unavailable == 0 {
        // Otherwise nothing could ever move (both may round to zero).
        return (0, 1);
    }
    (surge, unavailable.min(wanted))
}

/// A number or a percentage of `total`; a quarter if nothing is said.
pub(crate) fn scaled(value: Option<&IntOrString>, total: i32, round_up: bool) -> i32 {
    let percent = |p: i32| {
        let product = i64::from(p) * i64::from(total);
        let rounded = if round_up { (product + 99) / 100 } else { product / 100 };
        i32::try_from(rounded).unwrap_or(i32::MAX)
    };
    match value {
        None => percent(25),
        Some(IntOrString::Int(count)) => *count,
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse().map_or(0, percent),
    }
}

/// The size of a new replica set that is about to be made or grown.
pub(crate) fn new_size(deployment: &Deployment, sets: &Sets, current: i32) -> i32 {
    if is_recreate(deployment) {
        return wanted(deployment);
    }
    let room = wanted(deployment) + limits(deployment).0 - sets.total();
    if room <= 0 {
        return current;
    }
    current + room.min(wanted(deployment) - current)
}

/// The next steps of a rolling update: the new set first, then the old ones.
pub(crate) fn roll(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let Some(new) = &sets.new else { return Vec::new() };
    let goal = wanted(deployment);
    let to = if size(new) > goal { goal } else { new_size(deployment, sets, size(new)) };
    if to != size(new) {
        return vec![Resize { set: new.clone(), to }];
    }
    shrink_old(deployment, sets, new)
}

fn shrink_old(deployment: &Deployment, sets: &Sets, new: &Arc<ReplicaSet>) -> Vec<Resize> {
    if sets.old.iter().all(|s| size(s) == 0) {
        return Vec::new();
    }
    let least = wanted(deployment) - limits(deployment).1;
    let new_missing = size(new) - available(new);
    let may_go = sets.total() - least - new_missing;
    if may_go <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = sets.old.iter().map(|s| size(s)).collect();
    // Pods that do not serve anyway go first.
    let mut left = may_go;
    for (set, size) in sets.old.iter().zip(&mut sizes) {
        let gone = left.min((*size - available(set)).max(0));
        *size -= gone;
        left -= gone;
    }
    let serving: i32 = sets.all().map(|s| available(s)).sum();
    let mut left = (serving - least).max(0);
    for size in &mut sizes {
        let gone = left.min(*size);
        *size -= gone;
        left -= gone;
    }
    changes(&sets.old, &sizes)
}

fn changes(sets: &[Arc<ReplicaSet>], sizes: &[i32]) -> Vec<Resize> {
    let pairs = sets.iter().zip(sizes).filter(|(set, to)| size(set) != **to);
    pairs.map(|(set, to)| Resize { set: set.clone(), to: *to }).collect()
}

/// Whether the wanted number changed since the sets were last sized.
pub(crate) fn is_rescaled(deployment: &Deployment, sets: &Sets) -> bool {
    let active = sets.all().filter(|s| size(s) > 0);
    let mut desired = active.filter_map(|s| annotation(&s.metadata, DESIRED)?.parse::<i32>().ok());
    desired.any(|desired| desired != wanted(deployment))
}

/// Sizes after the wanted number changed (or while paused): in proportion, so that a rollout under way keeps its balance.
pub(crate) fn rescale(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let goal = wanted(deployment);
    let active: Vec<Arc<ReplicaSet>> = sets.all().filter(|s| size(s) > 0).cloned().collect();
    if active.len() <= 1 {
        let only = active.first().or(sets.new.as_ref()).or(sets.old.last());
        return only.filter(|s| size(s) != goal).map(|s| Resize { set: s.clone(), to: goal }).into_iter().collect();
    }
    if sets.new.as_ref().is_some_and(|new| is_saturated(new, goal)) {
        let sizes = vec![0; sets.old.len()];
        return changes(&sets.old, &sizes);
    }
    if is_recreate(deployment) { Vec::new() } else { proportional(deployment, active) }
}

fn is_saturated(new: &ReplicaSet, goal: i32) -> bool {
    let desired = annotation(&new.metadata, DESIRED).and_then(|d| d.parse().ok());
    size(new) == goal && desired == Some(goal) && available(new) == goal
}

fn proportional(deployment: &Deployment, mut active: Vec<Arc<ReplicaSet>>) -> Vec<Resize> {
    let goal = wanted(deployment);
    let allowed = if goal > 0 { goal + limits(deployment).0 } else { 0 };
    let to_add = allowed - active.iter().map(|s| size(s)).sum::<i32>();
    active.sort_by_key(|s| (size(s), created(&s.metadata), name(&s.metadata).to_owned()));
    // Growing prefers the largest and newest, shrinking the largest and oldest.
    if to_add > 0 {
        active.reverse();
    } else {
        active.sort_by_key(|s| (-size(s), created(&s.metadata)));
    }
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::new();
    for set in &active {
        let part = share(deployment, set, allowed);
        let left = to_add - added;
        let part = if to_add > 0 { part.clamp(0, left.max(0)) } else { part.clamp(left.min(0), 0) };
        sizes.push(size(set) + part);
        added += part;
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    changes(&active, &sizes)
}

/// By how much one set would change if sizes were fractions.
fn share(deployment: &Deployment, set: &ReplicaSet, allowed: i32) -> i32 {
    if wanted(deployment) == 0 {
        return -size(set);
    }
    let before = annotation(&set.metadata, MAX).and_then(|m| m.parse::<i32>().ok()).filter(|m| *m > 0);
    let before = before.or_else(|| deployment.status.as_ref().and_then(|s| s.replicas)).filter(|m| *m > 0);
    let Some(before) = before else { return 0 };
    let exact = f64::from(size(set)) * f64::from(allowed) / f64::from(before);
    // Sizes are far below 2^31.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = exact.round() as i32;
    rounded - size(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(replicas: i32, surge: &str, unavailable: &str) -> Deployment {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {"containers": []}},
                "strategy": {"type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}},
        }))
        .unwrap()
    }

    fn set(name: &str, size: i32, available: i32, desired: i32, max: i32) -> Arc<ReplicaSet> {
        Arc::new(serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": name, "annotations": {DESIRED: desired.to_string(), MAX: max.to_string()}},
            "spec": {"replicas": size, "selector": {}}, "status": {"replicas": size, "availableReplicas": available},
        })).unwrap())
    }

    fn sizes(resizes: &[Resize]) -> Vec<(String, i32)> {
        resizes.iter().map(|r| (name(&r.set.metadata).to_owned(), r.to)).collect()
    }

    #[test]
    fn surge_rounds_up_unavailable_down_and_one_of_them_moves() {
        assert_eq!(limits(&deployment(10, "25%", "25%")), (3, 2));
        assert_eq!(limits(&deployment(1, "0%", "25%")), (0, 1));
    }

    #[test]
    fn the_new_set_grows_into_the_surge_first() {
        let sets = Sets { new: Some(set("new", 0, 0, 10, 13)), old: vec![set("old", 10, 10, 10, 13)] };
        assert_eq!(sizes(&roll(&deployment(10, "25%", "25%"), &sets)), [("new".into(), 3)]);
    }

    #[test]
    fn old_pods_go_as_far_as_availability_allows() {
        let sets = Sets { new: Some(set("new", 3, 0, 10, 13)), old: vec![set("old", 10, 10, 10, 13)] };
        assert_eq!(sizes(&roll(&deployment(10, "25%", "25%"), &sets)), [("old".into(), 8)]);
        let sets = Sets { new: Some(set("new", 5, 3, 10, 13)), old: vec![set("old", 8, 8, 10, 13)] };
        assert_eq!(sizes(&roll(&deployment(10, "25%", "25%"), &sets)), [("old".into(), 5)]);
    }

    #[test]
    fn broken_old_pods_go_before_good_ones() {
        let sets =
            Sets { new: Some(set("new", 3, 3, 10, 13)), old: vec![set("bad", 2, 0, 10, 13), set("old", 8, 8, 10, 13)] };
        assert_eq!(sizes(&roll(&deployment(10, "25%", "25%"), &sets)), [("bad".into(), 0), ("old".into(), 5)]);
    }

    #[test]
    fn scaling_during_a_rollout_keeps_the_balance() {
        let sets = Sets { new: Some(set("new", 5, 5, 10, 10)), old: vec![set("old", 5, 5, 10, 10)] };
        let resizes = rescale(&deployment(20, "0", "1"), &sets);
        assert_eq!(resizes.iter().map(|r| r.to).collect::<Vec<_>>(), [10, 10]);
    }

    #[test]
    fn one_set_takes_the_whole_change() {
        let sets = Sets { new: Some(set("new", 5, 5, 5, 7)), old: vec![set("old", 0, 0, 5, 7)] };
        assert!(is_rescaled(&deployment(2, "25%", "25%"), &sets));
        assert_eq!(sizes(&rescale(&deployment(2, "25%", "25%"), &sets)), [("new".into(), 2)]);
    }
}
