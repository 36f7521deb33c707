//! What makes a pod of a stateful set that very one: its name, its labels and its volumes.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::history::{self, REVISION_LABEL};
use crate::meta::{controller_reference, name, namespace, uid};

const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The number in a pod's name, if it is a name of this set's line.
pub(super) fn ordinal(set: &StatefulSet, pod: &str) -> Option<i32> {
    let (parent, number) = pod.rsplit_once('-')?;
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (parent == name(&set.metadata) && plain).then(|| number.parse().ok()).flatten()
}

/// The name of the revision that a pod was made from.
pub(super) fn revision(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(REVISION_LABEL).map(String::as_str)
}

/// The pod of a place, as a revision describes it.
pub(super) fn pod(set: &StatefulSet, number: i32, revision: &ControllerRevision) -> Option<Pod> {
    let template = history::template(revision)?;
    let meta = template.metadata.unwrap_or_default();
    let mut pod = Pod { spec: template.spec, ..Pod::default() };
    pod.metadata.labels = meta.labels;
    pod.metadata.annotations = meta.annotations;
    pod.metadata.finalizers = meta.finalizers;
    pod.metadata.name = Some(format!("{}-{number}", name(&set.metadata)));
    pod.metadata.namespace = set.metadata.namespace.clone();
    pod.metadata.owner_references = Some(vec![controller_reference(set)]);
    pod.metadata.labels.get_or_insert_default().insert(REVISION_LABEL.into(), name(&revision.metadata).into());
    let own_name = name(&pod.metadata).to_owned();
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(own_name);
    spec.subdomain = set.spec.as_ref().and_then(|s| s.service_name.clone()).filter(|s| !s.is_empty());
    set_identity(&mut pod, number);
    set_volumes(set, number, pod.spec.get_or_insert_default());
    Some(pod)
}

/// The labels that say who it is.
fn set_identity(pod: &mut Pod, number: i32) {
    let own = name(&pod.metadata).to_owned();
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME_LABEL.into(), own);
    labels.insert(INDEX_LABEL.into(), number.to_string());
}

/// The pod with its labels as they should be; none if they are.
pub(super) fn mended(set: &StatefulSet, pod: &Pod) -> Option<Pod> {
    let number = ordinal(set, name(&pod.metadata))?;
    let mut changed = pod.clone();
    set_identity(&mut changed, number);
    (changed != *pod).then_some(changed)
}

fn claim_templates(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten())
}

fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, number: i32) -> String {
    format!("{}-{}-{number}", name(&template.metadata), name(&set.metadata))
}

/// Volumes of claims take the place of those of the template with the same names.
fn set_volumes(set: &StatefulSet, number: i32, spec: &mut PodSpec) {
    let claims = claim_templates(set).map(|template| Volume {
        name: name(&template.metadata).to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(set, template, number),
            read_only: Some(false).filter(|only| *only),
        }),
        ..Volume::default()
    });
    let mut volumes: Vec<Volume> = claims.collect();
    let taken: Vec<String> = volumes.iter().map(|v| v.name.clone()).collect();
    volumes.extend(spec.volumes.take().into_iter().flatten().filter(|v| !taken.contains(&v.name)));
    spec.volumes = Some(volumes).filter(|v| !v.is_empty());
}

/// The claims of a place.
pub(super) fn claims(set: &StatefulSet, number: i32) -> Vec<PersistentVolumeClaim> {
    let labels = set.spec.as_ref().and_then(|s| s.selector.match_labels.clone());
    let made = claim_templates(set).map(|template| {
        let mut claim = template.clone();
        claim.metadata.name = Some(claim_name(set, template, number));
        claim.metadata.namespace = Some(namespace(&set.metadata).to_owned());
        claim.metadata.labels.get_or_insert_default().extend(labels.clone().unwrap_or_default());
        claim.metadata.owner_references = deleted_with(set).then(|| vec![reference(set)]);
        claim.status = None;
        claim
    });
    made.collect()
}

/// Whether claims go when the set does.
fn deleted_with(set: &StatefulSet) -> bool {
    let policy = set.spec.as_ref().and_then(|s| s.persistent_volume_claim_retention_policy.as_ref());
    policy.and_then(|p| p.when_deleted.as_deref()) == Some("Delete")
}

fn reference(set: &StatefulSet) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".into(),
        kind: "StatefulSet".into(),
        name: name(&set.metadata).into(),
        uid: uid(&set.metadata).into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
