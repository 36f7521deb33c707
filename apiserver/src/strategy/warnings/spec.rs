//! The spec of a pod, of its own or in a template.

use std::collections::{HashMap, HashSet};

use mainstay_api::field::go_quote;

use super::{address, labels, quantity, volumes};
use crate::strategy::validate::At;

/// Annotations that do nothing any more.
const DEAD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_TEXT: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
pub(super) const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
pub(super) const APP_ARMOR_TEXT: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
const NO_POD: &str = "a null labelSelector results in matching no pod";
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// All of it, in the order in which Kubernetes looks.
pub(super) fn spec(spec: &At<'_>, metadata: &At<'_>, template: bool, out: &mut Vec<String>) {
    nodes(spec, out);
    let annotations = metadata.get("annotations");
    for (key, text) in DEAD_ANNOTATIONS {
        out.extend(annotations.opt(key).map(|_| format!("{}: {text}", annotations.path.key(key))));
    }
    volumes::all(spec, out);
    lists(spec, out);
    for resource in ["memory", "ephemeral-storage"] {
        quantity(&spec.get("overhead"), resource, out);
    }
    if annotations.opt(SECCOMP).is_some() && spec.get("securityContext").opt("seccompProfile").is_none() {
        out.push(format!("{}: {SECCOMP_TEXT}", annotations.path.key(SECCOMP)));
    }
    for at in containers(spec) {
        old_annotations(&at, spec, &annotations, template, out);
        resources(&at, out);
        env(&at, out);
    }
    ports(spec, out);
    port_names(spec, out);
    let grace = spec.get("terminationGracePeriodSeconds");
    if grace.int() < 0 {
        out.push(format!("{}: must be >= 0; negative values are invalid and will be treated as 1", grace.path));
    }
    affinity_to_pods(spec, out);
    out.extend(spec.get("dnsConfig").get("nameservers").items().filter_map(|at| address::ip(&at)));
    out.extend(spec.get("hostAliases").items().filter_map(|at| address::ip(&at.get("ip"))));
}

fn containers<'a>(spec: &At<'a>) -> Vec<At<'a>> {
    CONTAINERS.iter().flat_map(|list| spec.get(list).items().collect::<Vec<_>>()).collect()
}

/// Which nodes: by labels that have other names now.
fn nodes(spec: &At<'_>, out: &mut Vec<String>) {
    for (key, at) in spec.get("nodeSelector").entries() {
        out.extend(labels::old(key).map(|text| format!("{}: {text}", at.path)));
    }
    let affinity = spec.get("affinity").get("nodeAffinity");
    let required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution");
    required.get("nodeSelectorTerms").items().for_each(|term| labels::term(&term, false, out));
    for preferred in affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
        labels::term(&preferred.get("preference"), true, out);
    }
    for at in spec.get("topologySpreadConstraints").items() {
        let key = at.get("topologyKey");
        out.extend(labels::old(key.str()).map(|text| format!("{}: {} is {text}", key.path, key.str())));
        no_selector(&at, out);
    }
}

fn no_selector(at: &At<'_>, out: &mut Vec<String>) {
    if at.opt("labelSelector").is_none() {
        out.push(format!("{}: {NO_POD}", at.path.child("labelSelector")));
    }
}

fn affinity_to_pods(spec: &At<'_>, out: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.get("affinity").get(kind);
        affinity.get("requiredDuringSchedulingIgnoredDuringExecution").items().for_each(|at| no_selector(&at, out));
        for at in affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
            no_selector(&at.get("podAffinityTerm"), out);
        }
    }
}

/// Lists of which the elements should differ.
fn lists(spec: &At<'_>, out: &mut Vec<String>) {
    let mut repeated = |list: &str, field: &str| {
        let mut seen = HashSet::new();
        for at in spec.get(list).items().map(|item| item.get(field)) {
            if !seen.insert(at.str()) {
                out.push(format!("{}: duplicate {field} {}", at.path, go_quote(at.str())));
            }
        }
    };
    repeated("hostAliases", "ip");
    repeated("imagePullSecrets", "name");
    for secret in spec.get("imagePullSecrets").items() {
        if secret.get("name").str().is_empty() {
            out.push(format!("{}: invalid empty name \"\"", secret.path.child("name")));
        }
    }
}

/// Annotations about a container that have become fields.
fn old_annotations(at: &At<'_>, spec: &At<'_>, annotations: &At<'_>, template: bool, out: &mut Vec<String>) {
    let (name, own, pods) = (at.get("name").str(), at.get("securityContext"), spec.get("securityContext"));
    let seccomp = format!("{SECCOMP_CONTAINER}{name}");
    if annotations.opt(&seccomp).is_some() && own.opt("seccompProfile").is_none() {
        out.push(format!("{}: {SECCOMP_TEXT}", annotations.path.key(&seccomp)));
    }
    let armor = format!("{APP_ARMOR}{name}");
    let has_field = [&own, &pods].iter().any(|context| context.opt("appArmorProfile").is_some());
    if template && annotations.opt(&armor).is_some() && !has_field {
        out.push(format!("{}: {APP_ARMOR_TEXT}", annotations.path.key(&armor)));
    }
}

fn resources(container: &At<'_>, out: &mut Vec<String>) {
    let resources = container.get("resources");
    for resource in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            quantity(&resources.get(list), resource, out);
        }
    }
}

/// A variable that is set again without a use of what it was.
fn env(container: &At<'_>, out: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for variable in container.get("env").items() {
        let (name, value) = (variable.get("name").str(), variable.get("value").str());
        let reference = format!("$({name})");
        let builds_on = value.contains(&reference) && value != reference && variable.opt("valueFrom").is_none();
        if !seen.insert(name) && !builds_on {
            out.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                variable.path,
                go_quote(name)
            ));
        }
    }
}

/// The same port more than once in the containers of a pod.
fn ports(spec: &At<'_>, out: &mut Vec<String>) {
    let mut seen: HashMap<(i64, &str), Vec<At<'_>>> = HashMap::new();
    for port in containers(spec).iter().flat_map(|at| at.get("ports").items().collect::<Vec<_>>()) {
        let (ip, host) = (port.get("hostIP").str(), port.get("hostPort").int());
        let (number, protocol) = (port.get("containerPort").int(), port.get("protocol").str());
        if !ip.is_empty() && host == 0 {
            let name = port.get("name").str();
            out.push(format!(
                "{}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{ip}}}",
                port.path
            ));
        }
        let others = seen.entry((number, protocol)).or_default();
        for other in others.iter() {
            let (other_ip, other_host) = (other.get("hostIP").str(), other.get("hostPort").int());
            let how = if (ip, host) == (other_ip, other_host) {
                "duplicate"
            } else if host == 0 || other_host == 0 {
                "overlapping"
            } else if host == other_host && ip.is_empty() != other_ip.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            out.push(format!("{}: {how} port definition with {}", port.path, other.path));
        }
        others.push(port);
    }
}

/// Of ports of one name in several containers only the first is found by it.
fn port_names(spec: &At<'_>, out: &mut Vec<String>) {
    let sidecars = spec.get("initContainers");
    let sidecars = sidecars.items().filter(|at| at.get("restartPolicy").str() == "Always");
    let mut seen: HashMap<&str, String> = HashMap::new();
    for port in sidecars.chain(spec.get("containers").items()).flat_map(|at| at.get("ports").items()) {
        let name = port.get("name").str();
        if name.is_empty() {
            continue;
        }
        if let Some(first) = seen.get(name) {
            out.push(format!(
                "{}: duplicate port name {} with {first}, services and probes that select ports by name will use {first}",
                port.path,
                go_quote(name)
            ));
        } else {
            seen.insert(name, port.path.to_string());
        }
    }
}
