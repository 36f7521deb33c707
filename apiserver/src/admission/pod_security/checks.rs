//! The controls, in the order of Kubernetes: those of the baseline by name, then those of the restricted level.

use crate::strategy::validate::At;

use super::policy::Level;

/// A control that a pod does not meet.
pub(crate) struct Violation {
    /// In two or three words.
    pub reason: String,
    /// Where and what.
    pub detail: String,
}

/// All of them in one text.
pub(crate) fn join(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|violation| format!("{} ({})", violation.reason, violation.detail))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The controls that a pod does not meet at a level.
pub(crate) fn violations(level: Level, metadata: &At<'_>, spec: &At<'_>) -> Vec<Violation> {
    let baseline: &[Check] = match level {
        Level::Privileged => return Vec::new(),
        Level::Baseline => &[
            app_armor,
            capabilities,
            host_namespaces,
            host_path,
            host_ports,
            probe_hosts,
            privileged,
            proc_mount,
            selinux,
            seccomp,
            sysctls,
            host_process,
        ],
        Level::Restricted => {
            &[app_armor, host_namespaces, host_ports, probe_hosts, privileged, selinux, sysctls, host_process]
        }
    };
    let restricted: &[Check] = match level {
        Level::Restricted => {
            &[escalation, capabilities_restricted, proc_mount, volume_types, non_root, root_user, seccomp_restricted]
        }
        _ => &[],
    };
    baseline.iter().chain(restricted).filter_map(|check| check(metadata, spec)).collect()
}

type Check = fn(&At<'_>, &At<'_>) -> Option<Violation>;

fn violation(reason: &str, detail: impl Into<String>) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail: detail.into() })
}

fn containers<'a>(spec: &At<'a>) -> Vec<At<'a>> {
    ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|list| spec.get(list).items()).collect()
}

/// `container "a"` or `containers "a", "b"` of those that match.
fn named(spec: &At<'_>, matches: impl Fn(&At<'_>) -> bool) -> Option<String> {
    let names: Vec<String> = containers(spec)
        .iter()
        .filter(|container| matches(container))
        .map(|container| format!("\"{}\"", container.get("name").str()))
        .collect();
    match names.len() {
        0 => None,
        1 => Some(format!("container {}", names[0])),
        _ => Some(format!("containers {}", names.join(", "))),
    }
}

fn quoted(values: &[&str]) -> String {
    let mut values: Vec<&str> = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(", ")
}

fn context<'a>(container: &At<'a>) -> At<'a> {
    container.get("securityContext")
}

fn is_windows(spec: &At<'_>) -> bool {
    spec.get("os").get("name").str() == "windows"
}

fn app_armor(metadata: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let bad = |at: &At<'_>| {
        !matches!(
            at.get("securityContext").get("appArmorProfile").get("type").str(),
            "" | "RuntimeDefault" | "Localhost"
        )
    };
    let mut parts = Vec::new();
    if bad(spec) {
        parts.push(format!(
            "pod must not set AppArmor profile type to \"{}\"",
            spec.get("securityContext").get("appArmorProfile").get("type").str()
        ));
    }
    if let Some(names) = named(spec, bad) {
        parts.push(format!("{names} must not set AppArmor profile type to \"Unconfined\""));
    }
    for (key, value) in metadata.get("annotations").entries() {
        let text = value.str();
        let fine = matches!(text, "" | "runtime/default") || text.starts_with("localhost/");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !fine {
            parts.push(format!("annotation must not set AppArmor profile type to \"{key}={text}\""));
        }
    }
    let reason = if parts.len() > 1 { "forbidden AppArmor profiles" } else { "forbidden AppArmor profile" };
    if parts.is_empty() { None } else { violation(reason, parts.join("; ")) }
}

fn capabilities(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    const FINE: &[&str] = &[
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let bad = |container: &At<'_>| -> Vec<String> {
        let added = context(container).get("capabilities").get("add");
        added.strings().filter(|name| !FINE.contains(name)).map(str::to_owned).collect()
    };
    let names = named(spec, |container| !bad(container).is_empty())?;
    let all: Vec<String> = containers(spec).iter().flat_map(bad).collect();
    let all = quoted(&all.iter().map(String::as_str).collect::<Vec<_>>());
    violation("non-default capabilities", format!("{names} must not include {all} in securityContext.capabilities.add"))
}

fn host_namespaces(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| spec.get(field).bool())
        .map(|field| format!("{field}=true"))
        .collect();
    if set.is_empty() { None } else { violation("host namespaces", set.join(", ")) }
}

fn host_path(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let names: Vec<String> = spec
        .get("volumes")
        .items()
        .filter(|volume| volume.opt("hostPath").is_some())
        .map(|volume| format!("\"{}\"", volume.get("name").str()))
        .collect();
    match names.len() {
        0 => None,
        1 => violation("hostPath volumes", format!("volume {}", names[0])),
        _ => violation("hostPath volumes", format!("volumes {}", names.join(", "))),
    }
}

fn host_ports(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let ports = |container: &At<'_>| -> Vec<i64> {
        container.get("ports").items().map(|port| port.get("hostPort").int()).filter(|port| *port != 0).collect()
    };
    let names = named(spec, |container| !ports(container).is_empty())?;
    let mut all: Vec<i64> = containers(spec).iter().flat_map(ports).collect();
    all.sort_unstable();
    all.dedup();
    let (verb, word) = (
        if names.starts_with("containers") { "use" } else { "uses" },
        if all.len() > 1 { "hostPorts" } else { "hostPort" },
    );
    let list = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    violation("hostPort", format!("{names} {verb} {word} {list}"))
}

fn probe_hosts(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let bad = |container: &At<'_>| {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| container.get(probe));
        let hooks = ["postStart", "preStop"].map(|hook| container.get("lifecycle").get(hook));
        probes
            .iter()
            .chain(&hooks)
            .any(|at| ["httpGet", "tcpSocket"].iter().any(|kind| !at.get(kind).get("host").str().is_empty()))
    };
    let names = named(spec, bad)?;
    violation("probe or lifecycle host", format!("{names} must not set host in probes or lifecycle hooks"))
}

fn privileged(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let names = named(spec, |container| context(container).get("privileged").bool())?;
    violation("privileged", format!("{names} must not set securityContext.privileged=true"))
}

fn proc_mount(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    if spec.opt("hostUsers").is_some_and(|at| !at.bool()) {
        return None;
    }
    let names = named(spec, |container| !matches!(context(container).get("procMount").str(), "" | "Default"))?;
    violation("procMount", format!("{names} must not set securityContext.procMount to \"Unmasked\""))
}

fn selinux(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    const TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let options = |at: &At<'_>| at.get("securityContext").get("seLinuxOptions").value.clone();
    let bad = |at: &At<'_>| {
        let options = options(at);
        let text = |field: &str| options.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        !TYPES.contains(&text("type").as_str()) || !text("user").is_empty() || !text("role").is_empty()
    };
    let mut who = Vec::new();
    if bad(spec) {
        who.push("pod".to_owned());
    }
    who.extend(named(spec, bad));
    if who.is_empty() {
        None
    } else {
        violation("seLinuxOptions", format!("{} set forbidden securityContext.seLinuxOptions", who.join(" and ")))
    }
}

fn profile<'a>(at: &At<'a>) -> &'a str {
    at.get("securityContext").get("seccompProfile").get("type").str()
}

fn seccomp(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let bad = |at: &At<'_>| profile(at) == "Unconfined";
    let mut who = Vec::new();
    if bad(spec) {
        who.push("pod".to_owned());
    }
    who.extend(named(spec, bad));
    if who.is_empty() {
        None
    } else {
        violation(
            "seccompProfile",
            format!("{} must not set securityContext.seccompProfile.type to \"Unconfined\"", who.join(" and ")),
        )
    }
}

fn sysctls(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    const FINE: &[&str] = &[
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ];
    let list = spec.get("securityContext").get("sysctls");
    let bad: Vec<&str> =
        list.items().map(|sysctl| sysctl.get("name").str()).filter(|name| !FINE.contains(name)).collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

fn host_process(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    let bad = |at: &At<'_>| at.get("securityContext").get("windowsOptions").get("hostProcess").bool();
    let mut who = Vec::new();
    if bad(spec) {
        who.push("pod".to_owned());
    }
    who.extend(named(spec, bad));
    if who.is_empty() {
        None
    } else {
        violation(
            "hostProcess",
            format!("{} must not set securityContext.windowsOptions.hostProcess=true", who.join(" and ")),
        )
    }
}

fn escalation(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    if is_windows(spec) {
        return None;
    }
    let bad = |container: &At<'_>| context(container).opt("allowPrivilegeEscalation").is_none_or(|at| at.bool());
    let names = named(spec, bad)?;
    violation(
        "allowPrivilegeEscalation != false",
        format!("{names} must set securityContext.allowPrivilegeEscalation=false"),
    )
}

fn capabilities_restricted(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    if is_windows(spec) {
        return None;
    }
    let mut parts = Vec::new();
    let keeps =
        |container: &At<'_>| !context(container).get("capabilities").get("drop").strings().any(|name| name == "ALL");
    if let Some(names) = named(spec, keeps) {
        parts.push(format!("{names} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    let added = |container: &At<'_>| -> Vec<String> {
        let added = context(container).get("capabilities").get("add");
        added.strings().filter(|name| *name != "NET_BIND_SERVICE").map(str::to_owned).collect()
    };
    if let Some(names) = named(spec, |container| !added(container).is_empty()) {
        let all: Vec<String> = containers(spec).iter().flat_map(added).collect();
        let all = quoted(&all.iter().map(String::as_str).collect::<Vec<_>>());
        parts.push(format!("{names} must not include {all} in securityContext.capabilities.add"));
    }
    if parts.is_empty() { None } else { violation("unrestricted capabilities", parts.join("; ")) }
}

fn volume_types(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
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
    for volume in spec.get("volumes").items() {
        let kind = volume
            .map()
            .iter()
            .find(|(field, value)| *field != "name" && !value.is_null())
            .map(|(field, _)| field.as_str());
        if let Some(kind) = kind.filter(|kind| !FINE.contains(kind)) {
            names.push(format!("\"{}\"", volume.get("name").str()));
            kinds.push(kind);
        }
    }
    if names.is_empty() {
        return None;
    }
    let (word, verb) = if names.len() == 1 { ("volume", "uses") } else { ("volumes", "use") };
    let types = quoted(&kinds);
    let kind_word = if types.contains(", ") { "volume types" } else { "volume type" };
    violation("restricted volume types", format!("{word} {} {verb} restricted {kind_word} {types}", names.join(", ")))
}

fn unprivileged_users(spec: &At<'_>) -> bool {
    spec.opt("hostUsers").is_some_and(|at| !at.bool())
}

fn non_root(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    if unprivileged_users(spec) {
        return None;
    }
    let pod = spec.get("securityContext").opt("runAsNonRoot").map(|at| at.bool());
    let explicit = |container: &At<'_>| context(container).opt("runAsNonRoot").is_some_and(|at| !at.bool());
    let unset = |container: &At<'_>| context(container).opt("runAsNonRoot").is_none();
    let mut parts = Vec::new();
    if pod == Some(false) {
        parts.push("pod".to_owned());
    }
    parts.extend(named(spec, explicit));
    if !parts.is_empty() {
        return violation(
            "runAsNonRoot != true",
            format!("{} must not set securityContext.runAsNonRoot=false", parts.join(" and ")),
        );
    }
    if pod == Some(true) {
        return None;
    }
    let names = named(spec, unset)?;
    violation("runAsNonRoot != true", format!("pod or {names} must set securityContext.runAsNonRoot=true"))
}

fn root_user(_: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    if unprivileged_users(spec) {
        return None;
    }
    let bad = |at: &At<'_>| at.get("securityContext").opt("runAsUser").is_some_and(|user| user.int() == 0);
    let mut who = Vec::new();
    if bad(spec) {
        who.push("pod".to_owned());
    }
    who.extend(named(spec, bad));
    if who.is_empty() {
        None
    } else {
        violation("runAsUser=0", format!("{} must not set runAsUser=0", who.join(" and ")))
    }
}

fn seccomp_restricted(metadata: &At<'_>, spec: &At<'_>) -> Option<Violation> {
    if is_windows(spec) {
        return None;
    }
    let fine = |at: &At<'_>| matches!(profile(at), "RuntimeDefault" | "Localhost");
    if let Some(found) = seccomp(metadata, spec) {
        return Some(found);
    }
    if fine(spec) {
        return None;
    }
    let names = named(spec, |container| !fine(container))?;
    violation(
        "seccompProfile",
        format!("pod or {names} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""),
    )
}
