//! `GET /exec/NAMESPACE/POD/CONTAINER`, upgraded to a WebSocket: a command's input and output.
//!
//! Clients speak `v5.channel.k8s.io` or `v4.channel.k8s.io`; containerd's streaming server speaks v4 only. The two differ in
//! one thing: in v5 the frame `255, n` closes channel n, which v4 cannot say.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mainstay_proto::cri as wire;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::query::Query;
use super::{Body, Refusal, Target};
use crate::pod::Shared;
use crate::runtime::State;

const V4: &str = "v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";
/// v5's channel for closing others.
const CLOSE_CHANNEL: u8 = 255;
/// To reach containerd's streaming server.
const CONNECT: Duration = Duration::from_secs(5);

/// Upgrades the connection and joins it with containerd's stream.
pub(super) async fn answer(
    shared: &Shared,
    target: &Target,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let refused = |code, message: &str| (code, message.to_owned());
    let running = target.run(false).filter(|c| c.state == State::Running);
    let container = running
        .ok_or_else(|| (StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({:?})", target.container)))?;
    let (protocol, key) = offered(&request).ok_or_else(|| {
        refused(StatusCode::BAD_REQUEST, "exec needs a WebSocket with v5.channel.k8s.io or v4.channel.k8s.io")
    })?;
    let tty = query.flag("tty");
    let exec = wire::ExecRequest {
        container_id: container.id.clone(),
        cmd: query.all("command"),
        tty,
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr") && !tty,
    };
    let failed = |error: &dyn std::fmt::Display| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let url = shared.runtime.exec_url(exec).await.map_err(|e| failed(&e))?;
    let backend = match tokio::time::timeout(CONNECT, dial(&url)).await {
        Ok(connected) => connected.map_err(|e| failed(&e))?,
        Err(_) => {
            return Err(refused(
                StatusCode::GATEWAY_TIMEOUT,
                "the container runtime's streaming server does not answer",
            ));
        }
    };
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => {
                let client = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                join(client, backend).await;
            }
            Err(error) => tracing::debug!(%error, "exec not upgraded"),
        }
    });
    Ok(switching(protocol, &key))
}

/// The best protocol that the client offers, and its key.
fn offered(request: &Request<Incoming>) -> Option<(&'static str, String)> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?.to_owned();
    let all = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    let names: Vec<_> = all.flat_map(|v| v.split(',')).map(str::trim).collect();
    [V5, V4].into_iter().find(|p| names.contains(p)).map(|p| (p, key))
}

fn switching(protocol: &'static str, key: &str) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

type Backend = WebSocketStream<TcpStream>;

async fn dial(url: &str) -> Result<Backend, Box<dyn std::error::Error + Send + Sync>> {
    let mut request = url.replacen("http", "ws", 1).into_client_request()?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(V4));
    let address = request.uri().authority().ok_or("the streaming URL has no address")?.as_str().to_owned();
    let stream = TcpStream::connect(address).await?;
    Ok(tokio_tungstenite::client_async(request, stream).await?.0)
}

/// Carries frames both ways until either side ends.
async fn join<S>(client: WebSocketStream<S>, backend: Backend)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut to_client, mut from_client) = client.split();
    let (mut to_backend, mut from_backend) = backend.split();
    let upward = async {
        while let Some(Ok(message)) = from_client.next().await {
            let passed = match message {
                Message::Binary(data) if data.first() == Some(&CLOSE_CHANNEL) => continue,
                Message::Close(_) => break,
                other => to_backend.send(other).await,
            };
            if passed.is_err() {
                break;
            }
        }
        to_backend.close().await
    };
    let downward = async {
        while let Some(Ok(message)) = from_backend.next().await {
            if matches!(message, Message::Close(_)) || to_client.send(message).await.is_err() {
                break;
            }
        }
        to_client.close().await
    };
    let ended = tokio::select! {
        ended = upward => ended,
        ended = downward => ended,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "exec stream closed already");
    }
}
