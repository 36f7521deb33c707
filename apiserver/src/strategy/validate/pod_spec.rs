//! The spec of a pod, of its own or in a template.

use std::collections::HashMap;

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{
    At, Errors, Owner, affinity, containers, gates, pod_claims, pod_os, pod_resources, resources, security, selectors,
    volumes,
};

/// The whole of a pod's spec.
pub(crate) fn pod_spec(spec: &At<'_>, owner: Owner<'_>, errors: &mut Errors) {
    let mountable = volumes::volumes(&spec.get("volumes"), owner, errors);
    pod_claims::claims(&spec.get("resourceClaims"), errors);
    containers::all(spec, &mountable, errors);
    pod_resources::pod(spec, errors);
    host_network(spec, owner, errors);
    errors.one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"]);
    errors.one_of(&spec.get("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    selectors::labels(&spec.get("nodeSelector"), errors);
    security::pod(spec, errors);
    affinity::affinity(&spec.get("affinity"), errors);
    gates::dns(spec, errors);
    gates::readiness(&spec.get("readinessGates"), errors);
    gates::scheduling(&spec.get("schedulingGates"), errors);
    gates::spread(&spec.get("topologySpreadConstraints"), errors);
    pod_os::host_processes(spec, errors);
    host_users(spec, errors);
    hostname_override(spec, errors);
    scalars(spec, errors);
    pod_os::os(spec, errors);
    file_key_volumes(spec, errors);
    if owner != Owner::Template {
        only_pods(spec, errors);
    }
}

/// Rules that came when templates were stored that break them.
fn only_pods(spec: &At<'_>, errors: &mut Errors) {
    if spec.get("serviceAccountName").is_empty() {
        for volume in spec.get("volumes").items() {
            for source in volume.get("projected").get("sources").items() {
                if let Some(token) = source.opt("serviceAccountToken") {
                    errors.forbidden(&token, "must not be specified when serviceAccountName is not set");
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        spec.get(list).items().for_each(|container| containers::trimmed_image(&container, errors));
    }
}

/// With the host's network, the host's ports are the container's; those of a template may be filled in later.
fn host_network(spec: &At<'_>, owner: Owner<'_>, errors: &mut Errors) {
    if !spec.get("hostNetwork").bool() {
        return;
    }
    for port in spec.get("containers").items().flat_map(|container| container.get("ports").items()) {
        let (own, host) = (port.get("containerPort").int(), port.get("hostPort"));
        if own != host.int() && (owner != Owner::Template || host.int() != 0) {
            let why = "must match `containerPort` when `hostNetwork` is true";
            errors.0.push(Error::invalid(&host.path, host.int(), why));
        }
    }
}

fn host_users(spec: &At<'_>, errors: &mut Errors) {
    const WHY: &str = "when `hostUsers` is false";
    if spec.opt("hostUsers").is_none_or(|at| at.bool()) {
        return;
    }
    // Two of them are called as they are inside Kubernetes.
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(field).bool() {
            errors.forbidden(&At::new(spec.value, spec.path.child(shown)), WHY);
        }
    }
    for devices in containers::every(spec).filter_map(|container| container.opt("volumeDevices")) {
        if !devices.is_empty() {
            errors.forbidden(&devices, WHY);
        }
    }
}

/// A host name of its own, where nothing else says what it is.
fn hostname_override(spec: &At<'_>, errors: &mut Errors) {
    let Some(name) = spec.opt("hostnameOverride") else { return };
    for flag in ["setHostnameAsFQDN", "hostNetwork"] {
        if spec.get(flag).bool() {
            errors.forbidden(&name, format!("may not be specified when {flag} is true"));
        }
    }
    if name.str().len() > 64 {
        errors.0.push(Error::too_long(&name.path, 64));
    }
    errors.each(&name, names::is_dns1123_subdomain(name.str()));
}

/// Variables are read from files of volumes that start empty.
fn file_key_volumes(spec: &At<'_>, errors: &mut Errors) {
    let mut start_empty = HashMap::new();
    for volume in spec.get("volumes").items() {
        start_empty.entry(volume.get("name").str()).or_insert_with(|| volume.opt("emptyDir").is_some());
    }
    for variable in containers::every(spec).flat_map(|container| container.get("env").items()) {
        let Some(reference) = variable.get("valueFrom").opt("fileKeyRef") else { continue };
        let name = reference.get("volumeName");
        match start_empty.get(name.str()) {
            None => errors.0.push(Error::not_found(&name.path, name.str())),
            Some(false) => errors.each(&name, vec!["referenced volume must be of type emptyDir".to_owned()]),
            Some(true) => {}
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
    if let Some(policy) = spec.opt("preemptionPolicy") {
        errors.one_of(&policy, &["PreemptLowerPriority", "Never"]);
    }
    if let Some(overhead) = spec.opt("overhead") {
        let limits = serde_json::json!({"limits": overhead.value});
        resources::container_resources(&At::new(&limits, overhead.path), errors);
    }
}
