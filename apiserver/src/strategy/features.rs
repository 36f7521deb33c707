//! Fields of features that are switched off in Kubernetes 1.36 by default: nobody can set them, and who had them set
//! before keeps them.

use serde_json::Value;

/// Where a kind that has pods in it has their spec.
fn pod_spec(resource: &str) -> Option<&'static str> {
    match resource {
        "pods" => Some("/spec"),
        "podtemplates" => Some("/template/spec"),
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "replicationcontrollers" | "jobs" => {
            Some("/spec/template/spec")
        }
        "cronjobs" => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

/// Drops such fields of a written object, unless the old one has them.
pub(super) fn drop_disabled(group: &str, resource: &str, new: &mut Value, old: Option<&Value>) {
    if (group, resource) == ("storage.k8s.io", "csidrivers") {
        drop_unless_there(new, old, "/spec", "preventPodSchedulingIfMissing");
    }
    if !matches!(group, "" | "apps" | "batch") {
        return;
    }
    let Some(pointer) = pod_spec(resource) else { return };
    if resource == "statefulsets" {
        drop_unless_there(new, old, "/spec/updateStrategy/rollingUpdate", "maxUnavailable");
    }
    if resource == "pods" {
        drop_unless_there(new, old, "/status", "nodeAllocatableResourceClaimStatuses");
        drop_volumes(new, old);
    }
    let had = |used: fn(&Value) -> bool| old.and_then(|old| old.pointer(pointer)).is_some_and(used);
    let (signals, bundles, groups) = (had(has_signal), had(has_bundle), had(has_group));
    let Some(spec) = new.pointer_mut(pointer) else { return };
    if !signals {
        containers_mut(spec).for_each(drop_signal);
    }
    if !bundles {
        sources_mut(spec).for_each(|source| SOURCES.iter().for_each(|field| remove(source, field)));
    }
    if !groups {
        remove(spec, "schedulingGroup");
    }
}

/// Drops a field of the map at `pointer`, unless the old object has it.
fn drop_unless_there(new: &mut Value, old: Option<&Value>, pointer: &str, field: &str) {
    if old.and_then(|old| old.pointer(pointer)?.get(field)).is_some() {
        return;
    }
    if let Some(map) = new.pointer_mut(pointer) {
        remove(map, field);
    }
}

/// Drops what the status of a pod tells of the volumes its containers have mounted, unless the old one tells of any.
fn drop_volumes(new: &mut Value, old: Option<&Value>) {
    let before = old.and_then(|old| old.get("status"));
    let containers = STATUSES.iter().filter_map(|list| before?.get(*list)?.as_array()).flatten();
    let mut mounts = containers.filter_map(|container| container.get("volumeMounts")?.as_array()).flatten();
    if mounts.any(|mount| mount.get("volumeStatus").is_some()) {
        return;
    }
    let Some(status) = new.get_mut("status") else { return };
    for list in STATUSES {
        let Some(list) = status.get_mut(list).and_then(Value::as_array_mut) else { continue };
        let mounts = list.iter_mut().filter_map(|container| container.get_mut("volumeMounts")?.as_array_mut());
        mounts.flatten().for_each(|mount| remove(mount, "volumeStatus"));
    }
}

const STATUSES: [&str; 3] = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
/// Sources of projected volumes that are switched off.
const SOURCES: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

fn containers_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let lists = spec.as_object_mut().into_iter().flatten().filter(|(name, _)| CONTAINERS.contains(&name.as_str()));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten()
}

fn sources_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten();
    volumes.filter_map(|volume| volume.pointer_mut("/projected/sources")?.as_array_mut()).flatten()
}

fn remove(at: &mut Value, field: &str) {
    if let Some(map) = at.as_object_mut() {
        map.remove(field);
    }
}

/// A lifecycle of nothing but a signal is none.
fn drop_signal(container: &mut Value) {
    let Some(lifecycle) = container.get_mut("lifecycle").and_then(Value::as_object_mut) else { return };
    if lifecycle.remove("stopSignal").is_some() && lifecycle.is_empty() {
        remove(container, "lifecycle");
    }
}

fn has_signal(spec: &Value) -> bool {
    let lists = CONTAINERS.iter().filter_map(|list| spec.get(*list)?.as_array()).flatten();
    lists.into_iter().any(|container| container.pointer("/lifecycle/stopSignal").is_some())
}

fn has_bundle(spec: &Value) -> bool {
    let volumes = spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let mut sources = volumes.filter_map(|volume| volume.pointer("/projected/sources")?.as_array()).flatten();
    sources.any(|source| SOURCES.iter().any(|field| source.get(*field).is_some()))
}

fn has_group(spec: &Value) -> bool {
    spec.get("schedulingGroup").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::drop_disabled;

    #[test]
    fn only_who_had_it_keeps_it() {
        let container = json!({"name": "c", "lifecycle": {"stopSignal": "SIGTERM"}});
        let pod = json!({"spec": {"containers": [container], "schedulingGroup": {"podGroupName": "g"}}});
        let mut new = pod.clone();
        drop_disabled("", "pods", &mut new, None);
        assert_eq!(new, json!({"spec": {"containers": [{"name": "c"}]}}));
        let mut kept = pod.clone();
        drop_disabled("", "pods", &mut kept, Some(&pod));
        assert_eq!(kept, pod);
    }

    #[test]
    fn no_status_tells_what_image_a_volume_has() {
        let mount = json!({"name": "v", "mountPath": "/v", "volumeStatus": {"image": {"imageRef": "i@sha256:0"}}});
        let claims = json!([{"resourceClaimName": "c", "resources": {"cpu": "1"}}]);
        let containers = json!([{"name": "c"}, {"name": "d", "volumeMounts": [mount]}]);
        let told = json!({"status": {"containerStatuses": containers, "nodeAllocatableResourceClaimStatuses": claims}});
        let mut new = told.clone();
        drop_disabled("", "pods", &mut new, Some(&json!({"status": {}})));
        let bare = json!([{"name": "c"}, {"name": "d", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]);
        assert_eq!(new, json!({"status": {"containerStatuses": bare}}));
        let mut kept = told.clone();
        drop_disabled("", "pods", &mut kept, Some(&told));
        assert_eq!(kept, told);
    }

    #[test]
    fn no_driver_keeps_pods_from_nodes_that_lack_it() {
        let mut driver = json!({"spec": {"preventPodSchedulingIfMissing": true, "podInfoOnMount": true}});
        let old = driver.clone();
        drop_disabled("storage.k8s.io", "csidrivers", &mut driver, Some(&old));
        assert_eq!(driver, old);
        drop_disabled("storage.k8s.io", "csidrivers", &mut driver, None);
        assert_eq!(driver, json!({"spec": {"podInfoOnMount": true}}));
    }

    #[test]
    fn a_stateful_set_takes_its_pods_down_one_by_one() {
        let mut set = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1, "maxUnavailable": 2}}}});
        drop_disabled("apps", "statefulsets", &mut set, None);
        assert_eq!(set, json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}},}}));
    }
}
