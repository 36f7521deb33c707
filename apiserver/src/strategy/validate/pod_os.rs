//! What goes with the operating system that a pod says it is for.

use mainstay_api::field::Error;

use super::{At, Errors, containers};

const FOR_LINUX: &str = "windows options cannot be set for a linux pod";
const FOR_WINDOWS: &str = "cannot be set for a windows pod";

/// Fields of a pod, within `spec` or its security context, that Windows does not know, in the order of their errors.
const POD: &[&str] = &[
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
];
/// Likewise of a container's security context.
const CONTAINER: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// The rules that follow from `os`.
pub(crate) fn os(spec: &At<'_>, errors: &mut Errors) {
    let Some(os) = spec.opt("os") else { return };
    match os.get("name").str() {
        "" => errors.required(&os.get("name"), ""),
        "linux" => linux(spec, errors),
        "windows" => windows(spec, errors),
        _ => errors.unsupported(&At::new(os.get("name").value, os.path), &["linux", "windows"]),
    }
}

fn contexts<'a>(spec: &At<'a>) -> impl Iterator<Item = At<'a>> + use<'a> {
    containers::every(spec).map(|container| container.get("securityContext"))
}

/// Containers that are processes of a Windows host: all of a pod or none, and with the host's network.
pub(crate) fn host_processes(spec: &At<'_>, errors: &mut Errors) {
    let flag = |at: &At<'_>| at.get("securityContext").get("windowsOptions").get("hostProcess").value.as_bool();
    let pod = flag(spec);
    let (mut all, mut processes) = (0, 0);
    for container in containers::every(spec) {
        let own = flag(&container);
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let at = container.get("securityContext").get("windowsOptions").get("hostProcess");
            errors.invalid(&at, format!("pod hostProcess value must be identical if both are specified, was {pod}"));
        }
        all += 1;
        processes += i32::from(own.or(pod) == Some(true));
    }
    if processes == 0 {
        return;
    }
    if processes != all {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.0.push(Error::invalid(&spec.path, "", why));
    }
    if !spec.get("hostNetwork").bool() {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.0.push(Error::invalid(&spec.get("hostNetwork").path, false, why));
    }
}

fn linux(spec: &At<'_>, errors: &mut Errors) {
    for context in std::iter::once(spec.get("securityContext")).chain(contexts(spec)) {
        if let Some(options) = context.opt("windowsOptions") {
            errors.forbidden(&options, FOR_LINUX);
        }
    }
}

fn windows(spec: &At<'_>, errors: &mut Errors) {
    for field in POD {
        let at = field.split('.').fold(spec.clone(), |at, step| at.get(step));
        // Of the host's own only a true flag is set inside Kubernetes.
        let set = if field.starts_with("hostP") || field.starts_with("hostI") { at.bool() } else { !at.is_null() };
        if set {
            errors.forbidden(&at, FOR_WINDOWS);
        }
    }
    for context in contexts(spec) {
        for at in CONTAINER.iter().filter_map(|field| context.opt(field)) {
            errors.forbidden(&at, FOR_WINDOWS);
        }
    }
}
