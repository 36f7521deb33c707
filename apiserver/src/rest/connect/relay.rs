//! HTTP to a node's agent, over the tunnel of its session.

use std::time::Duration;

use futures::StreamExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use mainstay_api::field::go_quote;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;

use crate::engine::Target;
use crate::rest::Rest;
use crate::strategy::Reader;

/// To reach the agent and get its connection up.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// From the request to the head of the agent's answer.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of an agent's error text that are read.
const ERROR_LIMIT: usize = 2048;
/// After the agent has ended its side, a client that does not end its own is left so soon.
const LINGER: Duration = Duration::from_secs(5);
/// The headers by which protocols are switched, both ways.
const SWITCHING: [HeaderName; 8] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
    HeaderName::from_static("x-stream-protocol-version"),
];

/// What is asked of which agent.
pub(super) struct Place<'a> {
    pub node: &'a str,
    pub path: String,
}

/// An answer, and the task that drives its connection, which ends when this is dropped.
pub(super) struct Answered {
    pub response: Response<Incoming>,
    pub connection: AbortOnDropHandle<()>,
}

impl Answered {
    /// The body while it comes, until the server stops.
    pub fn into_body(self, rest: &Rest) -> Body {
        let Answered { response, connection } = self;
        let frames = BodyStream::new(response.into_body()).map(move |frame| {
            // The connection lives as long as somebody reads from it.
            let _driven = &connection;
            frame
        });
        Body::new(StreamBody::new(frames.take_until(rest.stop.clone().cancelled_owned())))
    }
}

/// Passes on a log as plain text while it comes.
pub(super) async fn stream(rest: &Rest, place: &Place<'_>, target: &Target) -> ApiResult<Response<Body>> {
    let answered = ask(rest, place, Method::GET, HeaderMap::new()).await?;
    let code = answered.response.status();
    if !code.is_success() {
        return Err(no_log(code, words(answered).await, &target.name));
    }
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/plain")
        .header(header::CACHE_CONTROL, "no-cache, private");
    response.body(answered.into_body(rest)).map_err(Status::internal)
}

/// Joins the client's connection with the agent's, once both have switched protocols.
pub(super) async fn upgrade(
    rest: &Rest,
    place: &Place<'_>,
    target: &Target,
    parts: Parts,
) -> ApiResult<Response<Body>> {
    if !crate::upgrade::is_wanted(&parts.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let answered = ask(rest, place, parts.method.clone(), switching(&parts.headers)).await?;
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answered, target).await);
    }
    Ok(switch(rest, parts, answered))
}

/// Tells the client that its connection is switched, as the answer says, and joins the two.
pub(super) fn switch(rest: &Rest, parts: Parts, mut answered: Answered) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = switching(answered.response.headers());
    let client = hyper::upgrade::on(Request::from_parts(parts, ()));
    let agent = hyper::upgrade::on(&mut answered.response);
    let stop = rest.stop.clone();
    tokio::spawn(async move {
        let joined = tokio::select! {
            joined = join(client, agent) => joined,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(error) = joined {
            tracing::debug!(%error, "a stream to a node ended");
        }
        drop(answered);
    });
    response
}

async fn join(client: hyper::upgrade::OnUpgrade, agent: hyper::upgrade::OnUpgrade) -> std::io::Result<()> {
    let both = async { tokio::try_join!(client, agent) };
    let both = tokio::time::timeout(CONNECT, both).await.map_err(std::io::Error::other)?;
    let (client, agent) = both.map_err(std::io::Error::other)?;
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_agent, mut to_agent) = tokio::io::split(TokioIo::new(agent));
    let upward = async {
        tokio::io::copy(&mut from_client, &mut to_agent).await?;
        to_agent.shutdown().await
    };
    let downward = async {
        tokio::io::copy(&mut from_agent, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::pin!(upward, downward);
    tokio::select! {
        sent = &mut upward => {
            sent?;
            downward.await
        }
        sent = &mut downward => {
            sent?;
            tokio::time::timeout(LINGER, upward).await.unwrap_or(Ok(()))
        }
    }
}

/// The headers of a switch of protocols, out of all.
pub(super) fn switching(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in &SWITCHING {
        for value in from.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Sends a request without a body to an agent.
async fn ask(rest: &Rest, place: &Place<'_>, method: Method, headers: HeaderMap) -> ApiResult<Answered> {
    let request = Request::builder().method(method).uri(&place.path).header(header::HOST, place.node);
    let mut request = request.body(Body::empty()).map_err(Status::internal)?;
    request.headers_mut().extend(headers);
    send(rest, place.node, request).await
}

/// Sends a request to the server of a node's agent.
pub(super) async fn send(rest: &Rest, node: &str, request: Request<Body>) -> ApiResult<Answered> {
    let connected = tokio::time::timeout(CONNECT, rest.agents.dial(node)).await;
    let tunnel = connected.map_err(|_| silent(node))?.map_err(|status| {
        let known = rest.engine.reader.get("", "nodes", "", node);
        if status.code() == 503 { unknown(node, known.as_deref()).unwrap_or(status) } else { status }
    })?;
    send_on(TokioIo::new(tunnel), node, request).await
}

/// Why no agent is heard, if that is to be seen from its node.
pub(super) fn unknown(name: &str, node: Option<&Value>) -> Option<Status> {
    let Some(node) = node else { return Some(Status::not_found("", "nodes", name)) };
    let addresses = node["status"]["addresses"].as_array();
    let none = addresses.is_none_or(Vec::is_empty);
    none.then(|| Status::plain("no preferred addresses found; known addresses: []"))
}

/// A connection that a node makes to an address.
pub(in crate::rest) async fn dial(rest: &Rest, node: &str, host: &str, port: u16) -> ApiResult<Upgraded> {
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "tcp")];
    let headers = headers.map(|(name, value)| (name, http::HeaderValue::from_static(value)));
    let place = Place { node, path: format!("/dial/{host}/{port}") };
    let mut answered = ask(rest, &place, Method::GET, headers.into_iter().collect()).await?;
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let why = words(answered).await;
        return Err(Status::service_unavailable(format!("error trying to reach service: {why}")));
    }
    hyper::upgrade::on(&mut answered.response).await.map_err(Status::internal)
}

/// Sends a request on a connection of its own.
pub(super) async fn send_on<T>(io: T, node: &str, request: Request<Body>) -> ApiResult<Answered>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.map_err(|error| unreachable(node, &error))?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a node broke");
        }
    });
    let connection = AbortOnDropHandle::new(task);
    let response = tokio::time::timeout(HEAD, sender.send_request(request)).await.map_err(|_| silent(node))?;
    Ok(Answered { response: response.map_err(|error| unreachable(node, &error))?, connection })
}

fn silent(node: &str) -> Status {
    Status::timeout(format!("the agent of node {node} does not answer"), 0)
}

fn unreachable(node: &str, error: &hyper::Error) -> Status {
    Status::service_unavailable(format!("error dialing node {node}: {error}"))
}

/// What Kubernetes makes of a node's refusal to give the log of a pod.
fn no_log(code: StatusCode, text: String, pod: &str) -> Status {
    let (reason, why) = match code {
        StatusCode::BAD_REQUEST => return Status::bad_request(text),
        StatusCode::INTERNAL_SERVER_ERROR => return Status::internal(text),
        StatusCode::NOT_FOUND => ("NotFound", "the server could not find the requested resource".to_owned()),
        StatusCode::FORBIDDEN => ("Forbidden", text),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned())
        }
        code if code.is_server_error() => {
            let why = format!("an error on the server ({}) has prevented the request from succeeding", go_quote(&text));
            ("InternalError", why)
        }
        code => {
            let code = code.as_u16();
            ("", format!("the server responded with the status code {code} but did not return more information"))
        }
    };
    let mut status = Status::not_found("", "pods/log", pod).with_reason(reason);
    status.code = code.as_u16();
    status.with_message(format!("{why} ( pods/log {pod})"))
}

/// What the agent refuses with, as a status.
async fn refusal(answered: Answered, target: &Target) -> Status {
    let code = answered.response.status();
    let text = words(answered).await;
    match code {
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        StatusCode::FORBIDDEN => Status::failure(403, "Forbidden", text),
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        StatusCode::NOT_FOUND => Status::not_found(target.group(), target.resource(), &target.name).with_message(text),
        StatusCode::NOT_IMPLEMENTED => Status::failure(501, "NotImplemented", text),
        other => Status::service_unavailable(format!("the agent answered {other}: {text}")),
    }
}

/// The text of a refusal.
async fn words(answered: Answered) -> String {
    let body = Limited::new(answered.response.into_body(), ERROR_LIMIT).collect();
    match tokio::time::timeout(CONNECT, body).await {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_refusal_of_a_log_names_the_pod() {
        let status = no_log(StatusCode::NOT_FOUND, "secret".to_owned(), "a");
        assert_eq!(status.message, "the server could not find the requested resource ( pods/log a)");
        let details = status.details.as_ref().unwrap();
        assert_eq!((status.code(), &*status.reason, details.kind.as_str()), (404, "NotFound", "pods/log"));
        let status = no_log(StatusCode::BAD_GATEWAY, "x".to_owned(), "a");
        let why = "an error on the server (\"x\") has prevented the request from succeeding ( pods/log a)";
        assert_eq!((status.code(), &*status.reason, &*status.message), (502, "InternalError", why));
        assert_eq!(no_log(StatusCode::BAD_REQUEST, "x".to_owned(), "a"), Status::bad_request("x"));
    }

    #[test]
    fn a_node_that_nobody_knows_is_not_found() {
        assert_eq!(unknown("n", None).unwrap().message, "nodes \"n\" not found");
        let bare = unknown("n", Some(&json!({"metadata": {}}))).unwrap();
        assert_eq!((bare.code(), &*bare.message), (500, "no preferred addresses found; known addresses: []"));
        assert!(unknown("n", Some(&json!({"status": {"addresses": [{"address": "10.0.0.1"}]}}))).is_none());
    }
}
