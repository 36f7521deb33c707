//! The downward API: fields and resources of a pod as text.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use mainstay_api::quantity::Quantity;

/// A field's value, for environment and files.
pub(crate) fn field(pod: &Pod, path: &str) -> Result<String, String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let value = match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "metadata.labels" => Some(listed(meta.labels.as_ref())),
        "metadata.annotations" => Some(listed(meta.annotations.as_ref())),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()),
        "status.podIP" => status.and_then(|s| s.pod_ip.clone()),
        "status.hostIP" => status.and_then(|s| s.host_ip.clone()),
        _ => return subscripted(pod, path),
    };
    Ok(value.unwrap_or_default())
}

/// `metadata.labels['key']` and `metadata.annotations['key']`.
fn subscripted(pod: &Pod, path: &str) -> Result<String, String> {
    let parts = path.strip_suffix("']").and_then(|p| p.split_once("['"));
    let map = match parts {
        Some(("metadata.labels", _)) => pod.metadata.labels.as_ref(),
        Some(("metadata.annotations", _)) => pod.metadata.annotations.as_ref(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    };
    let key = parts.map_or("", |(_, key)| key);
    Ok(map.and_then(|m| m.get(key)).cloned().unwrap_or_default())
}

fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<_> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

/// A request or limit, divided and rounded up. Without a container's name in the selector it is the container's own.
pub(crate) fn resource(pod: &Pod, own: &Container, selector: &ResourceFieldSelector) -> Result<String, String> {
    let name = selector.container_name.as_deref().filter(|n| !n.is_empty());
    let spec = pod.spec.as_ref();
    let container = match name {
        None => own,
        Some(name) => {
            let all = spec.into_iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
            all.into_iter().find(|c| c.name == name).ok_or_else(|| format!("container {name} not found"))?
        }
    };
    let (kind, key) =
        selector.resource.split_once('.').ok_or_else(|| format!("unsupported resource {}", selector.resource))?;
    let resources = container.resources.as_ref();
    let map = match kind {
        "limits" => resources.and_then(|r| r.limits.as_ref()),
        _ => resources.and_then(|r| r.requests.as_ref()),
    };
    let amount = map.and_then(|m| m.get(key)).and_then(|q| Quantity::parse(&q.0).ok()).unwrap_or_else(Quantity::zero);
    let divisor = selector.divisor.as_ref().and_then(|d| Quantity::parse(&d.0).ok()).filter(|d| !d.is_zero());
    let value = if key == "cpu" {
        let by = divisor.map_or(1000, |d| d.milli_value()).max(1);
        amount.milli_value().div_euclid(by) + i64::from(amount.milli_value().rem_euclid(by) != 0)
    } else {
        let by = divisor.map_or(1, |d| d.value()).max(1);
        amount.value().div_euclid(by) + i64::from(amount.value().rem_euclid(by) != 0)
    };
    Ok(value.to_string())
}
