//! Texts for Warning headers about pods and their templates.

use std::collections::{HashMap, HashSet};

use mainstay_api::{meta, names};
use serde_json::Value;

use super::validate::At;

/// Warnings of a pod.
pub(crate) fn pod(new: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some_and(|old| old.get("spec") == new.get("spec")) {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    if old.is_none() {
        let texts = names::is_dns1123_label(meta::name(new));
        if !texts.is_empty() && !meta::name(new).is_empty() {
            warnings.push(format!("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]", texts.join(" ")));
        }
    }
    spec(&At::spec(new), &At::root(new).get("metadata"), &mut warnings);
    warnings
}

/// Warnings of the template at `path`, and of a name that becomes part of the pods' names.
pub(crate) fn template(path: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    let pointer = format!("/{}", path.replace('.', "/"));
    if old.is_some_and(|old| old.pointer(&pointer) == new.pointer(&pointer)) {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    if old.is_none() && path != "template" {
        warnings.extend(pod_name_part(meta::name(new)));
    }
    let mut at = At::root(new);
    for step in path.split('.') {
        at = at.get(step);
    }
    spec(&at.get("spec"), &at.get("metadata"), &mut warnings);
    warnings
}

/// Warnings of a StatefulSet.
pub(crate) fn stateful_set(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = template("spec.template", new, old);
    let limit = At::spec(new).get("revisionHistoryLimit");
    if limit.int() < 0 {
        warnings.push(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
                .to_owned(),
        );
    }
    warnings
}

fn pod_name_part(name: &str) -> Option<String> {
    let texts = names::is_dns1123_label(name);
    (!texts.is_empty()).then(|| format!("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]", texts.join(" ")))
}

/// Volumes that do nothing any more, by field.
const DEAD_VOLUMES: &[(&str, &str)] = &[
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Node labels that have other names now.
const OLD_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

fn spec(spec: &At<'_>, metadata: &At<'_>, out: &mut Vec<String>) {
    for (key, at) in spec.get("nodeSelector").entries() {
        if let Some((_, text)) = OLD_LABELS.iter().find(|(old, _)| *old == key) {
            out.push(format!("{}: {text}", at.path));
        }
    }
    annotations(metadata, out);
    volumes(spec, out);
    for (index, secret) in spec.get("imagePullSecrets").items().enumerate() {
        if secret.get("name").str().is_empty() {
            out.push(format!(
                "{}: invalid empty name \"\"",
                spec.path.child("imagePullSecrets").index(index).child("name")
            ));
        }
    }
    for list in ["initContainers", "containers"] {
        spec.get(list).items().for_each(|container| self::container(&container, out));
    }
    ports(spec, out);
}

fn annotations(metadata: &At<'_>, out: &mut Vec<String>) {
    let path = metadata.path.child("annotations");
    for key in metadata.get("annotations").map().keys() {
        let of_pod = key == "seccomp.security.alpha.kubernetes.io/pod";
        if of_pod || key.starts_with("container.seccomp.security.alpha.kubernetes.io/") {
            out.push(format!("{}: non-functional in v1.27+; use the \"seccompProfile\" field instead", path.key(key)));
        }
    }
}

fn volumes(spec: &At<'_>, out: &mut Vec<String>) {
    for volume in spec.get("volumes").items() {
        for (field, text) in DEAD_VOLUMES {
            if let Some(source) = volume.opt(field) {
                out.push(format!("{}: {text}", source.path));
            }
        }
        if let Some(projected) = volume.opt("projected")
            && projected.get("sources").items().all(|source| source.is_empty())
        {
            out.push(format!("volume \"{}\" (Projected) has no sources provided", volume.get("name").str()));
        }
    }
}

fn container(container: &At<'_>, out: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for (name, at) in container.get("resources").get(list).entries() {
            // Kubernetes counts thousandths in 64 bits, in which amounts beyond them look broken as well.
            let fractional = matches!(name, "memory" | "ephemeral-storage")
                && (!at.quantity().is_integer() || !at.quantity().fits_i64());
            if fractional {
                out.push(format!(
                    "{}: fractional byte value \"{}\" is invalid, must be an integer",
                    at.path,
                    at.quantity()
                ));
            }
        }
    }
    let mut seen = HashSet::new();
    for variable in container.get("env").items() {
        let name = variable.get("name").str();
        if !seen.insert(name) && !variable.get("value").str().contains(&format!("$({name})")) {
            out.push(format!(
                "{}: hides previous definition of \"{name}\", which may be dropped when using apply",
                variable.path
            ));
        }
    }
}

/// The same port twice in the containers of a pod.
fn ports(spec: &At<'_>, out: &mut Vec<String>) {
    for container in spec.get("containers").items() {
        let mut seen: HashMap<(i64, &str, i64, &str), String> = HashMap::new();
        for port in container.get("ports").items() {
            let key = (
                port.get("containerPort").int(),
                port.get("protocol").str(),
                port.get("hostPort").int(),
                port.get("hostIP").str(),
            );
            if let Some(first) = seen.get(&key) {
                out.push(format!("{}: duplicate port definition with {first}", port.path));
            } else {
                seen.insert(key, port.path.to_string());
            }
        }
    }
}
