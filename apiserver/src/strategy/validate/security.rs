//! Security contexts.

use mainstay_api::field::Error;
use mainstay_api::{names, types};
use serde_json::json;

use super::{At, Errors, paths};
use crate::strategy::internal;

/// The pod's security context.
pub(crate) fn pod(spec: &At<'_>, errors: &mut Errors) {
    let context = spec.get("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        user_or_group(&context.get(field), errors);
    }
    for group in context.get("supplementalGroups").items() {
        user_or_group(&group, errors);
    }
    if spec.get("shareProcessNamespace").bool() && spec.get("hostPID").bool() {
        // Inside Kubernetes the flag is part of the security context.
        let at = context.path.child("shareProcessNamespace");
        errors.0.push(Error::invalid(&at, true, "ShareProcessNamespace and HostPID cannot both be enabled"));
    }
    sysctls(spec, &context.get("sysctls"), errors);
    errors.one_of_if_set(&context.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    seccomp(&context.get("seccompProfile"), errors);
    windows(&context.get("windowsOptions"), errors);
    app_armor(&context.get("appArmorProfile"), errors);
    errors.one_of_if_set(&context.get("supplementalGroupsPolicy"), &["Merge", "Strict"]);
    // The other policy comes with a feature that is off.
    errors.one_of_if_set(&context.get("seLinuxChangePolicy"), &["Recursive"]);
}

fn user_or_group(at: &At<'_>, errors: &mut Errors) {
    if !at.is_null() {
        errors.each(at, names::is_user_id(at.int()));
    }
}

fn sysctls(spec: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for at in list.items() {
        let name = at.get("name");
        let texts = names::is_sysctl_name(name.str());
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if !texts.is_empty() {
            errors.each(&name, texts);
        } else if seen.contains(name.str()) {
            errors.duplicate(&name);
        }
        for flag in ["hostNetwork", "hostIPC"] {
            if spec.get(flag).bool() && namespace_of(name.str()) == flag {
                errors.invalid(&name, format!("may not be specified when '{flag}' is true"));
            }
        }
        seen.insert(name.str());
    }
}

/// With which of the host's namespaces a kernel parameter would be the host's own.
fn namespace_of(sysctl: &str) -> &'static str {
    const IPC: &[&str] = &["kernel.sem"];
    let name = sysctl.replace('/', ".");
    if name.starts_with("net.") {
        "hostNetwork"
    } else if IPC.contains(&name.as_str())
        || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|p| name.starts_with(p))
    {
        "hostIPC"
    } else {
        ""
    }
}

/// The options of a Windows container, or of all of a pod.
fn windows(at: &At<'_>, errors: &mut Errors) {
    let (name, content, user) =
        (at.opt("gmsaCredentialSpecName"), at.opt("gmsaCredentialSpec"), at.opt("runAsUserName"));
    if let Some(name) = name {
        errors.each(&name, names::is_dns1123_subdomain(name.str()));
    }
    if let Some(content) = content {
        if content.str().is_empty() {
            errors.invalid(&content, "gmsaCredentialSpec cannot be an empty string");
        } else if content.str().len() > 64 << 10 {
            errors.invalid(&content, "gmsaCredentialSpec size must be under 64 KiB");
        }
    }
    if let Some(user) = user {
        windows_user(&user, errors);
    }
}

/// `DOMAIN\user`, the domain being optional.
fn windows_user(at: &At<'_>, errors: &mut Errors) {
    let text = at.str();
    if text.is_empty() {
        errors.invalid(at, "runAsUserName cannot be an empty string");
        return;
    }
    if text.chars().any(char::is_control) {
        errors.invalid(at, "runAsUserName cannot contain control characters");
        return;
    }
    let parts: Vec<&str> = text.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => {
            errors.invalid(at, "runAsUserName cannot contain more than one backslash");
            return;
        }
    };
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            errors.invalid(at, "runAsUserName's Domain length must be under 256 characters");
        }
        if !is_net_bios_domain(domain) && !is_dns_domain(domain) {
            errors.invalid(at, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
        }
    }
    if user.is_empty() {
        errors.invalid(at, "runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        errors.invalid(at, "runAsUserName's User length must not be longer than 104 characters");
    }
    if user.chars().all(|c| c == '.' || c == ' ') && !user.is_empty() {
        errors.invalid(at, "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', '[', ']', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@']) {
        let why = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        errors.invalid(at, why);
    }
}

fn is_net_bios_domain(domain: &str) -> bool {
    let length = domain.chars().count();
    (1..=15).contains(&length)
        && !domain.starts_with('.')
        && !domain.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|'])
}

/// Labels of DNS in any case.
fn is_dns_domain(domain: &str) -> bool {
    domain.split('.').all(|label| names::is_dns1123_label(&label.to_lowercase()).is_empty())
}

/// The container's security context.
pub(crate) fn container(context: &At<'_>, host_users: bool, errors: &mut Errors) {
    if context.is_null() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        user_or_group(&context.get(field), errors);
    }
    if let Some(mount) = context.opt("procMount") {
        errors.one_of_if_set(&mount, &["Default", "Unmasked"]);
        if host_users && mount.str() == "Unmasked" {
            errors.invalid(&mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    seccomp(&context.get("seccompProfile"), errors);
    if context.opt("allowPrivilegeEscalation").is_some_and(|at| !at.bool()) {
        escalation(context, errors);
    }
    windows(&context.get("windowsOptions"), errors);
    app_armor(&context.get("appArmorProfile"), errors);
}

/// Who may not gain privileges has none either.
fn escalation(context: &At<'_>, errors: &mut Errors) {
    let added = context.get("capabilities").get("add");
    let all = added.strings().any(|capability| capability == "CAP_SYS_ADMIN");
    let flaws = [(context.get("privileged").bool(), "`privileged` to true"), (all, "`capabilities.Add` CAP_SYS_ADMIN")];
    for (_, what) in flaws.into_iter().filter(|(is, _)| *is) {
        let shown = types::by_name("io.k8s.api.core.v1.SecurityContext").map(|of| internal::line(of, context.value));
        let why = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
        errors.0.push(Error::invalid_text(&context.path, shown.unwrap_or_default(), why));
    }
}

fn seccomp(profile: &At<'_>, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.str() {
        "" => errors.required(&kind, "type is required when seccompProfile is set"),
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        _ => errors.unsupported(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
    if kind.str() == "Localhost" {
        if local.is_null() {
            errors.required(&local, "must be set when seccomp type is Localhost");
        } else {
            paths::descending_path(&local, errors);
        }
    } else if !local.is_null() {
        let shown = format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", json!(kind.str()), local.value);
        errors.0.push(Error::invalid_text(&local.path, shown, "can only be set when seccomp type is Localhost"));
    }
}

fn app_armor(profile: &At<'_>, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.str() {
        "Localhost" if local.is_null() => errors.required(&local, "must be set when AppArmor type is Localhost"),
        "Localhost" if local.str().trim() != local.str() => {
            errors.invalid(&local, "must not be padded with whitespace");
        }
        "Localhost" if local.str().is_empty() => errors.required(&local, "must be set when AppArmor type is Localhost"),
        "Localhost" if local.str().len() > 4095 => errors.0.push(Error::too_long(&local.path, 4095)),
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" => {
            if !local.is_null() {
                errors.invalid(&local, "can only be set when AppArmor type is Localhost");
            }
        }
        "" => errors.required(&kind, "type is required when appArmorProfile is set"),
        _ => errors.unsupported(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}
