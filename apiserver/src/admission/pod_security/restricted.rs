//! The controls that the restricted level adds.

use super::baseline;
use super::subject::{Pod, Violation, context, has_own_users, is_windows, named, plural, quoted, set, violation, who};
use crate::strategy::validate::At;

pub(super) fn escalation(pod: &Pod<'_>) -> Option<Violation> {
    if is_windows(pod) {
        return None;
    }
    let bad = |container: &At<'_>| context(container).opt("allowPrivilegeEscalation").is_none_or(|at| at.bool());
    let names = named(&pod.spec, bad)?;
    let detail = format!("{names} must set securityContext.allowPrivilegeEscalation=false");
    violation("allowPrivilegeEscalation != false", detail)
}

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    if is_windows(pod) {
        return None;
    }
    let keeps =
        |container: &At<'_>| !context(container).get("capabilities").get("drop").strings().any(|name| name == "ALL");
    let drop =
        named(&pod.spec, keeps).map(|names| format!("{names} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let parts: Vec<String> = drop.into_iter().chain(baseline::added(pod, &["NET_BIND_SERVICE"])).collect();
    if parts.is_empty() { None } else { violation("unrestricted capabilities", parts.join("; ")) }
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    baseline::any_proc_mount(pod)
}

pub(super) fn volume_types(pod: &Pod<'_>) -> Option<Violation> {
    const FINE: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let (mut names, mut kinds) = (Vec::new(), Vec::new());
    for volume in pod.spec.get("volumes").items() {
        let source = volume.map().iter().find(|(field, value)| *field != "name" && !value.is_null());
        if let Some(kind) = source.map(|(field, _)| field.as_str()).filter(|kind| !FINE.contains(kind)) {
            names.push(volume.get("name").str());
            kinds.push(kind);
        }
    }
    if names.is_empty() {
        return None;
    }
    let kinds = set(kinds.into_iter());
    let who = format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names));
    let what = plural("restricted volume type", "restricted volume types", kinds.len());
    let detail = format!("{who} {} {what} {}", plural("uses", "use", names.len()), quoted(&kinds));
    violation("restricted volume types", detail)
}

pub(super) fn non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if has_own_users(pod) {
        return None;
    }
    let said = |at: &At<'_>| context(at).opt("runAsNonRoot").map(|at| at.bool());
    if let Some(who) = who(&pod.spec, |at| said(at) == Some(false)) {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    if said(&pod.spec) == Some(true) {
        return None;
    }
    let names = named(&pod.spec, |container| said(container).is_none())?;
    violation(REASON, format!("pod or {names} must set securityContext.runAsNonRoot=true"))
}

pub(super) fn root_user(pod: &Pod<'_>) -> Option<Violation> {
    if has_own_users(pod) {
        return None;
    }
    let who = who(&pod.spec, |at| context(at).opt("runAsUser").is_some_and(|user| user.int() == 0))?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    if is_windows(pod) {
        return None;
    }
    if let Some(found) = baseline::seccomp_fields(pod) {
        return Some(found);
    }
    if !baseline::seccomp_type(&pod.spec).is_empty() {
        return None;
    }
    let names = named(&pod.spec, |container| baseline::seccomp_type(container).is_empty())?;
    let what = "securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
    violation("seccompProfile", format!("pod or {names} must set {what}"))
}
