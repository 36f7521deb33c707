//! `default/kubernetes`: how pods reach the masters.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mainstay_api::status::ApiResult;
use serde_json::{Value, json};

use super::{Target, create, stored};
use crate::strategy::Reader;

/// A master's API listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MasterEndpoint {
    /// Its address; loopback ones are left out of the endpoints, as pods cannot reach them.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

pub(super) async fn ensure(target: &dyn Target, reader: &dyn Reader, masters: &[MasterEndpoint]) -> ApiResult<()> {
    let port = masters.first().map_or(6443, |master| master.port);
    let wanted = service(port);
    if stored(reader, &wanted).is_none() {
        create(target, wanted).await?;
    }
    let ports = by_port(masters);
    put(target, reader, endpoints(&ports)).await?;
    for (index, (port, addresses)) in ports.iter().enumerate() {
        put(target, reader, slice(index, *port, addresses)).await?;
    }
    Ok(())
}

type ByPort = BTreeMap<u16, Vec<IpAddr>>;

fn by_port(masters: &[MasterEndpoint]) -> ByPort {
    let mut ports = ByPort::new();
    for master in masters.iter().filter(|master| !master.address.is_loopback() && !master.address.is_unspecified()) {
        let addresses = ports.entry(master.port).or_default();
        if !addresses.contains(&master.address) {
            addresses.push(master.address);
        }
    }
    ports
}

/// Creates or replaces, unless it is so already.
async fn put(target: &dyn Target, reader: &dyn Reader, wanted: Value) -> ApiResult<()> {
    match stored(reader, &wanted) {
        None => create(target, wanted).await,
        Some(found) if same(&found, &wanted) => Ok(()),
        Some(_) => target.replace(wanted).await,
    }
}

fn same(found: &Value, wanted: &Value) -> bool {
    ["subsets", "endpoints", "ports"].iter().all(|field| found[*field] == wanted[*field])
}

fn service(port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
        },
    })
}

fn endpoints(ports: &ByPort) -> Value {
    let subsets: Vec<Value> = ports
        .iter()
        .map(|(port, addresses)| {
            let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
            json!({"addresses": addresses, "ports": [{"name": "https", "port": port, "protocol": "TCP"}]})
        })
        .collect();
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
    });
    if !subsets.is_empty() {
        object["subsets"] = Value::Array(subsets);
    }
    object
}

/// Masters on one machine have ports of their own, and a slice has one set of ports.
fn slice(index: usize, port: u16, addresses: &[IpAddr]) -> Value {
    let name = if index == 0 { "kubernetes".to_owned() } else { format!("kubernetes-{port}") };
    let endpoints: Vec<Value> =
        addresses.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "https", "protocol": "TCP", "port": port}],
    })
}
