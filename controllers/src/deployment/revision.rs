//! Revisions: which replica set runs the present template, and the annotations by which kubectl shows and undoes rollouts.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::meta::{Map, annotation, controller_reference, created, name, namespace};

pub(crate) const HASH_LABEL: &str = "pod-template-hash";
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(crate) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(crate) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(crate) const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that belong to one object and are not handed from a deployment to its replica sets.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
];
/// No vowels and nothing that looks like another character, so that no word comes out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The label value of a template. `collisions` makes another one if the first is taken.
pub(crate) fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    hash_of(&serde_json::json!(template), collisions)
}

/// A short text that follows a value.
pub(crate) fn hash_of(value: &serde_json::Value, collisions: Option<i32>) -> String {
    let mut hash = fnv(0x811c_9dc5, value.to_string().as_bytes());
    if let Some(count) = collisions {
        hash = fnv(hash, &count.to_le_bytes());
    }
    let letter = |digit: u8| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]);
    hash.to_string().bytes().map(letter).collect()
}

/// FNV-1a, 32 bits.
fn fnv(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Equal but for the hash label.
pub(crate) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    a.spec == b.spec && without_hash(a) == without_hash(b)
}

fn without_hash(template: &PodTemplateSpec) -> (Map, Map) {
    let meta = template.metadata.clone().unwrap_or_default();
    let mut labels = meta.labels.unwrap_or_default();
    labels.remove(HASH_LABEL);
    (labels, meta.annotations.unwrap_or_default())
}

/// The oldest replica set that runs the deployment's template.
pub(crate) fn find_new(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    let template = &deployment.spec.as_ref()?.template;
    let runs_it = |set: &&Arc<ReplicaSet>| {
        set.spec.as_ref().and_then(|s| s.template.as_ref()).is_some_and(|t| same_template(t, template))
    };
    sets.iter().filter(runs_it).min_by_key(|s| (created(&s.metadata), name(&s.metadata).to_owned())).cloned()
}

/// A set's revision; 0 if it has none.
pub(crate) fn revision(meta: &ObjectMeta) -> i64 {
    annotation(meta, REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// The replica set for the deployment's template.
pub(crate) fn new_set(deployment: &Deployment, replicas: i32, max: i32, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = template_hash(&spec.template, deployment.status.as_ref().and_then(|s| s.collision_count));
    let mut template = spec.template;
    let meta = template.metadata.get_or_insert_default();
    meta.labels.get_or_insert_default().insert(HASH_LABEL.into(), hash.clone());
    let labels = meta.labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.into(), hash.clone());
    let mut annotations = handed_down(deployment);
    annotations.insert(REVISION.into(), revision.to_string());
    annotations.insert(DESIRED.into(), spec.replicas.unwrap_or(1).to_string());
    annotations.insert(MAX.into(), max.to_string());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(&deployment.metadata))),
            namespace: Some(namespace(&deployment.metadata).into()),
            labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..Default::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

fn handed_down(deployment: &Deployment) -> Map {
    let all = deployment.metadata.annotations.clone().unwrap_or_default();
    all.into_iter().filter(|(key, _)| !OWN.contains(&key.as_str())).collect()
}

/// The annotations that the present set shall have: the deployment's, and a revision above all others, remembering the ones before.
pub(crate) fn present_annotations(deployment: &Deployment, set: &ReplicaSet, newest: i64) -> Map {
    let mut annotations = set.metadata.annotations.clone().unwrap_or_default();
    let before = revision(&set.metadata);
    if before < newest {
        if before > 0 {
            let history = annotations.get(REVISION_HISTORY).filter(|h| !h.is_empty());
            let history = history.map_or_else(|| before.to_string(), |h| format!("{h},{before}"));
            annotations.insert(REVISION_HISTORY.into(), history);
        }
        annotations.insert(REVISION.into(), newest.to_string());
    }
    annotations.extend(handed_down(deployment));
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(image: &str) -> PodTemplateSpec {
        let value =
            json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_hash_is_a_label_value_that_follows_the_template() {
        let hash = template_hash(&template("a"), None);
        assert!(hash.len() <= 10 && hash.bytes().all(|b| ALPHABET.contains(&b)));
        assert_eq!(hash, template_hash(&template("a"), None));
        assert_ne!(hash, template_hash(&template("b"), None));
        assert_ne!(hash, template_hash(&template("a"), Some(1)));
    }

    #[test]
    fn the_hash_label_makes_no_difference() {
        let mut labelled = template("a");
        let labels = labelled.metadata.as_mut().and_then(|m| m.labels.as_mut()).unwrap();
        labels.insert(HASH_LABEL.into(), "x".into());
        assert!(same_template(&labelled, &template("a")));
        assert!(!same_template(&labelled, &template("b")));
    }

    #[test]
    fn going_back_remembers_the_revision_before() {
        let deployment: Deployment = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "annotations": {"kubernetes.io/change-cause": "undo", REVISION: "2"}},
        }))
        .unwrap();
        let set: ReplicaSet = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"annotations": {REVISION: "1"}},
        }))
        .unwrap();
        let annotations = present_annotations(&deployment, &set, 3);
        assert_eq!(annotations[REVISION], "3");
        assert_eq!(annotations[REVISION_HISTORY], "1");
        assert_eq!(annotations["kubernetes.io/change-cause"], "undo");
    }
}
