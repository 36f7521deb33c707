//! What both endpoint controllers ask of services and pods.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use mainstay_client::{Store, object_key};

use crate::meta::{Map, namespace, states};
use crate::runner::Keys;
use crate::world::{Informers, World};

/// The label of what belongs to a service without an address of its own.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// One of a pod's addresses.
pub(crate) struct PodAddress {
    /// "IPv4" or "IPv6".
    pub(crate) family: String,
    pub(crate) ip: String,
}

/// Puts services into the queue when they or the pods behind them change.
pub(crate) fn wire_service_queue(world: &World, informers: &mut Informers, queue: &Keys) {
    let keys = queue.clone();
    informers.services.on_change(move |change| {
        keys.add(object_key(&**change.object()));
    });
    let (keys, services) = (queue.clone(), world.services.clone());
    informers.pods.on_change(move |change| {
        for service in services.in_namespace(namespace(&change.object().metadata)) {
            let selects = |pod: &&Pod| selector(&service).is_some_and(|s| selects(s, pod));
            if states(change).iter().any(selects) {
                keys.add(object_key(&*service));
            }
        }
    });
}

/// None for services whose endpoints somebody else keeps.
fn selector(service: &Service) -> Option<&Map> {
    let spec = service.spec.as_ref()?;
    spec.selector.as_ref().filter(|s| !s.is_empty() && spec.type_.as_deref() != Some("ExternalName"))
}

fn selects(selector: &Map, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    selector.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
}

/// The pods behind a service, by name; None if it selects none by design.
pub(crate) fn select_pods(service: &Service, pods: &Store<Pod>) -> Option<Vec<Arc<Pod>>> {
    let selector = selector(service)?;
    let mut selected = pods.in_namespace(namespace(&service.metadata));
    selected.retain(|pod| selects(selector, pod));
    Some(selected)
}

/// The address families of a service; never empty.
pub(crate) fn families(service: &Service) -> Vec<String> {
    let families = service.spec.as_ref().and_then(|s| s.ip_families.clone()).unwrap_or_default();
    if families.is_empty() { vec!["IPv4".into()] } else { families }
}

/// A pod's addresses of the service's families.
pub(crate) fn addresses(service: &Service, pod: &Pod) -> Vec<PodAddress> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone());
    let mut ips: Vec<String> = listed.collect();
    if ips.is_empty() {
        ips.extend(status.pod_ip.clone().filter(|ip| !ip.is_empty()));
    }
    let families = families(service);
    let family = |ip: &str| if ip.contains(':') { "IPv6" } else { "IPv4" };
    let typed = ips.into_iter().map(|ip| PodAddress { family: family(&ip).into(), ip });
    typed.filter(|a| families.contains(&a.family)).collect()
}

/// The number that a service port means in this pod; None if the pod does not name such a port.
pub(crate) fn port_number(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let wanted = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(if *number == 0 { port.port } else { *number }),
        Some(IntOrString::String(name)) => name,
    };
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    let found = ports.find(|p| p.name.as_deref() == Some(wanted) && p.protocol.as_deref().unwrap_or("TCP") == protocol);
    found.map(|p| p.container_port)
}
