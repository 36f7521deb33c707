//! A pod grows only as far as its node does, and only on Linux.

use async_trait::async_trait;
use mainstay_api::quantity::Quantity;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::{Attributes, Operation, Plugin, usage};

/// PodResizeValidator.
pub(crate) struct PodResize;

#[async_trait]
impl Plugin for PodResize {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let resizes = request.operation == Operation::Update && request.subresource == "resize";
        let (true, Some(new), Some(old)) = (resizes && request.is("", "pods"), &request.object, &request.old_object)
        else {
            return Ok(());
        };
        let name = new.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || new.get("spec") == old.get("spec") {
            return Ok(());
        }
        let Some(node) = request.reader.get("", "nodes", "", name) else {
            return Err(request.forbidden(format!("node {name:?} not found")));
        };
        judge(new, &node).map_err(|why| request.forbidden(why))
    }
}

fn judge(pod: &Value, node: &Value) -> Result<(), String> {
    let os = mainstay_api::meta::label(node, "kubernetes.io/os").unwrap_or("linux");
    if os != "linux" {
        return Err("pods on non-linux nodes cannot be resized".to_owned());
    }
    let asked = usage::pod(pod, "requests");
    let mut lacking = Vec::new();
    for name in ["cpu", "memory"] {
        let offered = node.pointer("/status/allocatable").and_then(|all| all.get(name));
        let offered = offered.and_then(|value| Quantity::from_json(value).ok()).unwrap_or_else(Quantity::zero);
        let asked = asked.get(name).copied().unwrap_or_else(Quantity::zero);
        if asked > offered {
            let number = |amount: Quantity| if name == "cpu" { amount.milli_value() } else { amount.value() };
            lacking.push(format!("{name}, requested: {}, allocatable: {}", number(asked), number(offered)));
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(format!("node didn't have enough allocatable resources: {}", lacking.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_fits_its_node() {
        let pod = |cpu: &str| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        let node =
            json!({"metadata": {"labels": {"kubernetes.io/os": "linux"}}, "status": {"allocatable": {"cpu": "2"}}});
        assert_eq!(judge(&pod("2"), &node), Ok(()));
        let why = "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000";
        assert_eq!(judge(&pod("2500m"), &node), Err(why.to_owned()));
        let windows = json!({"metadata": {"labels": {"kubernetes.io/os": "windows"}}});
        assert!(judge(&pod("1"), &windows).is_err());
    }
}
