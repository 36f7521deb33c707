//! What goes with the operating system that a pod says it is for.

use super::{At, Errors};

const FOR_LINUX: &str = "windows options cannot be set for a linux pod";
const FOR_WINDOWS: &str = "cannot be set for a windows pod";
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

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
    let lists = CONTAINERS.map(|list| spec.get(list));
    lists.into_iter().flat_map(|list| list.items()).map(|container| container.get("securityContext"))
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
