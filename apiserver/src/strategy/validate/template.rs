//! The pod template of every workload.

use mainstay_api::meta;

use super::{At, Errors, Owner, pod_annotations, pod_spec};

/// Labels, annotations and spec of a template.
pub(crate) fn template(template: &At<'_>, errors: &mut Errors) {
    let metadata = template.get("metadata");
    errors.extend(meta::validate_labels(metadata.get("labels").value.as_object(), &template.path.child("labels")));
    errors.extend(meta::validate_annotations(
        metadata.get("annotations").value.as_object(),
        &template.path.child("annotations"),
    ));
    let annotations = At::new(metadata.get("annotations").value, template.path.child("annotations"));
    pod_annotations::annotations(&annotations, &template.get("spec"), errors);
    pod_spec::pod_spec(&template.get("spec"), Owner::Template, errors);
    pod_annotations::agree_with_fields(&annotations, &template.get("spec"), errors);
    let ephemeral = template.get("spec").get("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
    }
}

/// A template of which the pods run for ever.
pub(crate) fn long_running(template_at: &At<'_>, owner: &str, errors: &mut Errors) {
    template(template_at, errors);
    always_restarts(template_at, owner, errors);
}

/// Pods of a workload that never completes restart always.
pub(crate) fn always_restarts(template: &At<'_>, owner: &str, errors: &mut Errors) {
    let spec = template.get("spec");
    let policy = spec.get("restartPolicy");
    if policy.str() != "Always" {
        errors.unsupported(&policy, &["Always"]);
    }
    if spec.opt("activeDeadlineSeconds").is_some() {
        errors.forbidden(
            &spec.get("activeDeadlineSeconds"),
            format!("activeDeadlineSeconds in {owner} is not Supported"),
        );
    }
}
