//! The proxies: HTTP to a pod, to one of the pods behind a service, or to a node's agent, as if the API server were there.

use std::net::IpAddr;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use mainstay_api::status::{ApiResult, Status};
use rand::seq::IndexedRandom;
use serde_json::Value;
use tonic::body::Body;

use super::relay::{self, Answered};
use crate::engine::{Call, Target};
use crate::rest::Rest;
use crate::rest::admitted::Admitted;
use crate::strategy::Reader;

/// The port of a kubelet, for which the agent's own server stands in.
const KUBELET_PORT: &str = "10250";
/// Headers that are about one connection, or about the client and this server only.
const NOT_PASSED_ON: [header::HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::HOST,
    header::AUTHORIZATION,
];

/// Where a proxied request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    node: String,
    /// An address and port that the node reaches; none: its agent's own server.
    address: Option<(String, u16)>,
}

/// `scheme:name:port`, `name:port` or `name`.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

/// What a name that is proxied to says; `None` if it is no such name.
fn named(text: &str) -> Option<Named<'_>> {
    let named = match text.split(':').collect::<Vec<_>>().as_slice() {
        [name] => Named { scheme: "", name, port: "" },
        [name, port] => Named { scheme: "", name, port },
        [scheme, name, port] => Named { scheme, name, port },
        _ => return None,
    };
    Some(named).filter(|named| !named.name.is_empty() && matches!(named.scheme, "" | "http" | "https"))
}

/// Passes a request on and its answer back.
pub(super) async fn answer(
    rest: &Rest,
    call: &mut Call,
    request: Admitted,
    target: &Target,
) -> ApiResult<Response<Body>> {
    let kind = match target.resource() {
        "nodes" => "NodeProxyOptions",
        "pods" => "PodProxyOptions",
        _ => "ServiceProxyOptions",
    };
    // Whether there is what is asked for shows when it is connected to.
    rest.engine.admit_connect(call, target, asked(kind, &request, target)).await?;
    let mut named_target = target.whole();
    let name = named(&target.name).ok_or_else(|| {
        let kind = target.resource().trim_end_matches('s');
        Status::bad_request(format!("invalid {kind} request {}", mainstay_api::field::go_quote(&target.name)))
    })?;
    named_target.name = name.name.to_owned();
    let object = super::object(rest, &named_target).await?;
    let place = match target.resource() {
        "nodes" => node_place(&object, name.port)?,
        "pods" => pod_place(&object, &name)?,
        _ => service_place(&rest.engine.reader, &object, &name, &target.name)?,
    };
    if name.scheme == "https" {
        return Err(Status::failure(501, "NotImplemented", "the proxy speaks HTTP only"));
    }
    let Admitted { parts, body, .. } = request;
    let prefix = prefix(parts.uri.path(), target);
    let mut passed = Request::builder().method(parts.method.clone()).uri(rest_of(&parts.uri, &prefix)?);
    let host = place.address.as_ref().map_or_else(|| place.node.clone(), |(host, port)| authority(host, *port));
    if let Some(headers) = passed.headers_mut() {
        *headers = passed_on(&parts.headers);
        headers.insert(header::HOST, HeaderValue::try_from(host).map_err(Status::internal)?);
    }
    let passed = passed.body(body).map_err(Status::internal)?;
    let answered = match &place.address {
        None => relay::send(rest, &place.node, passed).await?,
        Some((host, port)) => {
            let connection = relay::dial(rest, &place.node, host, *port).await?;
            relay::send_on(connection, &place.node, passed).await?
        }
    };
    if answered.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(relay::switch(rest, parts, answered));
    }
    Ok(passed_back(rest, answered, &prefix))
}

/// Host and port as the header has them.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What is asked of the proxy, as the object that it stands for.
fn asked(kind: &str, request: &Admitted, target: &Target) -> Value {
    let whole = request.parts.uri.path();
    let below = whole.strip_prefix(&prefix(whole, target)).unwrap_or_default();
    let mut asked = super::asked(kind, &request.query);
    match (below, request.query.get("path")) {
        ("", None) => {}
        ("", Some(path)) => asked["path"] = path.into(),
        (below, _) => asked["path"] = crate::percent::unescape(below).into(),
    }
    asked
}

/// All but what is about the connection; a wish to switch protocols is passed on.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    let switching = headers.contains_key(header::UPGRADE);
    for name in &NOT_PASSED_ON {
        passed.remove(name);
    }
    if switching {
        for name in [header::CONNECTION, header::UPGRADE] {
            if let Some(value) = headers.get(&name) {
                passed.insert(name, value.clone());
            }
        }
    }
    passed
}

fn passed_back(rest: &Rest, answered: Answered, prefix: &str) -> Response<Body> {
    let mut headers = passed_on(answered.response.headers());
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let moved = location.filter(|to| to.starts_with('/')).and_then(|to| format!("{prefix}{to}").parse().ok());
    if let Some(moved) = moved {
        headers.insert(header::LOCATION, moved);
    }
    let status = answered.response.status();
    let mut response = Response::new(answered.into_body(rest));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The part of the path up to the word `proxy`.
fn prefix(path: &str, target: &Target) -> String {
    let segments = if target.resource() == "nodes" { 6 } else { 8 };
    path.split('/').take(segments).collect::<Vec<_>>().join("/")
}

/// What comes after that, as it was written.
fn rest_of(uri: &Uri, prefix: &str) -> ApiResult<PathAndQuery> {
    let all = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = all.strip_prefix(prefix).unwrap_or_default();
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    rest.parse().map_err(|_| Status::bad_request("the proxied path is malformed"))
}

fn node_place(node: &Value, port: &str) -> ApiResult<Place> {
    let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if port.is_empty() || port == KUBELET_PORT {
        return Ok(Place { node: name, address: None });
    }
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let internal = addresses.filter(|a| a["type"] == "InternalIP").find_map(|a| a["address"].as_str());
    let internal = internal.ok_or_else(|| {
        let none = || Status::bad_request(format!("no address of node {name} is known"));
        relay::unknown(&name, Some(node)).unwrap_or_else(none)
    })?;
    Ok(Place { node: name, address: Some((internal.to_owned(), number(port)?)) })
}

fn pod_place(pod: &Value, name: &Named<'_>) -> ApiResult<Place> {
    let address = pod["status"]["podIP"].as_str().filter(|ip| may_be_proxied_to(ip));
    let address = address.ok_or_else(|| Status::bad_request("address not allowed"))?;
    let port = if name.port.is_empty() { first_port(pod) } else { number(name.port)? };
    Ok(Place { node: super::host(pod, name.name)?.to_owned(), address: Some((address.to_owned(), port)) })
}

/// Whether an address is one of a single host that is seen from elsewhere: a pod may not name the server's own.
fn may_be_proxied_to(ip: &str) -> bool {
    match ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            !(ip.is_broadcast() || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_link_local())
        }
        Ok(IpAddr::V6(ip)) => {
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_unicast_link_local())
        }
        Err(_) => false,
    }
}

fn first_port(pod: &Value) -> u16 {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports.find_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok()).unwrap_or(80)
}

fn number(port: &str) -> ApiResult<u16> {
    port.parse().map_err(|_| Status::bad_request(format!("invalid port {port:?}")))
}

/// `asked` is the name as the request has it.
fn service_place(reader: &impl Reader, service: &Value, name: &Named<'_>, asked: &str) -> ApiResult<Place> {
    let port = service_port(service, name)?;
    let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
    let endpoints = reader.get("", "endpoints", namespace, name.name);
    let endpoints = endpoints.ok_or_else(|| Status::not_found("", "services", name.name))?;
    let none = |name: &str| Status::service_unavailable(format!("no endpoints available for service {name:?}"));
    if endpoints["subsets"].as_array().is_none_or(Vec::is_empty) {
        return Err(none(name.name));
    }
    let choice = places(&endpoints, &port, |address| is_of_a_pod(reader, namespace, address));
    choice.choose(&mut rand::rng()).cloned().ok_or_else(|| none(asked))
}

/// Whether an address is one of a pod of this namespace: whoever writes endpoints by hand may name any address.
fn is_of_a_pod(reader: &impl Reader, namespace: &str, address: &Value) -> bool {
    let target = &address["targetRef"];
    let name = target["name"].as_str().filter(|_| target["namespace"] == namespace);
    let Some(pod) = name.and_then(|name| reader.get("", "pods", namespace, name)) else { return false };
    let mut ips = pod["status"]["podIPs"].as_array().into_iter().flatten();
    ips.any(|ip| ip["ip"] == address["ip"])
}

/// The name of the service's port that is meant; a number is looked up.
fn service_port(service: &Value, name: &Named<'_>) -> ApiResult<String> {
    let Ok(number) = name.port.parse::<u64>() else { return Ok(name.port.to_owned()) };
    let ports = service["spec"]["ports"].as_array();
    let found = ports.into_iter().flatten().find(|port| port["port"] == number);
    let found = found.map(|port| port["name"].as_str().unwrap_or_default().to_owned());
    found.ok_or_else(|| {
        Status::service_unavailable(format!("no service port {} found for service {:?}", name.port, name.name))
    })
}

/// Where the port of this name is served. Addresses that no node holds cannot be reached.
fn places(endpoints: &Value, port: &str, may_be_used: impl Fn(&Value) -> bool) -> Vec<Place> {
    let mut all = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let ports = subset["ports"].as_array().into_iter().flatten();
        let numbers: Vec<u16> = ports
            .filter(|known| known["name"].as_str().unwrap_or_default() == port)
            .filter_map(|known| u16::try_from(known["port"].as_u64()?).ok())
            .collect();
        let addresses = subset["addresses"].as_array().into_iter().flatten();
        for address in addresses.filter(|address| may_be_used(address)) {
            if let (Some(ip), Some(node)) = (address["ip"].as_str(), address["nodeName"].as_str()) {
                all.extend(numbers.iter().map(|port| Place { node: node.into(), address: Some((ip.into(), *port)) }));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::Objects;

    #[test]
    fn an_address_of_colons_stands_in_brackets() {
        assert_eq!(authority("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(authority("fd00::1", 80), "[fd00::1]:80");
    }

    #[test]
    fn a_proxied_name_may_carry_scheme_and_port() {
        let is = |scheme, name, port| Some(Named { scheme, name, port });
        assert_eq!(named("a"), is("", "a", ""));
        assert_eq!(named("a:80"), is("", "a", "80"));
        assert_eq!(named("https:a:web"), is("https", "a", "web"));
        for odd in ["", ":80", "ftp:a:80", "http::80", "http:a:80:b"] {
            assert_eq!(named(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_rest_of_the_path_is_passed_as_it_was_written() {
        let uri: Uri = "/api/v1/namespaces/d/pods/a:80/proxy/x%20y/z?q=1".parse().unwrap();
        assert_eq!(rest_of(&uri, "/api/v1/namespaces/d/pods/a:80/proxy").unwrap(), "/x%20y/z?q=1");
        let bare: Uri = "/api/v1/nodes/n/proxy".parse().unwrap();
        assert_eq!(rest_of(&bare, "/api/v1/nodes/n/proxy").unwrap(), "/");
    }

    #[test]
    fn a_service_is_any_of_its_endpoints_that_serve_the_port() {
        let service = json!({"spec": {"ports": [{"port": 80, "name": "web"}]}});
        assert_eq!(service_port(&service, &named("a:80").unwrap()).unwrap(), "web");
        let error = service_port(&service, &named("a:90").unwrap()).unwrap_err();
        assert_eq!(error.message, "no service port 90 found for service \"a\"");
        let endpoints = json!({"subsets": [{"ports": [{"name": "web", "port": 8080}, {"name": "x", "port": 1}],
            "addresses": [{"ip": "10.0.0.1", "nodeName": "n"}, {"ip": "10.0.0.2"}]}]});
        let here = Place { node: "n".into(), address: Some(("10.0.0.1".into(), 8080)) };
        assert_eq!(places(&endpoints, "web", |_| true), [here]);
    }

    #[test]
    fn endpoints_that_are_no_pods_of_the_namespace_are_passed_over() {
        let service = json!({"metadata": {"name": "a", "namespace": "d"}, "spec": {"ports": [{"port": 80}]}});
        let pod = json!({"metadata": {"name": "p", "namespace": "d"}, "status": {"podIPs": [{"ip": "10.0.0.1"}]}});
        let found = |asked: &str, subsets: Value| {
            let endpoints = json!({"metadata": {"name": "a", "namespace": "d"}, "subsets": subsets});
            let reader = Objects(vec![("", "pods", pod.clone()), ("", "endpoints", endpoints)]);
            let place = service_place(&reader, &service, &named(asked).unwrap(), asked);
            place.map(|place| place.address).map_err(|status| status.message.into_owned())
        };
        let of = |address: Value| json!([{"ports": [{"port": 8080}], "addresses": [address]}]);
        let target = json!({"kind": "Pod", "namespace": "d", "name": "p"});
        let good = json!({"ip": "10.0.0.1", "nodeName": "n", "targetRef": target.clone()});
        assert_eq!(found("a", of(good)), Ok(Some(("10.0.0.1".to_owned(), 8080))));
        let none = |name: &str| Err(format!("no endpoints available for service \"{name}\""));
        assert_eq!(found("http:a:", of(json!({"ip": "10.0.0.1", "nodeName": "n"}))), none("http:a:"));
        let other = json!({"ip": "10.0.0.2", "nodeName": "n", "targetRef": target});
        assert_eq!(found("a:80", of(other)), none("a:80"));
        assert_eq!(found("http:a:", json!([])), none("a"));
    }

    #[test]
    fn a_pod_without_an_address_cannot_be_reached() {
        let name = named("a").unwrap();
        for ip in ["", "127.0.0.1", "169.254.1.1", "::1", "::ffff:127.0.0.1", "fe80::1", "x"] {
            let pod = json!({"spec": {"nodeName": "n"}, "status": {"podIP": ip}});
            assert_eq!(pod_place(&pod, &name).unwrap_err().message, "address not allowed", "{ip}");
        }
        let pod = json!({"spec": {"nodeName": "n", "containers": [{"ports": [{"containerPort": 81}]}]},
            "status": {"podIP": "10.0.0.1"}});
        assert_eq!(pod_place(&pod, &name).unwrap().address, Some(("10.0.0.1".into(), 81)));
    }
}
