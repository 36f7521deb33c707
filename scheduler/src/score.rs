//! Which of the possible nodes is best: each score gives 0 to 100, weighted as in Kubernetes' default profile.

use k8s_openapi::api::core::v1::PodSpec;

use crate::cache::{Cache, NodeInfo};
use crate::filter::{node_preference, same_owner_on, unwanted_taints};
use crate::pod::PodInfo;

/// The best score of one rule.
const MAX: i64 = 100;

/// Weights of the default profile.
const BALANCED: i64 = 1;
const LEAST_ALLOCATED: i64 = 1;
const NODE_AFFINITY: i64 = 2;
const POD_AFFINITY: i64 = 2;
const SPREAD: i64 = 2;
const DEVICES: i64 = 2;
const TAINTS: i64 = 3;

/// The sum of all scores for each node, in the order given; `devices` says how much the pod would like its devices there.
#[must_use]
pub fn scores(pod: &PodInfo, nodes: &[&NodeInfo], cache: &Cache, devices: impl Fn(&NodeInfo) -> i64) -> Vec<i64> {
    let Some(spec) = &pod.pod.spec else { return vec![0; nodes.len()] };
    let rules = [
        (LEAST_ALLOCATED, each(nodes, |node| least_allocated(pod, node))),
        (BALANCED, each(nodes, |node| balanced(pod, node))),
        (NODE_AFFINITY, most_is_best(each(nodes, |node| node_preference(spec, node)))),
        (TAINTS, least_is_best(each(nodes, |node| taints(spec, node)))),
        (SPREAD, least_is_best(each(nodes, |node| same_owner_on(node, pod)))),
        (POD_AFFINITY, most_is_best(each(nodes, |node| company(pod, node, cache)))),
        (DEVICES, of_the_most(each(nodes, devices))),
    ];
    (0..nodes.len()).map(|i| rules.iter().map(|(weight, scores)| weight * scores[i]).sum()).collect()
}

fn each(nodes: &[&NodeInfo], score: impl Fn(&NodeInfo) -> i64) -> Vec<i64> {
    nodes.iter().map(|node| score(node)).collect()
}

/// Stretches raw numbers to 0..=100; all alike score nothing.
fn most_is_best(raw: Vec<i64>) -> Vec<i64> {
    let (least, most) = (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    if least == most {
        return vec![0; raw.len()];
    }
    raw.into_iter().map(|value| MAX * (value - least) / (most - least)).collect()
}

fn least_is_best(raw: Vec<i64>) -> Vec<i64> {
    most_is_best(raw.into_iter().map(|value| -value).collect())
}

/// Raw numbers as shares of the highest; nothing where it is nothing.
fn of_the_most(raw: Vec<i64>) -> Vec<i64> {
    let most = raw.iter().copied().max().unwrap_or(0).max(1);
    raw.into_iter().map(|value| MAX * value / most).collect()
}

fn taints(spec: &PodSpec, node: &NodeInfo) -> i64 {
    i64::try_from(unwanted_taints(spec, node)).unwrap_or(i64::MAX)
}

/// Share of CPU and memory in use with the pod on the node, 0.0 to 1.0 each.
fn used(pod: &PodInfo, node: &NodeInfo) -> [f64; 2] {
    let share = |taken: i64, asked: i64, all: i64| {
        if all <= 0 { 1.0 } else { ((taken + asked) as f64 / all as f64).min(1.0) }
    };
    let (taken, asked, all) = (&node.score_requested, &pod.score_request, &node.allocatable);
    [share(taken.milli_cpu, asked.milli_cpu, all.milli_cpu), share(taken.memory, asked.memory, all.memory)]
}

fn least_allocated(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let [cpu, memory] = used(pod, node);
    ((2.0 - cpu - memory) / 2.0 * MAX as f64) as i64
}

/// CPU and memory in use in equal parts are best.
fn balanced(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let [cpu, memory] = used(pod, node);
    let deviation = (cpu - memory).abs() / 2.0;
    ((1.0 - deviation) * MAX as f64) as i64
}

/// The weights of preferred company in the node's places, the pods' there for this one included.
fn company(pod: &PodInfo, node: &NodeInfo, cache: &Cache) -> i64 {
    let together =
        |key: &str, other: &NodeInfo| node.labels().get(key).is_some_and(|v| other.labels().get(key) == Some(v));
    let mut sum = 0;
    for (place, other) in cache.pods() {
        let mine = pod.terms.preferred.iter().filter(|t| together(&t.topology_key, place) && cache.matches(t, other));
        let theirs = other.terms.preferred.iter().filter(|t| together(&t.topology_key, place) && cache.matches(t, pod));
        sum += mine.chain(theirs).map(|term| term.weight).sum::<i64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cache, info, named_pod, node};

    fn best(cache: &Cache, pod: &PodInfo) -> String {
        let nodes: Vec<_> = cache.nodes().collect();
        let scores = scores(pod, &nodes, cache, |_| 0);
        let best = (0..nodes.len()).max_by_key(|i| scores[*i]).unwrap();
        nodes[best].name().to_owned()
    }

    #[test]
    fn the_emptier_node_wins() {
        let busy = named_pod(
            "o",
            &json!({}),
            r#"{"nodeName":"a","containers":[{"name":"c","resources":{"requests":{"cpu":"2","memory":"4Gi"}}}]}"#,
        );
        let cache = cache(vec![node("a", &json!({}), &json!({})), node("b", &json!({}), &json!({}))], vec![busy]);
        assert_eq!(best(&cache, &info(named_pod("p", &json!({}), "{}"))), "b");
    }

    #[test]
    fn siblings_keep_apart() {
        let owned = |name: &str, spec: &str| {
            let mut pod = named_pod(name, &json!({}), spec);
            let owner =
                json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]);
            pod.metadata.owner_references = serde_json::from_value(owner).unwrap();
            pod
        };
        let stranger = named_pod("o", &json!({}), r#"{"nodeName":"b"}"#);
        let nodes = vec![node("a", &json!({}), &json!({})), node("b", &json!({}), &json!({}))];
        let cache = cache(nodes, vec![owned("s", r#"{"nodeName":"a"}"#), stranger]);
        assert_eq!(best(&cache, &info(owned("p", "{}"))), "b");
    }

    #[test]
    fn preferences_and_soft_taints_count() {
        let soft = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
        let tainted = cache(vec![node("a", &json!({}), &soft), node("b", &json!({}), &json!({}))], vec![]);
        assert_eq!(best(&tainted, &info(named_pod("p", &json!({}), "{}"))), "b");
        let labelled =
            cache(vec![node("a", &json!({"d": "s"}), &json!({})), node("b", &json!({}), &json!({}))], vec![]);
        let wish = r#"{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight":1,"preference":{"matchExpressions":[{"key":"d","operator":"Exists"}]}}]}}}"#;
        assert_eq!(best(&labelled, &info(named_pod("p", &json!({}), wish))), "a");
    }

    #[test]
    fn equal_numbers_score_nothing() {
        assert_eq!(most_is_best(vec![5, 5]), [0, 0]);
        assert_eq!(least_is_best(vec![0, 4]), [100, 0]);
        assert_eq!(of_the_most(vec![8, 7]), [100, 87]);
        assert_eq!(of_the_most(vec![0, 0]), [0, 0]);
    }
}
