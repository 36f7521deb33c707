//! The containers of a pod's spec, of all three lists.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, Pod};

/// An init container that goes on beside the main ones.
pub(crate) fn is_sidecar(spec: &Container) -> bool {
    spec.restart_policy.as_deref() == Some("Always")
}

/// The container of this name.
pub(crate) fn find<'a>(pod: &'a Pod, name: &str) -> Option<Cow<'a, Container>> {
    let spec = pod.spec.as_ref()?;
    let plain = spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name);
    plain.map(Cow::Borrowed).or_else(|| ephemeral(pod, name).map(Cow::Owned))
}

/// The ephemeral container of this name, as if it were a plain one: it has the same fields and one more.
pub(crate) fn ephemeral(pod: &Pod, name: &str) -> Option<Container> {
    let found = pod.spec.as_ref()?.ephemeral_containers.iter().flatten().find(|c| c.name == name)?;
    serde_json::from_value(serde_json::to_value(found).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_ephemeral_container_is_found_as_a_plain_one() {
        let pod: Pod = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "spec": {
            "containers": [{"name": "c"}],
            "ephemeralContainers": [{"name": "e", "image": "i", "stdin": true, "targetContainerName": "c"}]}}))
        .unwrap();
        let found = find(&pod, "e").unwrap();
        assert_eq!((found.image.as_deref(), found.stdin), (Some("i"), Some(true)));
        assert!(find(&pod, "c").is_some() && find(&pod, "x").is_none());
    }
}
