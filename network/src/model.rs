//! Services with their usable endpoints, cut down to what rules are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// Links a slice to its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Where a connection may go.
pub type Target = (Ipv4Addr, u16);

/// One port of one service, as this node serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `namespace/name:port`, for comments.
    pub title: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    /// The port on the service's addresses.
    pub port: u16,
    /// The service's own address.
    pub cluster_ip: Ipv4Addr,
    /// Further addresses: external ones and load balancers'.
    pub external_ips: Vec<Ipv4Addr>,
    /// The port on every node, if any.
    pub node_port: Option<u16>,
    /// For connections from within the cluster.
    pub internal: BTreeSet<Target>,
    /// For connections from outside.
    pub external: BTreeSet<Target>,
    /// Outside connections stay on the node and keep their source.
    pub external_local: bool,
    /// How long a client stays with its endpoint, in seconds.
    pub affinity: Option<u32>,
}

/// All ports of all services that have an address, in a fixed order.
pub fn ports(services: &[impl AsRef<Service>], slices: &[impl AsRef<EndpointSlice>], node: &str) -> Vec<Port> {
    let mut by_service: BTreeMap<(String, String), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices.iter().map(AsRef::as_ref).filter(|s| s.address_type == "IPv4") {
        let service = slice.metadata.labels.as_ref().and_then(|l| l.get(SERVICE_LABEL));
        if let Some(name) = service {
            let namespace = slice.metadata.namespace.clone().unwrap_or_default();
            by_service.entry((namespace, name.clone())).or_default().push(slice);
        }
    }
    let mut all = Vec::new();
    for service in services.iter().map(AsRef::as_ref) {
        let key =
            (service.metadata.namespace.clone().unwrap_or_default(), service.metadata.name.clone().unwrap_or_default());
        let slices = by_service.get(&key).map(Vec::as_slice).unwrap_or_default();
        all.extend(ports_of(service, slices, node));
    }
    all.sort_by(|a, b| (a.cluster_ip, a.protocol, a.port).cmp(&(b.cluster_ip, b.protocol, b.port)));
    all
}

fn ports_of(service: &Service, slices: &[&EndpointSlice], node: &str) -> Vec<Port> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok());
    let (Some(cluster_ip), false) = (ip, spec.type_.as_deref() == Some("ExternalName")) else { return Vec::new() };
    let ports = spec.ports.iter().flatten();
    ports.filter_map(|port| one_port(service, spec, port, cluster_ip, slices, node)).collect()
}

fn one_port(
    service: &Service,
    spec: &ServiceSpec,
    port: &ServicePort,
    cluster_ip: Ipv4Addr,
    slices: &[&EndpointSlice],
    node: &str,
) -> Option<Port> {
    let meta = &service.metadata;
    let name = port.name.as_deref().unwrap_or("");
    let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    let external_local = local(&spec.external_traffic_policy);
    let internal_local = local(&spec.internal_traffic_policy);
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let set = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref()?.timeout_seconds);
        set.and_then(|s| u32::try_from(s).ok()).unwrap_or(10_800)
    });
    Some(Port {
        title: format!("{}/{}:{name}", meta.namespace.as_deref().unwrap_or(""), meta.name.as_deref().unwrap_or("")),
        protocol: protocol(port.protocol.as_deref()),
        port: u16::try_from(port.port).ok()?,
        cluster_ip,
        external_ips: external_ips(service, spec),
        node_port: port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0),
        internal: targets(slices, name, internal_local.then_some(node)),
        external: targets(slices, name, external_local.then_some(node)),
        external_local,
        affinity,
    })
}

fn protocol(name: Option<&str>) -> &'static str {
    match name {
        Some("UDP") => "udp",
        Some("SCTP") => "sctp",
        _ => "tcp",
    }
}

fn external_ips(service: &Service, spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let named = spec.external_ips.iter().flatten().filter_map(|ip| ip.parse().ok());
    let status = service.status.as_ref().and_then(|s| s.load_balancer.as_ref()?.ingress.as_ref());
    let balancers = status.into_iter().flatten().filter_map(|i| i.ip.as_ref()?.parse().ok());
    named.chain(balancers).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The ready endpoints; if there are none, those that still serve while they end.
fn targets(slices: &[&EndpointSlice], port_name: &str, only_node: Option<&str>) -> BTreeSet<Target> {
    let pick = |wanted: fn(&Endpoint) -> bool| {
        let mut found = BTreeSet::new();
        for slice in slices {
            let numbers = slice.ports.iter().flatten().filter(|p| p.name.as_deref().unwrap_or("") == port_name);
            for number in numbers.filter_map(|p| p.port).filter_map(|p| u16::try_from(p).ok()) {
                let here = |e: &&Endpoint| only_node.is_none_or(|n| e.node_name.as_deref() == Some(n));
                let usable = slice.endpoints.iter().flatten().filter(here).filter(|e| wanted(e));
                found.extend(usable.flat_map(|e| &e.addresses).filter_map(|a| Some((a.parse().ok()?, number))));
            }
        }
        found
    };
    let ready = pick(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false));
    if !ready.is_empty() {
        return ready;
    }
    pick(|e| e.conditions.as_ref().is_some_and(|c| c.serving == Some(true) && c.terminating == Some(true)))
}
