//! Endpoints that users keep by hand, for services without a selector, as slices: readers look at slices only.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_client::{DeleteOptions, Error, Key, object_key};

use crate::claim::absent_is_fine;
use crate::meta::{Map, annotation, controller_reference, is_deleting, name, namespace, uid};
use crate::runner::{Controller, Keys, Next};
use crate::slice::{MANAGED_BY, SERVICE_NAME};
use crate::world::{BY_SERVICE, Informers, World};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Addresses of one subset that are mirrored.
const MOST: usize = 1000;

pub(crate) struct EndpointMirror {
    world: World,
}

impl EndpointMirror {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.endpoints.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let keys = queue.clone();
        informers.services.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let keys = queue.clone();
        informers.slices.on_change(move |change| {
            let slice = change.object();
            let labels = slice.metadata.labels.as_ref().filter(|_| is_ours(slice));
            if let Some(service) = labels.and_then(|l| l.get(SERVICE_NAME)) {
                keys.add(Key::new(namespace(&slice.metadata), service));
            }
        });
        EndpointMirror { world: world.clone() }
    }
}

fn is_ours(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).map(String::as_str) == Some(MANAGER)
}

/// Those of services with a selector are made from pods, as slices are; leader locks are no addresses.
fn is_mirrored(endpoints: &Endpoints, service: &Service) -> bool {
    let meta = &endpoints.metadata;
    let skipped = meta.labels.as_ref().and_then(|l| l.get(SKIP)).is_some_and(|v| v == "true");
    let selected = service.spec.as_ref().and_then(|s| s.selector.as_ref()).is_some_and(|s| !s.is_empty());
    !is_deleting(meta) && !is_deleting(&service.metadata) && !skipped && !selected && annotation(meta, LEADER).is_none()
}

#[async_trait]
impl Controller for EndpointMirror {
    fn name(&self) -> &'static str {
        "endpointslice-mirroring"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let mut existing = self.world.slices.by_index(BY_SERVICE, &key.to_string());
        let foreign = existing.iter().any(|slice| !is_ours(slice));
        existing.retain(|slice| is_ours(slice) && !is_deleting(&slice.metadata));
        let endpoints = self.world.endpoints.get(key);
        let service = self.world.services.get(key);
        let mut wanted = match (&endpoints, &service) {
            // Whoever keeps slices of the service himself needs no mirror.
            (Some(endpoints), Some(service)) if !foreign && is_mirrored(endpoints, service) => slices(endpoints),
            _ => Vec::new(),
        };
        let api = self.world.api::<EndpointSlice>(&key.namespace);
        for slice in existing {
            match wanted.iter().position(|w| w.address_type == slice.address_type && w.ports == slice.ports) {
                Some(at) => self.update(&slice, wanted.remove(at)).await?,
                None => {
                    let options = DeleteOptions::of_uid(uid(&slice.metadata));
                    absent_is_fine(api.delete(name(&slice.metadata), &options).await)?;
                }
            }
        }
        for slice in wanted {
            match api.create(&slice).await {
                Err(error) if error.is_namespace_terminating() => {}
                other => drop(other?),
            }
        }
        Ok(Next::Settled)
    }
}

impl EndpointMirror {
    async fn update(&self, old: &Arc<EndpointSlice>, new: EndpointSlice) -> Result<(), Error> {
        let mut changed = (**old).clone();
        changed.metadata.labels = new.metadata.labels;
        changed.endpoints = new.endpoints;
        if changed == **old {
            return Ok(());
        }
        self.world.api::<EndpointSlice>(namespace(&old.metadata)).update(&changed).await.map(drop)
    }
}

/// A slice for each subset and family of addresses.
fn slices(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    let mut all = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        for family in ["IPv4", "IPv6"] {
            let members: Vec<Endpoint> = members(subset).filter(|e| family_of(e) == family).take(MOST).collect();
            if !members.is_empty() {
                all.push(slice(endpoints, family, subset, members));
            }
        }
    }
    all
}

fn members(subset: &EndpointSubset) -> impl Iterator<Item = Endpoint> {
    let ready = subset.addresses.iter().flatten().map(|address| member(address, true));
    ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| member(address, false)))
}

fn member(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        hostname: address.hostname.clone().filter(|h| !h.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Default::default()
    }
}

fn family_of(endpoint: &Endpoint) -> &'static str {
    if endpoint.addresses.iter().any(|a| a.contains(':')) { "IPv6" } else { "IPv4" }
}

fn slice(endpoints: &Endpoints, family: &str, subset: &EndpointSubset, members: Vec<Endpoint>) -> EndpointSlice {
    let meta = &endpoints.metadata;
    let mut labels: Map = meta.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name(meta).into());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name(meta))),
            namespace: meta.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(endpoints)]),
            ..Default::default()
        },
        address_type: family.into(),
        endpoints: Some(members),
        ports: Some(subset.ports.iter().flatten().map(port).collect()),
    }
}

fn port(port: &EndpointPort) -> SlicePort {
    SlicePort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: port.app_protocol.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoints() -> Endpoints {
        serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "x"},
            "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
                "notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": [{"port": 5432}]}]}),
        )
        .unwrap()
    }

    #[test]
    fn each_family_has_a_slice() {
        let all = slices(&endpoints());
        let shape: Vec<_> =
            all.iter().map(|s| (s.address_type.as_str(), s.endpoints.as_ref().map_or(0, Vec::len))).collect();
        assert_eq!(shape, [("IPv4", 2), ("IPv6", 1)]);
        let ready: Vec<_> = all[0].endpoints.iter().flatten().map(|e| e.conditions.as_ref().unwrap().ready).collect();
        assert_eq!(ready, [Some(true), Some(false)]);
        assert!(all.iter().all(is_ours));
    }

    #[test]
    fn services_with_a_selector_are_not_mirrored() {
        let service = |selector| -> Service {
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "Service", "spec": {"selector": selector}}))
                .unwrap()
        };
        assert!(is_mirrored(&endpoints(), &service(json!(null))));
        assert!(!is_mirrored(&endpoints(), &service(json!({"app": "db"}))));
    }
}
