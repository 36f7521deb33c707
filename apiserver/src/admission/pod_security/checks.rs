//! The controls, in the order of Kubernetes: those of the baseline by name, then those of the restricted level.

use super::policy::Level;
use super::subject::{Pod, Violation};
use super::{baseline, restricted};

/// What a control asks.
pub(super) type Check = fn(&Pod<'_>) -> Option<Violation>;

/// The controls of the baseline: since which version, and since which another of the restricted level stands for it.
const BASELINE: &[(Check, u32, u32)] = &[
    (baseline::app_armor, 0, u32::MAX),
    (baseline::capabilities, 0, 22),
    (baseline::host_namespaces, 0, u32::MAX),
    (baseline::host_path, 0, 0),
    (baseline::host_ports, 0, u32::MAX),
    (baseline::probe_hosts, 34, u32::MAX),
    (baseline::privileged, 0, u32::MAX),
    (baseline::proc_mount, 0, 35),
    (baseline::selinux, 0, u32::MAX),
    (baseline::seccomp, 0, 19),
    (baseline::sysctls, 0, u32::MAX),
    (baseline::host_process, 0, u32::MAX),
];
/// The controls that the restricted level adds, and since when.
const RESTRICTED: &[(Check, u32)] = &[
    (restricted::escalation, 8),
    (restricted::capabilities, 22),
    (restricted::proc_mount, 35),
    (restricted::volume_types, 0),
    (restricted::non_root, 0),
    (restricted::root_user, 23),
    (restricted::seccomp, 19),
];

/// The controls that a pod does not meet at a level.
pub(crate) fn violations(level: Level, pod: &Pod<'_>) -> Vec<Violation> {
    if level == Level::Privileged {
        return Vec::new();
    }
    let is_restricted = level == Level::Restricted;
    let baseline = BASELINE
        .iter()
        // The latest version is newer than any.
        .filter(|(_, since, until)| {
            *since <= pod.version && !(is_restricted && *until != u32::MAX && *until <= pod.version)
        })
        .map(|(check, ..)| check);
    let restricted =
        RESTRICTED.iter().filter(|(_, since)| is_restricted && *since <= pod.version).map(|(check, _)| check);
    baseline.chain(restricted).filter_map(|check| check(pod)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::subject::join;
    use super::*;
    use crate::strategy::validate::At;

    fn judge(level: Level, version: u32, spec: &Value, annotations: &Value) -> String {
        let metadata = json!({"annotations": annotations});
        join(&violations(level, &Pod { metadata: At::root(&metadata), spec: At::root(spec), version }))
    }

    #[test]
    fn the_texts_are_those_of_kubernetes() {
        let baseline = |spec: Value| judge(Level::Baseline, u32::MAX, &spec, &json!({}));
        let selinux = json!({"type": "x_t", "user": "u", "role": "r"});
        assert_eq!(
            baseline(json!({"securityContext": {"seLinuxOptions": selinux}})),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"x_t\"; user may not be set; role may not be set)"
        );
        let port = |number: u16| json!({"ports": [{"hostPort": number}], "name": "c"});
        assert_eq!(
            baseline(json!({"containers": [port(8080), port(443)]})),
            "hostPort (containers \"c\", \"c\" use hostPorts 443, 8080)"
        );
        let probe = json!({"name": "c", "livenessProbe": {"tcpSocket": {"host": "127.0.0.1"}}});
        assert_eq!(
            baseline(json!({"containers": [probe]})),
            "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"127.0.0.1\")"
        );
        let context = json!({"appArmorProfile": {"type": "Unconfined"}});
        let annotation = json!({"container.apparmor.security.beta.kubernetes.io/c": "unconfined"});
        assert_eq!(
            judge(Level::Baseline, u32::MAX, &json!({"securityContext": context}), &annotation),
            "forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to \"Unconfined\", \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")"
        );
    }

    #[test]
    fn an_old_version_asks_less() {
        let spec = json!({"containers": [{"name": "c", "securityContext": {"runAsUser": 0, "runAsNonRoot": true}}]});
        let reasons = |version| judge(Level::Restricted, version, &spec, &json!({}));
        assert_eq!(reasons(7), "");
        assert!(reasons(20).starts_with("allowPrivilegeEscalation != false"), "{}", reasons(20));
        assert!(!reasons(20).contains("capabilities"), "{}", reasons(20));
        assert!(reasons(23).contains("runAsUser=0"), "{}", reasons(23));
    }
}
