//! The spec of a pod, of its own or in a template.

use mainstay_api::names;

use super::{At, Errors, affinity, containers, gates, resources, security, selectors, volumes};

/// The whole of a pod's spec.
pub(crate) fn pod_spec(spec: &At<'_>, errors: &mut Errors) {
    volumes::volumes(&spec.get("volumes"), errors);
    containers::all(spec, errors);
    if let Some(pod_resources) = spec.opt("resources") {
        resources::container_resources(&pod_resources, errors);
    }
    host_network(spec, errors);
    errors.one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"]);
    errors.one_of(&spec.get("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    selectors::labels(&spec.get("nodeSelector"), errors);
    security::pod(spec, errors);
    affinity::affinity(&spec.get("affinity"), errors);
    gates::dns(spec, errors);
    gates::readiness(&spec.get("readinessGates"), errors);
    gates::scheduling(&spec.get("schedulingGates"), errors);
    gates::spread(&spec.get("topologySpreadConstraints"), errors);
    host_users(spec, errors);
    scalars(spec, errors);
}

/// With the host's network, the host's ports are the container's.
fn host_network(spec: &At<'_>, errors: &mut Errors) {
    if !spec.get("hostNetwork").bool() {
        return;
    }
    for kind in ["containers", "initContainers"] {
        for port in spec.get(kind).items().flat_map(|container| container.get("ports").items()) {
            let (own, host) = (port.get("containerPort"), port.get("hostPort"));
            if own.int() != host.int() {
                errors.invalid(&own, "must match `hostPort` when `hostNetwork` is true");
            }
        }
    }
}

fn host_users(spec: &At<'_>, errors: &mut Errors) {
    if spec.opt("hostUsers").is_none_or(|at| at.bool()) {
        return;
    }
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec.get(field).bool() {
            errors.forbidden(&spec.get(field), "when `hostUsers` is false");
        }
    }
}

fn scalars(spec: &At<'_>, errors: &mut Errors) {
    errors.name_if_set(&spec.get("serviceAccountName"), names::is_dns1123_subdomain);
    errors.name_if_set(&spec.get("nodeName"), names::is_dns1123_subdomain);
    if let Some(deadline) = spec.opt("activeDeadlineSeconds") {
        errors.in_range(&deadline, 1, i64::from(i32::MAX));
    }
    errors.name_if_set(&spec.get("hostname"), names::is_dns1123_label);
    errors.name_if_set(&spec.get("subdomain"), names::is_dns1123_label);
    gates::tolerations(&spec.get("tolerations"), errors);
    gates::host_aliases(&spec.get("hostAliases"), errors);
    errors.name_if_set(&spec.get("priorityClassName"), names::is_dns1123_subdomain);
    if let Some(class) = spec.opt("runtimeClassName") {
        errors.each(&class, names::is_dns1123_subdomain(class.str()));
    }
    errors.one_of_if_set(&spec.get("preemptionPolicy"), &["Never", "PreemptLowerPriority"]);
    resources::amounts(&spec.get("overhead"), errors);
    if let Some(os) = spec.opt("os") {
        errors.one_of(&os.get("name"), &["linux", "windows"]);
    }
}
