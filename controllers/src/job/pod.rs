//! A job's pods.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use crate::meta::{annotation, controller_reference, name, namespace};
use crate::pod::from_template;

/// Kept on a pod until it has been counted.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// Not counted yet.
pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|f| f == FINALIZER)
}

/// The completion index that a pod works on.
pub(super) fn index(pod: &Pod) -> Option<i32> {
    annotation(&pod.metadata, INDEX)?.parse().ok()
}

/// A pod of the job, for an index if it has them.
pub(super) fn make(job: &Job, index: Option<i32>) -> Option<Pod> {
    let spec = job.spec.as_ref()?;
    let own = name(&job.metadata);
    let prefix = index.map_or_else(|| own.to_owned(), |index| format!("{own}-{index}"));
    let mut pod = from_template(&spec.template, namespace(&job.metadata), &prefix, controller_reference(job));
    pod.metadata.finalizers.get_or_insert_default().push(FINALIZER.into());
    if let Some(index) = index {
        pod.metadata.annotations.get_or_insert_default().insert(INDEX.into(), index.to_string());
        pod.metadata.labels.get_or_insert_default().insert(INDEX.into(), index.to_string());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(prefix);
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            let vars = container.env.get_or_insert_default();
            if !vars.iter().any(|var| var.name == INDEX_VARIABLE) {
                vars.push(index_variable());
            }
        }
    }
    Some(pod)
}

fn index_variable() -> EnvVar {
    let field = ObjectFieldSelector { field_path: format!("metadata.labels['{INDEX}']"), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: INDEX_VARIABLE.into(), value: None, value_from: Some(source) }
}
