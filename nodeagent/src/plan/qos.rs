//! The quality-of-service class of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// How well a pod is served when the node runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Qos {
    pub fn as_str(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}

/// Guaranteed: every container has limits for CPU and memory that equal its requests. BestEffort: none has any.
pub(crate) fn qos_of(spec: &PodSpec) -> Qos {
    let all = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    if all().all(|c| !asks(c)) {
        Qos::BestEffort
    } else if all().all(guaranteed) {
        Qos::Guaranteed
    } else {
        Qos::Burstable
    }
}

fn positive(map: Option<&BTreeMap<String, Quantity>>, key: &str) -> Option<String> {
    let text = &map?.get(key)?.0;
    let quantity = mainstay_api::quantity::Quantity::parse(text).ok()?;
    (quantity.milli_value() > 0).then(|| quantity.to_string())
}

fn asks(container: &Container) -> bool {
    let Some(resources) = &container.resources else { return false };
    ["cpu", "memory"].iter().any(|key| {
        positive(resources.requests.as_ref(), key).is_some() || positive(resources.limits.as_ref(), key).is_some()
    })
}

fn guaranteed(container: &Container) -> bool {
    let Some(resources) = &container.resources else { return false };
    ["cpu", "memory"].iter().all(|key| {
        let limit = positive(resources.limits.as_ref(), key);
        let request = positive(resources.requests.as_ref(), key);
        limit.is_some() && (request.is_none() || request == limit)
    })
}
