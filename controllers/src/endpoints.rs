//! The older form of a service's addresses, one object a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_client::{DeleteOptions, Error, Key, object_key};

use crate::claim::absent_is_fine;
use crate::meta::{Map, is_deleting, uid};
use crate::pod::{is_finished, is_ready, node_name};
use crate::runner::{Controller, Keys, Next};
use crate::service::{HEADLESS, addresses, port_number, select_pods, wire_service_queue};
use crate::world::{Informers, World};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// More addresses do not go into one object; slices have them all.
const CAPACITY: usize = 1000;

pub(crate) struct EndpointObjects {
    world: World,
}

impl EndpointObjects {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        wire_service_queue(world, informers, queue);
        let keys = queue.clone();
        informers.endpoints.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        EndpointObjects { world: world.clone() }
    }
}

#[async_trait]
impl Controller for EndpointObjects {
    fn name(&self) -> &'static str {
        "endpoints"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let api = self.world.api::<Endpoints>(&key.namespace);
        let old = self.world.endpoints.get(key);
        let Some(service) = self.world.services.get(key).filter(|s| !is_deleting(&s.metadata)) else {
            // Endpoints without a service are leftovers only if this controller made them.
            if let Some(old) = old.filter(|o| is_ours(o)) {
                absent_is_fine(api.delete(&key.name, &DeleteOptions::of_uid(uid(&old.metadata))).await)?;
            }
            return Ok(Next::Settled);
        };
        let Some(pods) = select_pods(&service, &self.world.pods) else { return Ok(Next::Settled) };
        let wanted = endpoints(&service, &pods, old.as_deref());
        match old {
            None => match api.create(&wanted).await {
                Err(error) if error.is_namespace_terminating() => {}
                other => drop(other?),
            },
            Some(old) if *old != wanted => drop(api.update(&wanted).await?),
            Some(_) => {}
        }
        Ok(Next::Settled)
    }
}

fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.as_ref().is_some_and(|l| l.contains_key(MANAGED_BY))
}

fn endpoints(service: &Service, pods: &[Arc<Pod>], old: Option<&Endpoints>) -> Endpoints {
    let (subsets, truncated) = subsets(service, pods);
    let mut metadata = old.map(|o| o.metadata.clone()).unwrap_or_else(|| ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..Default::default()
    });
    metadata.labels = Some(labels(service));
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if truncated {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    }
    metadata.annotations = Some(annotations).filter(|a| !a.is_empty());
    Endpoints { metadata, subsets: Some(subsets).filter(|s| !s.is_empty()) }
}

fn labels(service: &Service) -> Map {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.into(), "endpoint-controller".into());
    if service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels
}

/// Addresses grouped by the ports that they resolve to; and whether some were left out.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let publish = service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses) == Some(true);
    let family = crate::service::families(service).remove(0);
    let mut groups: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    let mut count = 0;
    for pod in pods.iter().filter(|p| !is_finished(p) && (publish || !is_deleting(&p.metadata))) {
        let Some(found) = addresses(service, pod).into_iter().find(|a| a.family == family) else { continue };
        count += 1;
        if count > CAPACITY {
            return (groups.into_values().collect(), true);
        }
        let ports = ports(service, pod);
        let signature = serde_json::to_string(&ports).unwrap_or_default();
        let subset = groups
            .entry(signature)
            .or_insert_with(|| EndpointSubset { ports: Some(ports).filter(|p| !p.is_empty()), ..Default::default() });
        let list = if publish || is_ready(pod) { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address(service, pod, found.ip));
    }
    for subset in groups.values_mut() {
        for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
            list.sort_by(|a, b| a.ip.cmp(&b.ip));
        }
    }
    (groups.into_values().collect(), false)
}

fn address(service: &Service, pod: &Pod, ip: String) -> EndpointAddress {
    let spec = pod.spec.as_ref();
    let in_subdomain = spec.is_some_and(|s| s.subdomain == service.metadata.name);
    EndpointAddress {
        ip,
        hostname: spec.and_then(|s| s.hostname.clone()).filter(|h| in_subdomain && !h.is_empty()),
        node_name: Some(node_name(pod).to_owned()).filter(|n| !n.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..Default::default()
        }),
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let declared = service.spec.as_ref().and_then(|s| s.ports.as_ref());
    let resolve = |port: &k8s_openapi::api::core::v1::ServicePort| {
        Some(EndpointPort {
            name: port.name.clone().filter(|n| !n.is_empty()),
            port: port_number(pod, port)?,
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
    };
    declared.into_iter().flatten().filter_map(resolve).collect()
}
