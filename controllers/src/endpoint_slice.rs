//! The addresses behind each service, in slices of at most a hundred.

use std::collections::BTreeMap;
#[cfg(test)]
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_client::{DeleteOptions, Error, Key, Store};

use crate::claim::absent_is_fine;
use crate::meta::{Map, controller_reference, is_deleting, name, namespace, uid};
use crate::pod::{is_finished, is_ready, node_name};
use crate::runner::{Controller, Keys, Next};
use crate::service::{HEADLESS, PodAddress, addresses, port_number, select_pods, wire_service_queue};
use crate::slice::{MANAGED_BY, SERVICE_NAME};
use crate::world::{BY_SERVICE, Informers, World};

const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";
const MAX_ENDPOINTS: usize = 100;

pub(crate) struct EndpointSlices {
    world: World,
}

impl EndpointSlices {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        wire_service_queue(world, informers, queue);
        let keys = queue.clone();
        informers.slices.on_change(move |change| {
            let slice = change.object();
            let service = slice.metadata.labels.as_ref().filter(|_| is_ours(slice)).and_then(|l| l.get(SERVICE_NAME));
            if let Some(service) = service {
                keys.add(Key::new(namespace(&slice.metadata), service));
            }
        });
        EndpointSlices { world: world.clone() }
    }
}

fn is_ours(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).map(String::as_str) == Some(MANAGER)
}

#[async_trait]
impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpointslice"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let mut existing = self.world.slices.by_index(BY_SERVICE, &key.to_string());
        existing.retain(|slice| is_ours(slice) && !is_deleting(&slice.metadata));
        let api = self.world.api::<EndpointSlice>(&key.namespace);
        let service = self.world.services.get(key).filter(|s| !is_deleting(&s.metadata));
        let plan = match service {
            Some(service) => {
                let Some(pods) = select_pods(&service, &self.world.pods) else { return Ok(Next::Settled) };
                let zone = |node: &str| zone_of(&self.world.nodes, node);
                plan(&service, &pods, &existing, &zone)
            }
            // The garbage collector would get there too, later.
            None => Plan { delete: existing, ..Plan::default() },
        };
        for slice in plan.update {
            api.update(&slice).await?;
        }
        for slice in plan.create {
            match api.create(&slice).await {
                Err(error) if error.is_namespace_terminating() => {}
                other => drop(other?),
            }
        }
        for slice in plan.delete {
            absent_is_fine(api.delete(name(&slice.metadata), &DeleteOptions::of_uid(uid(&slice.metadata))).await)?;
        }
        Ok(Next::Settled)
    }
}

fn zone_of(nodes: &Store<k8s_openapi::api::core::v1::Node>, node: &str) -> Option<String> {
    nodes.find("", node)?.metadata.labels.as_ref()?.get(ZONE).cloned()
}

#[derive(Default)]
struct Plan {
    create: Vec<EndpointSlice>,
    update: Vec<EndpointSlice>,
    delete: Vec<Arc<EndpointSlice>>,
}

/// Endpoints of one address family whose ports resolve alike.
type Groups = BTreeMap<(String, String), (Vec<EndpointPort>, Vec<Endpoint>)>;

fn plan(
    service: &Service,
    pods: &[Arc<Pod>],
    existing: &[Arc<EndpointSlice>],
    zone: &dyn Fn(&str) -> Option<String>,
) -> Plan {
    let mut plan = Plan::default();
    let mut groups = groups(service, pods, zone);
    if groups.is_empty() {
        // One slice without endpoints tells readers that there are none, rather than that none are known.
        let family = crate::service::families(service).remove(0);
        groups.insert((family, String::new()), (Vec::new(), Vec::new()));
    }
    let mut unused: Vec<Arc<EndpointSlice>> = existing.to_vec();
    for ((family, _), (ports, endpoints)) in groups {
        let (mine, others): (Vec<_>, Vec<_>) =
            unused.into_iter().partition(|s| s.address_type == family && s.ports.clone().unwrap_or_default() == ports);
        unused = others;
        fill(service, &family, &ports, endpoints, mine, &mut plan);
    }
    plan.delete.extend(unused);
    plan
}

fn groups(service: &Service, pods: &[Arc<Pod>], zone: &dyn Fn(&str) -> Option<String>) -> Groups {
    let mut groups = Groups::new();
    for pod in pods.iter().filter(|p| !is_finished(p)) {
        for PodAddress { family, ip } in addresses(service, pod) {
            let ports = ports(service, pod);
            let signature = serde_json::to_string(&ports).unwrap_or_default();
            let (_, endpoints) = groups.entry((family, signature)).or_insert_with(|| (ports, Vec::new()));
            endpoints.push(endpoint(service, pod, ip, zone));
        }
    }
    groups
}

/// Puts endpoints where they are already, then where there is room, then into new slices.
fn fill(
    service: &Service,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    mine: Vec<Arc<EndpointSlice>>,
    plan: &mut Plan,
) {
    let mut waiting: BTreeMap<String, Endpoint> = endpoints.into_iter().map(|e| (identity(&e), e)).collect();
    let empty = waiting.is_empty();
    let mut slices: Vec<(Option<Arc<EndpointSlice>>, Vec<Endpoint>)> = Vec::new();
    for slice in mine {
        let kept = slice.endpoints.iter().flatten().filter_map(|e| waiting.remove(&identity(e))).collect();
        slices.push((Some(slice), kept));
    }
    let mut waiting: Vec<Endpoint> = waiting.into_values().collect();
    for (_, endpoints) in &mut slices {
        let room = MAX_ENDPOINTS.saturating_sub(endpoints.len()).min(waiting.len());
        endpoints.extend(waiting.drain(..room));
    }
    while !waiting.is_empty() || (empty && slices.is_empty()) {
        let count = waiting.len().min(MAX_ENDPOINTS);
        slices.push((None, waiting.drain(..count).collect()));
    }
    let mut placeholder_kept = false;
    for (slice, endpoints) in slices {
        let spare = endpoints.is_empty() && (!empty || placeholder_kept);
        placeholder_kept |= endpoints.is_empty();
        match slice {
            Some(slice) if spare => plan.delete.push(slice),
            Some(slice) => {
                let wanted = slice_of(service, family, ports, endpoints, Some(&slice));
                if wanted != *slice {
                    plan.update.push(wanted);
                }
            }
            None => plan.create.push(slice_of(service, family, ports, endpoints, None)),
        }
    }
}

/// An endpoint is the same while pod and address are.
fn identity(endpoint: &Endpoint) -> String {
    let pod = endpoint.target_ref.as_ref().and_then(|r| r.uid.clone()).unwrap_or_default();
    format!("{pod} {}", endpoint.addresses.join(","))
}

fn slice_of(
    service: &Service,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    old: Option<&EndpointSlice>,
) -> EndpointSlice {
    let metadata = match old {
        Some(slice) => ObjectMeta { labels: Some(labels(service)), ..slice.metadata.clone() },
        None => ObjectMeta {
            generate_name: Some(format!("{}-", name(&service.metadata))),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![controller_reference(service)]),
            ..Default::default()
        },
    };
    EndpointSlice {
        metadata,
        address_type: family.to_owned(),
        endpoints: old
            .and_then(|o| o.endpoints.clone())
            .filter(|o| endpoints.is_empty() && o.is_empty())
            .or(Some(endpoints)),
        ports: old.and_then(|o| o.ports.clone()).filter(|o| o.as_slice() == ports).or_else(|| Some(ports.to_vec())),
    }
}

fn labels(service: &Service) -> Map {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name(&service.metadata).into());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let declared = service.spec.as_ref().and_then(|s| s.ports.as_ref());
    let resolve = |port: &k8s_openapi::api::core::v1::ServicePort| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port_number(pod, port)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
    };
    declared.into_iter().flatten().filter_map(resolve).collect()
}

fn endpoint(service: &Service, pod: &Pod, ip: String, zone: &dyn Fn(&str) -> Option<String>) -> Endpoint {
    let publish = service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses) == Some(true);
    let terminating = is_deleting(&pod.metadata);
    let serving = is_ready(pod);
    let node = Some(node_name(pod).to_owned()).filter(|n| !n.is_empty());
    Endpoint {
        addresses: vec![ip],
        conditions: Some(EndpointConditions {
            ready: Some(publish || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        zone: node.as_deref().and_then(zone),
        node_name: node,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A pod with hostname and the service as subdomain gets a DNS name of its own.
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|h| !h.is_empty())?;
    (spec.subdomain.as_deref() == service.metadata.name.as_deref()).then_some(hostname)
}

/// Distinct names in a set of slices, for tests and logs.
#[cfg(test)]
fn pod_names(slices: &[EndpointSlice]) -> BTreeSet<String> {
    let all = slices.iter().flat_map(|s| s.endpoints.iter().flatten());
    all.filter_map(|e| e.target_ref.as_ref()?.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "namespace": "x", "uid": "u", "labels": {"team": "a"}},
            "spec": {"selector": {"app": "a"}, "clusterIP": "10.0.0.1", "ports": [{"port": 80, "targetPort": "web"}]},
        }))
        .unwrap()
    }

    fn pod(number: usize, ready: bool) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{number}"), "namespace": "x", "uid": format!("u{number}")},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": format!("10.1.{}.{}", number / 250, number % 250),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        })).unwrap())
    }

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_named_port_is_resolved_and_readiness_told() {
        let plan = plan(&service(), &[pod(1, true), pod(2, false)], &[], &none);
        let slice = &plan.create[0];
        assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
        let ready: Vec<_> = slice.endpoints.iter().flatten().map(|e| e.conditions.as_ref().unwrap().ready).collect();
        assert_eq!(ready, [Some(true), Some(false)]);
        assert_eq!(slice.metadata.labels.as_ref().unwrap()["team"], "a");
    }

    #[test]
    fn a_hundred_a_slice_and_no_change_when_nothing_changed() {
        let pods: Vec<_> = (0..150).map(|n| pod(n, true)).collect();
        let first = plan(&service(), &pods, &[], &none);
        assert_eq!(first.create.len(), 2);
        assert_eq!(pod_names(&first.create).len(), 150);
        let existing: Vec<_> = first.create.into_iter().map(Arc::new).collect();
        let second = plan(&service(), &pods, &existing, &none);
        assert!(second.create.is_empty() && second.update.is_empty() && second.delete.is_empty());
        let third = plan(&service(), &pods[..50], &existing, &none);
        assert_eq!(pod_names(&third.update).len(), 50);
        assert!(third.create.is_empty());
    }

    #[test]
    fn a_service_without_pods_has_one_empty_slice() {
        let first = plan(&service(), &[], &[], &none);
        assert_eq!(first.create.len(), 1);
        let existing: Vec<_> = first.create.into_iter().map(Arc::new).collect();
        let second = plan(&service(), &[], &existing, &none);
        assert!(second.create.is_empty() && second.update.is_empty() && second.delete.is_empty());
    }
}
