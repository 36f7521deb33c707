//! The proxies: HTTP to a pod, to one of the pods behind a service, or to a node's agent, as if the API server were there.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use mainstay_api::status::{ApiResult, Status};
use rand::seq::IndexedRandom;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;

use super::passing::{Hosts, forwarded, host_of, passed_back, passed_on, sent_to_the_root};
use super::relay::{self, Answered};
use crate::engine::{Call, Target};
use crate::percent;
use crate::rest::Rest;
use crate::rest::admitted::Admitted;
use crate::strategy::Reader;

/// The port of a kubelet, for which the agent's own server stands in.
const KUBELET_PORT: &str = "10250";

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
    let Admitted { parts, body, .. } = request;
    let prefix = prefix(parts.uri.path(), target);
    if let Some(sent) = sent_to_the_root(&parts, &prefix) {
        return Ok(sent);
    }
    let own = place.address.as_ref().map_or_else(|| place.node.clone(), |(host, port)| authority(host, *port));
    let hosts = Hosts { asked: host_of(&parts).unwrap_or_else(|| own.clone()), own };
    let passed = request_on(&parts, &prefix, &hosts, body)?;
    let answered = ask(rest, &place, name.scheme == "https", passed).await?;
    if answered.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(relay::switch(rest, parts, answered));
    }
    Ok(passed_back(rest, answered, &prefix, &hosts))
}

/// What a request is on its way on.
fn request_on(parts: &Parts, prefix: &str, hosts: &Hosts, body: Body) -> ApiResult<Request<Body>> {
    let mut passed = Request::builder().method(parts.method.clone()).uri(rest_of(&parts.uri, prefix)?);
    if let Some(headers) = passed.headers_mut() {
        *headers = passed_on(&parts.headers);
        forwarded(headers, parts);
        headers.insert(header::HOST, HeaderValue::try_from(&hosts.asked).map_err(Status::internal)?);
    }
    passed.body(body).map_err(Status::internal)
}

/// Sends a request to where it goes.
async fn ask(rest: &Rest, place: &Place, over_tls: bool, request: Request<Body>) -> ApiResult<Answered> {
    let Some((host, port)) = &place.address else { return relay::send(rest, &place.node, request).await };
    let connection = relay::dial(rest, &place.node, host, *port).await?;
    if over_tls {
        relay::send_on(secured(connection, host).await?, &place.node, request).await
    } else {
        relay::send_on(connection, &place.node, request).await
    }
}

/// TLS on a connection. Who answers at an address is taken for whom it belongs to, as without TLS.
async fn secured(connection: Upgraded, host: &str) -> ApiResult<TokioIo<TlsStream<TokioIo<Upgraded>>>> {
    let config = crate::pki::unverified_client_config().map_err(unreached)?;
    let name = ServerName::try_from(host.to_owned()).map_err(unreached)?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, TokioIo::new(connection));
    let connected = tokio::time::timeout(relay::CONNECT, connecting).await;
    let stream = connected.map_err(|_| unreached("net/http: TLS handshake timeout"))?.map_err(unreached)?;
    Ok(TokioIo::new(stream))
}

fn unreached(why: impl std::fmt::Display) -> Status {
    Status::service_unavailable(format!("error trying to reach service: {why}"))
}

/// Host and port as the header has them.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What is asked of the proxy, as the object that it stands for.
fn asked(kind: &str, request: &Admitted, target: &Target) -> Value {
    let whole = request.parts.uri.path();
    // What the query says of a path does not count.
    let below = whole.strip_prefix(&prefix(whole, target)).unwrap_or_default();
    let mut asked = json!({"apiVersion": "v1", "kind": kind});
    if !below.is_empty() {
        asked["path"] = percent::unescape(below).into();
    }
    asked
}

/// The part of the path up to the word `proxy`.
fn prefix(path: &str, target: &Target) -> String {
    let segments = if target.resource() == "nodes" { 6 } else { 8 };
    path.split('/').take(segments).collect::<Vec<_>>().join("/")
}

/// What comes after that, as Kubernetes passes it on: read, without detours, and written anew. Many clients escape the
/// slashes of a path that they are given.
fn rest_of(uri: &Uri, prefix: &str) -> ApiResult<PathAndQuery> {
    let below = uri.path().strip_prefix(prefix).unwrap_or_default();
    let mut rest = percent::path(&without_detours(&percent::unescaped(below)));
    if let Some(query) = uri.query() {
        rest.push('?');
        rest.push_str(query);
    }
    rest.parse().map_err(|_| Status::bad_request("the proxied path is malformed"))
}

/// A path from the root without empty parts, and without steps to nowhere and back.
fn without_detours(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut out = vec![b'/'];
    out.extend(parts.join(&b'/'));
    if path.ends_with(b"/") && !parts.is_empty() {
        out.push(b'/');
    }
    out
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
    let usual = if name.scheme == "https" { 443 } else { 80 };
    let port = if name.port.is_empty() { first_port(pod).unwrap_or(usual) } else { number(name.port)? };
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

fn first_port(pod: &Value) -> Option<u16> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports.find_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok())
}

/// A port to connect to; what is none shows when it is connected to.
fn number(port: &str) -> ApiResult<u16> {
    port.parse().map_err(|_| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let why = if is_number {
            format!("address {port}: invalid port")
        } else {
            format!("lookup tcp/{port}: unknown port")
        };
        unreached(format!("dial tcp: {why}"))
    })
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
    let Ok(number) = name.port.parse::<i64>() else { return Ok(name.port.to_owned()) };
    let ports = service["spec"]["ports"].as_array();
    let found = ports.into_iter().flatten().find(|port| port["port"] == number);
    let found = found.map(|port| port["name"].as_str().unwrap_or_default().to_owned());
    found.ok_or_else(|| {
        Status::service_unavailable(format!("no service port {number} found for service {:?}", name.name))
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
    fn ports_that_are_none_cannot_be_dialed() {
        let why = |port| number(port).unwrap_err().message.into_owned();
        assert_eq!(why("web"), "error trying to reach service: dial tcp: lookup tcp/web: unknown port");
        assert_eq!(why("70000"), "error trying to reach service: dial tcp: address 70000: invalid port");
        assert_eq!(number("80"), Ok(80));
    }

    #[test]
    fn the_rest_of_the_path_is_read_and_written_anew() {
        const PREFIX: &str = "/api/v1/namespaces/d/pods/a:80/proxy";
        let rest = |below: &str| {
            let uri: Uri = format!("{PREFIX}{below}").parse().unwrap();
            rest_of(&uri, PREFIX).unwrap().to_string()
        };
        assert_eq!(rest("/x%20y/z?q=1%2F2"), "/x%20y/z?q=1%2F2");
        assert_eq!(rest("/a%2Fb%3Fc"), "/a/b%3Fc");
        assert_eq!(rest("//a/./b/../c/"), "/a/c/");
        assert_eq!(rest("/a/%2e%2e/../b"), "/b");
        for nothing in ["", "/", "/a/../", "/."] {
            assert_eq!(rest(nothing), "/", "{nothing}");
        }
    }

    #[test]
    fn a_service_is_any_of_its_endpoints_that_serve_the_port() {
        let service = json!({"spec": {"ports": [{"port": 80, "name": "web"}]}});
        assert_eq!(service_port(&service, &named("a:80").unwrap()).unwrap(), "web");
        let error = service_port(&service, &named("a:90").unwrap()).unwrap_err();
        assert_eq!(error.message, "no service port 90 found for service \"a\"");
        let error = service_port(&service, &named("a:-1").unwrap()).unwrap_err();
        assert_eq!(error.message, "no service port -1 found for service \"a\"");
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
        let bare = json!({"spec": {"nodeName": "n"}, "status": {"podIP": "10.0.0.1"}});
        let port = |name: &str| pod_place(&bare, &named(name).unwrap()).unwrap().address.unwrap().1;
        assert_eq!((port("a"), port("http:a:"), port("https:a:"), port("https:a:8443")), (80, 80, 443, 8443));
    }
}
