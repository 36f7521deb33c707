//! Where the server of a remote APIService can be reached, or why it cannot, in Kubernetes' words: pure.

use mainstay_api::meta;
use serde_json::Value;

use super::remote::Remote;
use crate::strategy::Reader;

/// An address, and the node that can reach it if it is one of the pod network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub host: String,
    pub port: u16,
    pub node: Option<String>,
}

/// Why a remote is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable {
    pub reason: &'static str,
    pub message: String,
}

/// The ready endpoints of the service.
pub(crate) fn backends(remote: &Remote, reader: &dyn Reader) -> Result<Vec<Backend>, Unavailable> {
    let Remote { namespace, service: name, port, .. } = remote;
    let wrong = |reason: &'static str, message: String| Unavailable { reason, message };
    let Some(service) = reader.get("", "services", namespace, name) else {
        return Err(wrong("ServiceNotFound", format!("service/{name} in {namespace:?} is not present")));
    };
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/spec/type") == "ExternalName" {
        return Ok(vec![Backend { host: text("/spec/externalName").to_owned(), port: *port, node: None }]);
    }
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let Some(own) = ports.into_iter().find(|own| own["port"].as_u64() == Some(u64::from(*port))) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return Err(wrong("ServicePortError", message));
    };
    let port_name = own["name"].as_str().unwrap_or_default();
    let slices = reader.list("discovery.k8s.io", "endpointslices", Some(namespace));
    let own: Vec<_> =
        slices.iter().filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name)).collect();
    if own.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return Err(wrong("EndpointsNotFound", message));
    }
    let found: Vec<Backend> = own.iter().flat_map(|slice| ready(slice, port_name)).collect();
    if found.is_empty() {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return Err(wrong("MissingEndpoints", message));
    }
    Ok(found)
}

fn ready(slice: &Value, port_name: &str) -> Vec<Backend> {
    let list = |field: &str| slice.get(field).and_then(Value::as_array).into_iter().flatten();
    let port = list("ports").find(|port| port["name"].as_str().unwrap_or_default() == port_name);
    let Some(port) = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok()) else { return Vec::new() };
    list("endpoints")
        .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
        .flat_map(|endpoint| {
            let node = endpoint["nodeName"].as_str().map(str::to_owned);
            let addresses = endpoint["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
            addresses.map(move |host| Backend { host: host.to_owned(), port, node: node.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    struct Objects(Vec<(&'static str, Value)>);

    impl Reader for Objects {
        fn get(&self, _: &str, resource: &str, _: &str, name: &str) -> Option<Arc<Value>> {
            let found = self.0.iter().find(|(kind, object)| *kind == resource && object["metadata"]["name"] == name);
            found.map(|(_, object)| Arc::new(object.clone()))
        }

        fn list(&self, _: &str, resource: &str, _: Option<&str>) -> Vec<Arc<Value>> {
            self.0.iter().filter(|(kind, _)| *kind == resource).map(|(_, object)| Arc::new(object.clone())).collect()
        }
    }

    fn remote() -> Remote {
        Remote::of(&json!({"metadata": {"name": "v1.x.io"}, "spec": {"group": "x.io", "version": "v1",
            "service": {"name": "s", "namespace": "n"}}}))
        .unwrap()
    }

    #[test]
    fn a_reason_for_everything_that_is_missing() {
        let service = |port: u16| ("services", json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": port}]}}));
        let slice = |ready: bool| {
            (
                "endpointslices",
                json!({"metadata": {"name": "s1", "labels": {"kubernetes.io/service-name": "s"}},
                "ports": [{"port": 8443}],
                "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "w1", "conditions": {"ready": ready}}]}),
            )
        };
        let reason =
            |objects: Vec<(&'static str, Value)>| backends(&remote(), &Objects(objects)).map_err(|why| why.reason);
        assert_eq!(reason(vec![]), Err("ServiceNotFound"));
        assert_eq!(reason(vec![service(80)]), Err("ServicePortError"));
        assert_eq!(reason(vec![service(443)]), Err("EndpointsNotFound"));
        assert_eq!(reason(vec![service(443), slice(false)]), Err("MissingEndpoints"));
        let found = Backend { host: "10.0.0.1".into(), port: 8443, node: Some("w1".into()) };
        assert_eq!(reason(vec![service(443), slice(true)]), Ok(vec![found]));
    }
}
