//! Which address leads to which pods: services and their endpoint slices as one flat list, the same for any packet filter.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// The label by which a slice names its service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Seconds that a client stays with its pod where nothing else is said.
const DEFAULT_AFFINITY_SECONDS: i32 = 10_800;

/// Transport protocols that services may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    fn parse(name: Option<&str>) -> Self {
        match name {
            Some("UDP") => Self::Udp,
            Some("SCTP") => Self::Sctp,
            _ => Self::Tcp,
        }
    }

    /// As packet filters write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Where a connection may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The pod's port.
    pub port: u16,
}

/// One port of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// `namespace/name/protocol/port`, unique.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its port.
    pub port: u16,
    /// Addresses inside the cluster.
    pub cluster_ips: Vec<Ipv4Addr>,
    /// Addresses from outside: external IPs and those of load balancers.
    pub external_ips: Vec<Ipv4Addr>,
    /// The port on every node.
    pub node_port: Option<u16>,
    /// Who answers inside the cluster.
    pub internal: Vec<Backend>,
    /// Who answers what comes from outside.
    pub external: Vec<Backend>,
    /// What comes from outside stays on the node and keeps its source address.
    pub external_local: bool,
    /// Seconds that a client stays with its pod.
    pub affinity_seconds: Option<i32>,
}

/// The frontends of all services, ordered by name. Headless services and those without a selector for addresses have none.
#[must_use]
pub fn frontends<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    slices: &[&EndpointSlice],
    node: &str,
) -> Vec<Frontend> {
    let mut all: Vec<Frontend> = services.into_iter().flat_map(|service| of_service(service, slices, node)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn of_service(service: &Service, slices: &[&EndpointSlice], node: &str) -> Vec<Frontend> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let addresses =
        |list: &Option<Vec<String>>| list.iter().flatten().filter_map(|ip| ip.parse().ok()).collect::<Vec<_>>();
    let mut cluster_ips: Vec<Ipv4Addr> = addresses(&spec.cluster_ips);
    cluster_ips.extend(spec.cluster_ip.as_ref().and_then(|ip| ip.parse::<Ipv4Addr>().ok()));
    cluster_ips.sort_unstable();
    cluster_ips.dedup();
    if cluster_ips.is_empty() {
        return Vec::new();
    }
    let mut external_ips = addresses(&spec.external_ips);
    external_ips.extend(load_balancer_ips(service));
    let own: Vec<&EndpointSlice> = slices.iter().copied().filter(|slice| belongs(slice, service)).collect();
    let internal_local = spec.internal_traffic_policy.as_deref() == Some("Local");
    let external_local = spec.external_traffic_policy.as_deref() == Some("Local");
    let affinity_seconds = affinity(service);
    let ports = spec.ports.iter().flatten();
    ports
        .map(|port| Frontend {
            name: frontend_name(service, port),
            protocol: Protocol::parse(port.protocol.as_deref()),
            port: number(port.port),
            cluster_ips: cluster_ips.clone(),
            external_ips: external_ips.clone(),
            node_port: port.node_port.map(number).filter(|port| *port > 0),
            internal: backends(&own, port, internal_local.then_some(node)),
            external: backends(&own, port, external_local.then_some(node)),
            external_local,
            affinity_seconds,
        })
        .collect()
}

fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

fn frontend_name(service: &Service, port: &ServicePort) -> String {
    let meta = &service.metadata;
    let protocol = Protocol::parse(port.protocol.as_deref()).as_str();
    let port = port.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| port.port.to_string());
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    format!("{namespace}/{name}/{protocol}/{port}")
}

fn load_balancer_ips(service: &Service) -> Vec<Ipv4Addr> {
    let ingress = service.status.iter().flat_map(|status| &status.load_balancer);
    let ingress = ingress.flat_map(|balancer| balancer.ingress.iter().flatten());
    ingress.filter(|i| i.ip_mode.as_deref() != Some("Proxy")).filter_map(|i| i.ip.as_ref()?.parse().ok()).collect()
}

fn affinity(service: &Service) -> Option<i32> {
    let spec = service.spec.as_ref()?;
    (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        config.and_then(|client| client.timeout_seconds).unwrap_or(DEFAULT_AFFINITY_SECONDS)
    })
}

fn belongs(slice: &EndpointSlice, service: &Service) -> bool {
    let named = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
    slice.address_type == "IPv4"
        && slice.metadata.namespace == service.metadata.namespace
        && named.is_some()
        && named == service.metadata.name.as_ref()
}

/// The ready endpoints; where there are none, those that still serve while they end. With `on`, only that node's.
fn backends(slices: &[&EndpointSlice], port: &ServicePort, on: Option<&str>) -> Vec<Backend> {
    let (mut ready, mut ending) = (BTreeSet::new(), BTreeSet::new());
    for slice in slices {
        let Some(target) = target_port(slice, port) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            if on.is_some_and(|node| endpoint.node_name.as_deref() != Some(node)) {
                continue;
            }
            let into = match readiness(endpoint) {
                Readiness::Ready => &mut ready,
                Readiness::Ending => &mut ending,
                Readiness::No => continue,
            };
            let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
            into.extend(addresses.map(|address| Backend { address, port: target }));
        }
    }
    if ready.is_empty() { ending } else { ready }.into_iter().collect()
}

enum Readiness {
    Ready,
    Ending,
    No,
}

fn readiness(endpoint: &Endpoint) -> Readiness {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    if conditions.ready.unwrap_or(true) {
        return Readiness::Ready;
    }
    if conditions.serving.unwrap_or(false) && conditions.terminating.unwrap_or(false) {
        return Readiness::Ending;
    }
    Readiness::No
}

fn target_port(slice: &EndpointSlice, port: &ServicePort) -> Option<u16> {
    let wanted = port.name.as_deref().unwrap_or_default();
    let mut ports = slice.ports.iter().flatten();
    let found = ports.find(|candidate| candidate.name.as_deref().unwrap_or_default() == wanted)?;
    found.port.map(number).filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "d"}, "spec": spec})).unwrap()
    }

    fn slice(endpoints: Value) -> EndpointSlice {
        let metadata = json!({"name": "web-1", "namespace": "d", "labels": {SERVICE_LABEL: "web"}});
        let ports = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
        let slice = json!({"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": endpoints});
        serde_json::from_value(slice).unwrap()
    }

    fn plan(spec: Value, endpoints: Value) -> Vec<Frontend> {
        frontends([&service(spec)], &[&slice(endpoints)], "n1")
    }

    fn addresses(backends: &[Backend]) -> Vec<String> {
        backends.iter().map(|backend| format!("{}:{}", backend.address, backend.port)).collect()
    }

    fn node_port(more: &str) -> Value {
        let mut spec: Value = serde_json::from_str(more).unwrap();
        spec["clusterIP"] = json!("10.96.0.9");
        spec["ports"] = json!([{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]);
        spec
    }

    #[test]
    fn ready_endpoints_answer() {
        let endpoints = json!([{"addresses": ["10.1.0.2"], "conditions": {"ready": true}},
            {"addresses": ["10.1.0.3"], "conditions": {"ready": false}},
            {"addresses": ["10.1.0.4"]}]);
        let plan = plan(node_port("{}"), endpoints);
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].name, "d/web/tcp/http");
        assert_eq!(addresses(&plan[0].internal), ["10.1.0.2:8080", "10.1.0.4:8080"]);
        assert_eq!(plan[0].node_port, Some(30080));
    }

    #[test]
    fn endpoints_that_end_answer_only_when_no_other_does() {
        let ending =
            json!({"addresses": ["10.1.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true}});
        assert_eq!(addresses(&plan(node_port("{}"), json!([ending]))[0].internal), ["10.1.0.3:8080"]);
        let both = json!([ending, {"addresses": ["10.1.0.2"], "conditions": {"ready": true}}]);
        assert_eq!(addresses(&plan(node_port("{}"), both)[0].internal), ["10.1.0.2:8080"]);
    }

    #[test]
    fn local_policies_keep_to_the_node() {
        let endpoints =
            json!([{"addresses": ["10.1.0.2"], "nodeName": "n1"}, {"addresses": ["10.1.0.3"], "nodeName": "n2"}]);
        let plan = plan(node_port(r#"{"externalTrafficPolicy":"Local","sessionAffinity":"ClientIP"}"#), endpoints);
        assert_eq!(addresses(&plan[0].external), ["10.1.0.2:8080"]);
        assert_eq!(plan[0].internal.len(), 2);
        assert!(plan[0].external_local && plan[0].affinity_seconds == Some(10_800));
    }

    #[test]
    fn headless_and_external_name_services_have_no_frontend() {
        assert_eq!(plan(json!({"clusterIP": "None", "ports": [{"port": 80}]}), json!([])), []);
        assert_eq!(plan(json!({"type": "ExternalName", "externalName": "x"}), json!([])), []);
    }
}
