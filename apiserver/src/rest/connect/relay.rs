//! HTTP to a node's agent, over the tunnel of its session.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream, Empty, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mainstay_api::status::{ApiResult, Status};
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;

use crate::engine::Target;
use crate::rest::Rest;

/// To reach the agent and get its connection up.
const CONNECT: Duration = Duration::from_secs(10);
/// From the request to the head of the agent's answer.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of an agent's error text that are read.
const ERROR_LIMIT: usize = 2048;
/// The headers that make a WebSocket, both ways.
const WEB_SOCKET: [header::HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
];

/// What is asked of which agent.
pub(super) struct Place<'a> {
    pub node: &'a str,
    pub path: String,
}

/// An agent's answer, and the task that drives its connection, which ends when this is dropped.
struct Answered {
    response: Response<Incoming>,
    connection: AbortOnDropHandle<()>,
}

/// Passes on the body of the agent's answer as plain text while it comes.
pub(super) async fn stream(rest: &Rest, place: &Place<'_>, target: &Target) -> ApiResult<Response<Body>> {
    let answered = send(rest, place, HeaderMap::new()).await?;
    if !answered.response.status().is_success() {
        return Err(refusal(answered, target).await);
    }
    let Answered { response, connection } = answered;
    let frames = BodyStream::new(response.into_body()).map(move |frame| {
        // The connection lives as long as somebody reads from it.
        let _driven = &connection;
        frame
    });
    let frames = frames.take_until(rest.stop.clone().cancelled_owned());
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "text/plain")
        .header(header::CACHE_CONTROL, "no-cache, private");
    response.body(Body::new(StreamBody::new(frames))).map_err(Status::internal)
}

/// Joins the client's connection with the agent's, once both have switched protocols.
pub(super) async fn upgrade(
    rest: &Rest,
    place: &Place<'_>,
    target: &Target,
    parts: Parts,
    headers: HeaderMap,
) -> ApiResult<Response<Body>> {
    let mut answered = send(rest, place, headers).await?;
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answered, target).await);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = web_socket_headers(answered.response.headers());
    let client = hyper::upgrade::on(Request::from_parts(parts, ()));
    let agent = hyper::upgrade::on(&mut answered.response);
    let stop = rest.stop.clone();
    tokio::spawn(async move {
        let joined = tokio::select! {
            joined = join(client, agent) => joined,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(error) = joined {
            tracing::debug!(%error, "a stream to a pod ended");
        }
        drop(answered);
    });
    Ok(response)
}

async fn join(client: hyper::upgrade::OnUpgrade, agent: hyper::upgrade::OnUpgrade) -> std::io::Result<()> {
    let both = async { tokio::try_join!(client, agent) };
    let both = tokio::time::timeout(CONNECT, both).await.map_err(std::io::Error::other)?;
    let (client, agent) = both.map_err(std::io::Error::other)?;
    tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(agent)).await.map(drop)
}

/// The headers of a WebSocket handshake, out of all.
pub(super) fn web_socket_headers(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in &WEB_SOCKET {
        for value in from.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Sends a request without a body.
async fn send(rest: &Rest, place: &Place<'_>, headers: HeaderMap) -> ApiResult<Answered> {
    let connected = tokio::time::timeout(CONNECT, connect(rest, place.node)).await;
    let silent = || Status::timeout(format!("the agent of node {} does not answer", place.node), 0);
    let (mut sender, connection) = connected.map_err(|_| silent())??;
    let request = Request::get(&place.path).header(header::HOST, place.node);
    let mut request = request.body(Empty::<Bytes>::new()).map_err(Status::internal)?;
    request.headers_mut().extend(headers);
    let response = tokio::time::timeout(HEAD, sender.send_request(request)).await.map_err(|_| silent())?;
    Ok(Answered { response: response.map_err(|error| unreachable(place.node, &error))?, connection })
}

async fn connect(rest: &Rest, node: &str) -> ApiResult<(http1::SendRequest<Empty<Bytes>>, AbortOnDropHandle<()>)> {
    let tunnel = rest.agents.dial(node).await?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(tunnel)).await.map_err(|error| unreachable(node, &error))?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to an agent broke");
        }
    });
    Ok((sender, AbortOnDropHandle::new(task)))
}

fn unreachable(node: &str, error: &hyper::Error) -> Status {
    Status::service_unavailable(format!("error dialing node {node}: {error}"))
}

/// What the agent refuses with, as a status.
async fn refusal(answered: Answered, target: &Target) -> Status {
    let code = answered.response.status();
    let body = Limited::new(answered.response.into_body(), ERROR_LIMIT).collect();
    let text = match tokio::time::timeout(CONNECT, body).await {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        _ => String::new(),
    };
    drop(answered.connection);
    match code {
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        StatusCode::NOT_FOUND => Status::not_found(target.group(), target.resource(), &target.name).with_message(text),
        other => Status::service_unavailable(format!("the agent answered {other}: {text}")),
    }
}
