//! Security contexts.

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::{Value, json};

use super::{At, Errors, volumes};

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
        errors.invalid(&spec.get("shareProcessNamespace"), "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    errors.one_of_if_set(&context.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    errors.one_of_if_set(&context.get("supplementalGroupsPolicy"), &["Merge", "Strict"]);
    seccomp(&context.get("seccompProfile"), errors);
    app_armor(&context.get("appArmorProfile"), errors);
    sysctls(spec, &context.get("sysctls"), errors);
}

fn user_or_group(at: &At<'_>, errors: &mut Errors) {
    if !at.is_null() {
        errors.each(at, names::is_user_id(at.int()));
    }
}

fn sysctls(spec: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    errors.unique(list, "name");
    for at in list.items() {
        let name = at.get("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if name.str().starts_with("net.") && spec.get("hostNetwork").bool() {
            errors.invalid(&name, "may not be specified when 'hostNetwork' is true");
        }
    }
}

/// The container's security context.
pub(crate) fn container(context: &At<'_>, errors: &mut Errors) {
    if context.is_null() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        user_or_group(&context.get(field), errors);
    }
    if let Some(proc_mount) = context.opt("procMount") {
        errors.one_of_if_set(&proc_mount, &["Default", "Unmasked"]);
    }
    seccomp(&context.get("seccompProfile"), errors);
    if context.opt("allowPrivilegeEscalation").is_some_and(|at| !at.bool()) {
        escalation(context, errors);
    }
    app_armor(&context.get("appArmorProfile"), errors);
}

fn escalation(context: &At<'_>, errors: &mut Errors) {
    let shown = Value::from(false);
    let at = At::new(&shown, context.path.clone());
    if context.get("privileged").bool() {
        invalid_context(
            &at,
            context,
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            errors,
        );
    }
    let added = context.get("capabilities").get("add");
    if added.strings().any(|capability| capability == "CAP_SYS_ADMIN") {
        invalid_context(
            &at,
            context,
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            errors,
        );
    }
}

fn invalid_context(_at: &At<'_>, context: &At<'_>, detail: &str, errors: &mut Errors) {
    errors.0.push(Error::invalid_text(&context.path, context_text(context), detail));
}

/// A security context as Kubernetes prints its internal form.
fn context_text(context: &At<'_>) -> String {
    const FIELDS: &[(&str, &str)] = &[
        ("capabilities", "Capabilities"),
        ("privileged", "Privileged"),
        ("seLinuxOptions", "SELinuxOptions"),
        ("windowsOptions", "WindowsOptions"),
        ("runAsUser", "RunAsUser"),
        ("runAsGroup", "RunAsGroup"),
        ("runAsNonRoot", "RunAsNonRoot"),
        ("readOnlyRootFilesystem", "ReadOnlyRootFilesystem"),
        ("allowPrivilegeEscalation", "AllowPrivilegeEscalation"),
        ("procMount", "ProcMount"),
        ("seccompProfile", "SeccompProfile"),
        ("appArmorProfile", "AppArmorProfile"),
    ];
    let fields: Vec<String> =
        FIELDS.iter().map(|(name, shown)| format!("\"{shown}\":{}", context_field(name, &context.get(name)))).collect();
    format!("{{{}}}", fields.join(","))
}

fn context_field(name: &str, at: &At<'_>) -> String {
    if name == "capabilities" && !at.is_null() {
        return format!("{{\"Add\":{},\"Drop\":{}}}", at.get("add").value, at.get("drop").value);
    }
    at.value.to_string()
}

fn seccomp(profile: &At<'_>, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    if kind.str() == "Localhost" {
        if local.is_null() {
            errors.required(&local, "must be set when seccomp type is Localhost");
        } else {
            volumes::local_path(&local, errors);
        }
    } else if !local.is_null() {
        let shown = format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", json!(kind.str()), local.value);
        errors.0.push(Error::invalid_text(&local.path, shown, "can only be set when seccomp type is Localhost"));
    }
    match kind.str() {
        "" => errors.required(&kind, "type is required when seccompProfile is set"),
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        _ => errors.unsupported(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
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
