//! Pod specs, in pods and in every template.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::image;
use super::path::{each, has, set, text};
use super::rules::Rules;

const SPEC: &str = "
dnsPolicy=ClusterFirst
restartPolicy=Always
securityContext={}
terminationGracePeriodSeconds=30
schedulerName=default-scheduler
volumes[].hostPath.type=\"\"
volumes[].secret.defaultMode=420
volumes[].configMap.defaultMode=420
volumes[].downwardAPI.defaultMode=420
volumes[].projected.defaultMode=420
volumes[].downwardAPI.items[].fieldRef.apiVersion=v1
volumes[].projected.sources[].downwardAPI.items[].fieldRef.apiVersion=v1
volumes[].projected.sources[].serviceAccountToken.expirationSeconds=3600
volumes[].iscsi.iscsiInterface=default
volumes[].rbd.pool=rbd
volumes[].rbd.user=admin
volumes[].rbd.keyring=/etc/ceph/keyring
volumes[].azureDisk.cachingMode=ReadWrite
volumes[].azureDisk.fsType=ext4
volumes[].azureDisk.readOnly=false
volumes[].azureDisk.kind=Shared
volumes[].scaleIO.storageMode=ThinProvisioned
volumes[].scaleIO.fsType=xfs
volumes[].ephemeral.volumeClaimTemplate.spec.volumeMode=Filesystem
";

const CONTAINER: &str = "
terminationMessagePath=/dev/termination-log
terminationMessagePolicy=File
ports[].protocol=TCP
env[].valueFrom.fieldRef.apiVersion=v1
env[].valueFrom.fileKeyRef.optional=false
lifecycle.postStart.httpGet.path=/
lifecycle.postStart.httpGet.scheme=HTTP
lifecycle.preStop.httpGet.path=/
lifecycle.preStop.httpGet.scheme=HTTP
";

const PROBE: &str = "
timeoutSeconds~=1
periodSeconds~=10
successThreshold~=1
failureThreshold~=3
httpGet.path=/
httpGet.scheme=HTTP
grpc.service=\"\"
";

/// The three lists of containers.
pub(super) const CONTAINERS: [&str; 3] = ["containers[]", "initContainers[]", "ephemeralContainers[]"];

/// Where a kind keeps pod specs.
pub(super) fn specs(group: &str, kind: &str) -> &'static [&'static str] {
    match (group, kind) {
        ("", "Pod") => &["spec"],
        ("", "PodTemplate") => &["template.spec"],
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => &["spec.template.spec"],
        ("batch", "CronJob") => &["spec.jobTemplate.spec.template.spec"],
        _ => &[],
    }
}

/// What the pod spec of a place belongs to, a pod or a template.
pub(super) fn holder(place: &str) -> &str {
    place.strip_suffix("spec").unwrap_or(place).trim_end_matches('.')
}

/// Old clients said in annotations what are fields since long; Kubernetes reads and shows them no more.
pub(super) fn forget_annotations(holder: &mut Value) {
    const FORGOTTEN: [&str; 4] = [
        "pod.alpha.kubernetes.io/init-containers",
        "pod.alpha.kubernetes.io/init-container-statuses",
        "pod.beta.kubernetes.io/init-containers",
        "pod.beta.kubernetes.io/init-container-statuses",
    ];
    let Some(metadata) = holder.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|name, _| !FORGOTTEN.contains(&name.as_str()));
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

/// Defaults of one pod spec.
pub(super) fn apply(spec: &mut Value) {
    static RULES: LazyLock<[Rules; 3]> =
        LazyLock::new(|| [Rules::parse(SPEC), Rules::parse(CONTAINER), Rules::parse(PROBE)]);
    let [spec_rules, container_rules, probe_rules] = &*RULES;
    each(spec, "volumes[]", &mut volume);
    spec_rules.apply(spec);
    for place in CONTAINERS {
        each(spec, place, &mut |container| {
            let image = text(container, "image").to_owned();
            set(container, "imagePullPolicy", image::pull_policy(&image));
            container_rules.apply(container);
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                each(container, probe, &mut |probe| probe_rules.apply(probe));
            }
        });
    }
    service_account(spec);
}

fn volume(volume: &mut Value) {
    let sourceless = volume.as_object().is_some_and(|v| v.keys().all(|k| k == "name"));
    if sourceless {
        volume["emptyDir"] = json!({});
    }
    each(volume, "image", &mut |source| {
        let reference = text(source, "reference").to_owned();
        set(source, "pullPolicy", image::pull_policy(&reference));
    });
}

/// The deprecated name stands beside the new one, always equal.
fn service_account(spec: &mut Value) {
    if !has(spec, "serviceAccountName") && has(spec, "serviceAccount") {
        spec["serviceAccountName"] = spec["serviceAccount"].clone();
    }
    if has(spec, "serviceAccountName") {
        spec["serviceAccount"] = spec["serviceAccountName"].clone();
    }
}
