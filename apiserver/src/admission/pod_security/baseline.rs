//! The controls of the baseline.

use mainstay_api::field::go_quote;

use super::subject::{Pod, Violation, context, has_own_users, named, plural, quoted, set, setters, violation, who};
use super::{SECCOMP, SECCOMP_CONTAINER};
use crate::strategy::validate::{At, containers};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The pod with its containers.
fn all<'a>(spec: &At<'a>) -> impl Iterator<Item = At<'a>> + use<'a> {
    std::iter::once(spec.clone()).chain(containers::every(spec))
}

pub(super) fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let kind =
        |at: &At<'_>| context(at).get("appArmorProfile").get("type").value.as_str().unwrap_or_default().to_owned();
    let bad = |at: &At<'_>| !matches!(kind(at).as_str(), "" | "RuntimeDefault" | "Localhost");
    let mut setters = setters(&pod.spec, bad);
    let mut values = set(all(&pod.spec).filter(bad).map(|at| kind(&at)));
    let fine = |value: &str| matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
    let annotations = set(pod
        .metadata
        .get("annotations")
        .entries()
        .filter(|(key, value)| key.starts_with(APP_ARMOR) && !fine(value.str()))
        .map(|(key, value)| format!("{key}={}", go_quote(value.str()))));
    if !annotations.is_empty() {
        setters.push(plural("annotation", "annotations", annotations.len()).to_owned());
        values.extend(annotations);
    }
    if setters.is_empty() {
        return None;
    }
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len());
    violation(reason, format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(&values)))
}

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
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
    added(pod, FINE).and_then(|detail| violation("non-default capabilities", detail))
}

/// Which containers add other capabilities than these.
pub(super) fn added(pod: &Pod<'_>, fine: &[&str]) -> Option<String> {
    let bad = |container: &At<'_>| -> Vec<String> {
        let added = context(container).get("capabilities").get("add");
        added.strings().filter(|name| !fine.contains(name)).map(str::to_owned).collect()
    };
    let names = named(&pod.spec, |container| !bad(container).is_empty())?;
    let all = set(containers::every(&pod.spec).flat_map(|container| bad(&container)));
    Some(format!("{names} must not include {} in securityContext.capabilities.add", quoted(&all)))
}

pub(super) fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let fields = ["hostNetwork", "hostPID", "hostIPC"];
    let own: Vec<String> =
        fields.iter().filter(|field| pod.spec.get(field).bool()).map(|field| format!("{field}=true")).collect();
    if own.is_empty() { None } else { violation("host namespaces", own.join(", ")) }
}

pub(super) fn host_path(pod: &Pod<'_>) -> Option<Violation> {
    let volumes = pod.spec.get("volumes");
    let bad = volumes.items().filter(|volume| volume.opt("hostPath").is_some());
    let names: Vec<&str> = bad.map(|volume| volume.get("name").str()).collect();
    if names.is_empty() {
        return None;
    }
    violation("hostPath volumes", format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names)))
}

pub(super) fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let ports = |container: &At<'_>| -> Vec<i64> {
        container.get("ports").items().map(|port| port.get("hostPort").int()).filter(|port| *port != 0).collect()
    };
    let bad = |container: &At<'_>| !ports(container).is_empty();
    let names = named(&pod.spec, bad)?;
    let verb = plural("uses", "use", containers::every(&pod.spec).filter(bad).count());
    // They are sorted as texts.
    let all = set(containers::every(&pod.spec).flat_map(|container| ports(&container)).map(|port| port.to_string()));
    let word = plural("hostPort", "hostPorts", all.len());
    violation("hostPort", format!("{names} {verb} {word} {}", all.join(", ")))
}

pub(super) fn probe_hosts(pod: &Pod<'_>) -> Option<Violation> {
    let hosts = |container: &At<'_>| -> Vec<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| container.get(probe));
        let hooks = ["postStart", "preStop"].map(|hook| container.get("lifecycle").get(hook));
        let actions = probes.iter().chain(&hooks).flat_map(|at| ["httpGet", "tcpSocket"].map(|kind| at.get(kind)));
        actions.map(|at| at.get("host").str().to_owned()).filter(|host| !host.is_empty()).collect()
    };
    let bad = containers::every(&pod.spec).filter(|container| !hosts(container).is_empty());
    let names = set(bad.map(|container| container.get("name").str()));
    if names.is_empty() {
        return None;
    }
    let all = set(containers::every(&pod.spec).flat_map(|container| hosts(&container)));
    let who = format!("{} {}", plural("container", "containers", names.len()), quoted(&names));
    let what = plural("probe or lifecycle host", "probe or lifecycle hosts", all.len());
    let detail = format!("{who} {} {what} {}", plural("uses", "use", names.len()), quoted(&all));
    violation("probe or lifecycle host", detail)
}

pub(super) fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let names = named(&pod.spec, |container| context(container).get("privileged").bool())?;
    violation("privileged", format!("{names} must not set securityContext.privileged=true"))
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    if has_own_users(pod) { None } else { any_proc_mount(pod) }
}

/// Another view of `/proc` than the usual one.
pub(super) fn any_proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let kind = |container: &At<'_>| context(container).get("procMount").str().to_owned();
    let bad = |container: &At<'_>| !matches!(kind(container).as_str(), "" | "Default");
    let names = named(&pod.spec, bad)?;
    let kinds = set(containers::every(&pod.spec).filter(bad).map(|container| kind(&container)));
    violation("procMount", format!("{names} must not set securityContext.procMount to {}", quoted(&kinds)))
}

pub(super) fn selinux(pod: &Pod<'_>) -> Option<Violation> {
    const TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let types = if pod.version >= 31 { TYPES } else { &TYPES[..4] };
    let text = |at: &At<'_>, field: &str| context(at).get("seLinuxOptions").get(field).str().to_owned();
    let odd = |at: &At<'_>| !types.contains(&text(at, "type").as_str());
    let set_by = |field: &str| all(&pod.spec).any(|at| !text(&at, field).is_empty());
    let who = who(&pod.spec, |at| odd(at) || !text(at, "user").is_empty() || !text(at, "role").is_empty())?;
    let mut data = Vec::new();
    let bad = set(all(&pod.spec).filter(odd).map(|at| text(&at, "type")));
    if !bad.is_empty() {
        data.push(format!("{} {}", plural("type", "types", bad.len()), quoted(&bad)));
    }
    data.extend(
        ["user", "role"].into_iter().filter(|field| set_by(field)).map(|field| format!("{field} may not be set")),
    );
    violation("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {}", data.join("; ")))
}

pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version < 19 { seccomp_annotations(pod) } else { seccomp_fields(pod) }
}

/// The type of the profile of a pod or container.
pub(super) fn seccomp_type(at: &At<'_>) -> String {
    context(at).get("seccompProfile").get("type").str().to_owned()
}

/// Profiles that are said and not good.
pub(super) fn seccomp_fields(pod: &Pod<'_>) -> Option<Violation> {
    let bad = |at: &At<'_>| !matches!(seccomp_type(at).as_str(), "" | "RuntimeDefault" | "Localhost");
    let who = who(&pod.spec, bad)?;
    let kinds = set(all(&pod.spec).filter(bad).map(|at| seccomp_type(&at)));
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds));
    violation("seccompProfile", detail)
}

fn seccomp_annotations(pod: &Pod<'_>) -> Option<Violation> {
    let fine = |value: &str| matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
    let keys =
        containers::every(&pod.spec).map(|container| format!("{SECCOMP_CONTAINER}{}", container.get("name").str()));
    let annotations = pod.metadata.get("annotations");
    let bad = set(std::iter::once(SECCOMP.to_owned()).chain(keys).filter_map(|key| {
        let value = annotations.opt(&key)?;
        (!fine(value.str())).then(|| format!("{key}={}", go_quote(value.str())))
    }));
    if bad.is_empty() {
        return None;
    }
    let word = plural("annotation", "annotations", bad.len());
    violation("seccompProfile", format!("forbidden {word} {}", bad.join(", ")))
}

pub(super) fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    const FINE: &[(&str, u32)] = &[
        ("kernel.shm_rmid_forced", 0),
        ("net.ipv4.ip_local_port_range", 0),
        ("net.ipv4.tcp_syncookies", 0),
        ("net.ipv4.ping_group_range", 0),
        ("net.ipv4.ip_unprivileged_port_start", 0),
        ("net.ipv4.ip_local_reserved_ports", 27),
        ("net.ipv4.tcp_keepalive_time", 29),
        ("net.ipv4.tcp_fin_timeout", 29),
        ("net.ipv4.tcp_keepalive_intvl", 29),
        ("net.ipv4.tcp_keepalive_probes", 29),
        ("net.ipv4.tcp_rmem", 32),
        ("net.ipv4.tcp_wmem", 32),
    ];
    let fine = |name: &str| FINE.iter().any(|(known, since)| *known == name && *since <= pod.version);
    let list = context(&pod.spec).get("sysctls");
    let bad: Vec<&str> = list.items().map(|sysctl| sysctl.get("name").str()).filter(|name| !fine(name)).collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

pub(super) fn host_process(pod: &Pod<'_>) -> Option<Violation> {
    let who = who(&pod.spec, |at| context(at).get("windowsOptions").get("hostProcess").bool())?;
    violation("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}
