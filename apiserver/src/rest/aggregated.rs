//! Requests for groups that another server serves: passed on over TLS, with who asks in headers that the other server
//! believes because of the certificate that comes with them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream, Empty, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rand::seq::IndexedRandom;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;

use super::admitted::Admitted;
use super::{Rest, respond};
use crate::aggregation::backend::{self, Backend, Unavailable};
use crate::aggregation::remote::Remote;
use crate::strategy::Reader;
use crate::user::UserInfo;

/// To reach the other server and agree on TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of a discovery document at the most.
const DOCUMENT: usize = 4 << 20;
/// What is between two servers, and who asks, which only this server may say.
const NOT_PASSED_ON: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Passes a request on and its answer back.
pub(crate) async fn proxy(rest: &Rest, remote: &Remote, request: Admitted) -> Response<Body> {
    if !remote.available {
        return unavailable();
    }
    let Ok(backends) = backend::backends(remote, &rest.engine.reader) else { return unavailable() };
    let Some(backend) = backends.choose(&mut rand::rng()) else { return unavailable() };
    match pass(rest, remote, backend, request).await {
        Ok(response) => response,
        Err(why) => respond::text(503, format!("error trying to reach service: {why}\n")),
    }
}

fn unavailable() -> Response<Body> {
    respond::text(503, "service unavailable\n")
}

async fn pass(rest: &Rest, remote: &Remote, backend: &Backend, request: Admitted) -> Result<Response<Body>, String> {
    let Admitted { parts, body, user, .. } = request;
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut passed = Request::builder().method(parts.method.clone()).uri(path);
    if let Some(headers) = passed.headers_mut() {
        *headers = headers_for(&parts.headers, &user);
        let host = HeaderValue::try_from(remote.host()).map_err(|error| error.to_string())?;
        headers.insert(header::HOST, host);
    }
    let passed = passed.body(body).map_err(|error| error.to_string())?;
    let (mut sender, connection) = open(rest, remote, backend).await?;
    let response = sender.send_request(passed).await.map_err(|error| error.to_string())?;
    Ok(passed_back(rest, response, connection))
}

fn passed_back(rest: &Rest, response: Response<Incoming>, connection: AbortOnDropHandle<()>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let frames = futures::StreamExt::map(BodyStream::new(body), move |frame| {
        // The connection lives as long as somebody reads from it.
        let _driven = &connection;
        frame
    });
    let stopped = rest.stop.clone().cancelled_owned();
    let body = Body::new(StreamBody::new(futures::StreamExt::take_until(frames, stopped)));
    let mut answer = Response::new(body);
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = parts.headers;
    super::headers::forget_named(answer.headers_mut());
    for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
        answer.headers_mut().remove(name);
    }
    answer
}

/// The client's headers without those that are not the client's to say, and who the client is.
fn headers_for(from: &HeaderMap, user: &UserInfo) -> HeaderMap {
    let mut headers = from.clone();
    super::headers::forget_named(&mut headers);
    super::headers::forget(&mut headers, "x-remote-");
    for name in &NOT_PASSED_ON {
        headers.remove(name);
    }
    let mut add = |name: &str, text: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.name);
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid);
    }
    user.groups.iter().for_each(|group| add("x-remote-group", group));
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key));
        values.iter().for_each(|value| add(&name, value));
    }
    headers
}

/// A key as part of a header's name.
fn escaped(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    key.bytes()
        .map(
            |byte| if plain(byte) { char::from(byte.to_ascii_lowercase()).to_string() } else { format!("%{byte:02x}") },
        )
        .collect()
}

type Opened = (http1::SendRequest<Body>, AbortOnDropHandle<()>);

/// A connection of its own to the other server.
async fn open(rest: &Rest, remote: &Remote, backend: &Backend) -> Result<Opened, String> {
    let connected = tokio::time::timeout(CONNECT, secured(rest, remote, backend)).await;
    let stream = connected.map_err(|_| "context deadline exceeded".to_owned())??;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an aggregated server broke");
        }
    });
    Ok((sender, AbortOnDropHandle::new(task)))
}

async fn secured(rest: &Rest, remote: &Remote, backend: &Backend) -> Result<TlsStream<Box<dyn Socket>>, String> {
    let socket: Box<dyn Socket> = match &backend.node {
        // The masters need not be on the pod network; the node is.
        Some(node) if rest.engine.reader.get("", "nodes", "", node).is_some() => {
            let dialed = super::connect::dial(rest, node, &backend.host, backend.port).await;
            Box::new(TokioIo::new(dialed.map_err(|status| status.message)?))
        }
        _ => {
            let address = (backend.host.as_str(), backend.port);
            let socket = TcpStream::connect(address).await;
            Box::new(socket.map_err(|error| format!("dial tcp {}:{}: {error}", backend.host, backend.port))?)
        }
    };
    let tls = rest.aggregator.tls(remote)?;
    let name = ServerName::try_from(remote.host()).map_err(|error| error.to_string())?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, socket).await;
    stream.map_err(|error| format!("tls: {error}"))
}

/// What a remote says it serves; asked of one of its servers.
///
/// # Errors
/// Why it cannot be used, with Kubernetes' reason.
pub(crate) async fn discover(rest: &Rest, remote: &Remote) -> Result<Value, Unavailable> {
    let backends = backend::backends(remote, &rest.engine.reader)?;
    let url = format!("https://{}:{}{}", remote.host(), remote.port, remote.path());
    let wrong = |why: String| Unavailable {
        reason: "FailedDiscoveryCheck",
        message: format!("failing or missing response from {url}: {why}"),
    };
    let Some(backend) = backends.choose(&mut rand::rng()) else { return Err(wrong("no backend".into())) };
    let asked = ask(rest, remote, backend);
    match tokio::time::timeout(CONNECT, asked).await {
        Ok(answer) => answer.map_err(|why| wrong(format!("Get \"{url}\": {why}"))),
        Err(_) => Err(wrong(format!("Get \"{url}\": context deadline exceeded"))),
    }
}

async fn ask(rest: &Rest, remote: &Remote, backend: &Backend) -> Result<Value, String> {
    let (mut sender, _connection) = open(rest, remote, backend).await?;
    let mut request = Request::get(remote.path()).body(Body::new(Empty::<Bytes>::new()));
    if let Ok(request) = &mut request {
        let user = UserInfo { groups: vec!["system:masters".into()], ..UserInfo::master("aggregator") };
        *request.headers_mut() = headers_for(&HeaderMap::new(), &user);
        let host = HeaderValue::try_from(remote.host()).map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    }
    let response = sender.send_request(request.map_err(|error| error.to_string())?).await;
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(format!("bad status from the server: {}", status.as_u16()));
    }
    let body = Limited::new(response.into_body(), DOCUMENT).collect().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_said_by_this_server_alone() {
        let mut from = HeaderMap::new();
        from.insert("x-remote-user", HeaderValue::from_static("root"));
        from.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        from.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        from.insert("x-hop", HeaderValue::from_static("x"));
        from.insert(header::CONNECTION, HeaderValue::from_static("X-Hop, x-remote-user"));
        let user = UserInfo {
            name: "ada".into(),
            groups: vec!["a".into(), "b".into()],
            extra: [("x.io/K".to_owned(), vec!["v".to_owned()])].into(),
            ..UserInfo::default()
        };
        let headers = headers_for(&from, &user);
        assert_eq!(headers["x-remote-user"], "ada");
        assert_eq!(headers.get_all("x-remote-group").iter().count(), 2);
        assert_eq!(headers["x-remote-extra-x.io%2fk"], "v");
        assert!(!headers.contains_key(header::AUTHORIZATION) && headers.contains_key(header::ACCEPT));
        assert!(!headers.contains_key("x-hop") && !headers.contains_key(header::CONNECTION));
    }
}
