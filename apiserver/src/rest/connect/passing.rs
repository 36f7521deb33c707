//! What of a proxied request and its answer is passed on.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use tonic::body::Body;

use super::relay::Answered;
use crate::gate::Remote;
use crate::rest::Rest;
use crate::upgrade;

/// Headers that are about one connection, or about the client and this server only.
const NOT_PASSED_ON: [HeaderName; 11] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::HOST,
    header::AUTHORIZATION,
];

/// What only this server may say to browsers.
const NOT_PASSED_BACK: [HeaderName; 4] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The names of who answers.
pub(super) struct Hosts {
    /// The client's for this server.
    pub(super) asked: String,
    /// Its own address.
    pub(super) own: String,
}

pub(super) fn host_of(parts: &Parts) -> Option<String> {
    let said = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    said.or_else(|| parts.uri.authority().map(ToString::to_string))
}

/// Who reads without any path is sent to the root: what is relative there leads somewhere.
pub(super) fn sent_to_the_root(parts: &Parts, prefix: &str) -> Option<Response<Body>> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if parts.uri.path() != prefix || !reads || upgrade::is_wanted(&parts.headers) {
        return None;
    }
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let sent = Response::builder()
        .status(StatusCode::MOVED_PERMANENTLY)
        .header(header::LOCATION, format!("{prefix}/{query}"))
        .header(header::CACHE_CONTROL, "no-cache, private");
    sent.body(Body::empty()).ok()
}

/// Says who is asked on whose behalf, and by which path.
pub(super) fn forwarded(headers: &mut HeaderMap, parts: &Parts) {
    if let Some(Remote(client)) = parts.extensions.get::<Remote>() {
        let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<String> = before.map(str::to_owned).chain([client.to_canonical().to_string()]).collect();
        if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
            headers.insert(FORWARDED_FOR, value);
        }
    }
    if !upgrade::is_wanted(&parts.headers)
        && let Ok(path) = HeaderValue::try_from(parts.uri.path())
    {
        headers.insert(FORWARDED_URI, path);
    }
}

/// All but what is about the connection; a wish to switch protocols is passed on, and what is said with it.
pub(super) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    let switching = headers.contains_key(header::UPGRADE);
    if !switching {
        crate::rest::headers::forget_named(&mut passed);
    }
    // Only this server may say who asks of whom it trusts with that.
    crate::rest::headers::forget(&mut passed, "x-remote-");
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

pub(super) fn passed_back(rest: &Rest, answered: Answered, prefix: &str, hosts: &Hosts) -> Response<Body> {
    let mut headers = passed_on(answered.response.headers());
    for name in &NOT_PASSED_BACK {
        headers.remove(name);
    }
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let moved = location.and_then(|to| moved(to, prefix, hosts)).and_then(|to| to.parse().ok());
    if let Some(moved) = moved {
        headers.insert(header::LOCATION, moved);
    }
    let status = answered.response.status();
    let mut response = Response::new(answered.into_body(rest));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Where the client is sent, by way of the proxy; `None` if that is elsewhere or said relatively.
fn moved(to: &str, prefix: &str, hosts: &Hosts) -> Option<String> {
    let start = ["http://", "https://", "//"].into_iter().find(|start| to.starts_with(start)).unwrap_or_default();
    let rest = &to[start.len()..];
    let path_begins = if start.is_empty() { 0 } else { rest.find(['/', '?', '#']).unwrap_or(rest.len()) };
    let (host, path) = rest.split_at(path_begins);
    let known = host.is_empty() || host == hosts.asked || host == hosts.own;
    if !known || !path.starts_with('/') {
        return None;
    }
    let origin = if !host.is_empty() && host == hosts.asked { format!("{start}{host}") } else { String::new() };
    let prefix = if path.starts_with(prefix) { "" } else { prefix };
    Some(format!("{origin}{prefix}{path}"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn who_asks_for_no_path_is_sent_to_the_root() {
        const POD: &str = "/api/v1/namespaces/d/pods/a/proxy";
        let sent = |method: Method, path: &str| {
            let (parts, ()) = Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
            let sent = sent_to_the_root(&parts, POD)?;
            Some((sent.status().as_u16(), sent.headers()[header::LOCATION].to_str().unwrap().to_owned()))
        };
        assert_eq!(sent(Method::GET, &format!("{POD}?a=b")), Some((301, format!("{POD}/?a=b"))));
        assert_eq!(sent(Method::GET, &format!("{POD}/")), None);
        assert_eq!(sent(Method::POST, POD), None);
    }

    #[test]
    fn who_is_sent_elsewhere_on_the_same_host_stays_with_the_proxy() {
        let hosts = Hosts { asked: "localhost:8001".to_owned(), own: "10.0.0.1:80".to_owned() };
        let moved = |to: &str| moved(to, "/p/proxy", &hosts);
        let to = |place: &str| Some(place.to_owned());
        assert_eq!(moved("/x/?q=1#f"), to("/p/proxy/x/?q=1#f"));
        assert_eq!(moved("/p/proxy/x"), to("/p/proxy/x"));
        assert_eq!(moved("http://10.0.0.1:80/x"), to("/p/proxy/x"));
        assert_eq!(moved("http://localhost:8001/x"), to("http://localhost:8001/p/proxy/x"));
        for elsewhere in ["x", "https://example.com/x", "//example.com/x", "http://10.0.0.1:80", "?q"] {
            assert_eq!(moved(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_between_two_ends_is_not_passed_on() {
        let names =
            ["accept", "authorization", "keep-alive", "proxy-authorization", "x-remote-user", "x-remote-extra-a"];
        let of = |name: &'static str| (HeaderName::from_static(name), HeaderValue::from_static("x"));
        let mut headers: HeaderMap = names.into_iter().map(of).collect();
        let left =
            |headers: &HeaderMap| -> Vec<String> { passed_on(headers).keys().map(ToString::to_string).collect() };
        assert_eq!(left(&headers), ["accept"]);
        headers.insert("x-hop", HeaderValue::from_static("x"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close, X-Hop"));
        assert_eq!(left(&headers), ["accept"]);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let switching = left(&headers);
        assert!(["upgrade", "connection", "x-hop"].iter().all(|name| switching.iter().any(|own| own == name)));
    }

    #[test]
    fn backends_are_told_who_asks_and_for_what() {
        let request = Request::get("/api/v1/nodes/n/proxy/x?q=1").header(FORWARDED_FOR, "10.0.0.9");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(Remote("::ffff:10.0.0.1".parse().unwrap()));
        let mut headers = passed_on(&parts.headers);
        forwarded(&mut headers, &parts);
        assert_eq!(headers[FORWARDED_FOR], "10.0.0.9, 10.0.0.1");
        assert_eq!(headers[FORWARDED_URI], "/api/v1/nodes/n/proxy/x");
    }
}
