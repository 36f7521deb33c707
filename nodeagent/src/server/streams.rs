//! `exec`, `attach` and `portForward`: streams between a client and containerd's streaming server, which speaks SPDY.
//!
//! Clients that speak SPDY are joined with it byte by byte. Those with a WebSocket speak `v5.channel.k8s.io` or
//! `v4.channel.k8s.io` for commands, which is translated, and for ports carry SPDY inside. `Upgrade: tcp` is a connection to one
//! port, without any form.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mainstay_proto::cri as wire;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::query::Query;
use super::stdio::Streams;
use super::upgrade::{self, Dialled, Wish};
use super::{Body, Refusal, Target, channels};
use crate::pod::Shared;
use crate::runtime::{Container, RuntimeError, State};

const V4: &str = "v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";
const PORT_FORWARD: &str = "portforward.k8s.io";
/// What a WebSocket that carries SPDY is called.
const PORT_FORWARD_INSIDE: &str = "SPDY/3.1+portforward.k8s.io";

/// Runs a command in a container.
pub(super) async fn exec(
    shared: &Shared,
    target: &Target,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let streams = Streams::of(query);
    let exec = wire::ExecRequest {
        container_id: running(target)?.id.clone(),
        cmd: query.all("command"),
        tty: streams.tty,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
    };
    let wish = wish(&request)?;
    let url = shared.runtime.exec_url(exec).await.map_err(failed)?;
    command(request, wish, streams, &url).await
}

/// Joins a container's main process.
pub(super) async fn attach(
    shared: &Shared,
    target: &Target,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let streams = Streams::of(query);
    let attach = wire::AttachRequest {
        container_id: running(target)?.id.clone(),
        stdin: streams.stdin,
        tty: streams.tty,
        stdout: streams.stdout,
        stderr: streams.stderr,
    };
    let wish = wish(&request)?;
    let url = shared.runtime.attach_url(attach).await.map_err(failed)?;
    command(request, wish, streams, &url).await
}

/// Connects to ports of a pod, in its own network.
pub(super) async fn port_forward(
    shared: &Shared,
    sandbox: Option<&str>,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let wish = wish(&request)?;
    let sandbox = sandbox.ok_or_else(|| (StatusCode::BAD_REQUEST, "the pod has no network yet".to_owned()))?;
    let asked = wire::PortForwardRequest { pod_sandbox_id: sandbox.to_owned(), port: Vec::new() };
    let url = shared.runtime.port_forward_url(asked).await.map_err(failed)?;
    match wish {
        Wish::Spdy { protocols } => {
            let protocol = chosen(&protocols, &[PORT_FORWARD])?;
            let dialled = upgrade::dial(&url, protocol).await?;
            join(request, dialled);
            Ok(upgrade::spdy(protocol))
        }
        Wish::WebSocket { key, protocols } => {
            let protocol = chosen(&protocols, &[PORT_FORWARD_INSIDE])?;
            let dialled = upgrade::dial(&url, PORT_FORWARD).await?;
            web_socket(request, |client| channels::carry(client, dialled.stream));
            Ok(upgrade::web_socket(&key, protocol))
        }
        Wish::Plain => {
            let port = query.get("ports").and_then(|port| port.parse().ok());
            let port = port.ok_or_else(|| (StatusCode::BAD_REQUEST, "ports names no port".to_owned()))?;
            let dialled = upgrade::dial(&url, PORT_FORWARD).await?;
            tokio::spawn(async move {
                match hyper::upgrade::on(request).await {
                    Ok(client) => channels::forward(TokioIo::new(client), dialled.stream, port).await,
                    Err(error) => tracing::debug!(%error, "a forwarded port was not upgraded"),
                }
            });
            Ok(upgrade::plain(upgrade::PLAIN))
        }
    }
}

async fn command(
    request: Request<Incoming>,
    wish: Wish,
    streams: Streams,
    url: &str,
) -> Result<Response<Body>, Refusal> {
    match wish {
        Wish::Spdy { protocols } => {
            let protocol = chosen(&protocols, &[V4])?;
            let dialled = upgrade::dial(url, protocol).await?;
            let agreed = dialled.headers.get(upgrade::STREAM_PROTOCOL).and_then(|value| value.to_str().ok());
            let response = upgrade::spdy(agreed.unwrap_or(protocol));
            join(request, dialled);
            Ok(response)
        }
        Wish::WebSocket { key, protocols } => {
            let protocol = chosen(&protocols, &[V5, V4])?;
            let dialled = upgrade::dial(url, V4).await?;
            web_socket(request, move |client| channels::translate(client, dialled.stream, streams));
            Ok(upgrade::web_socket(&key, protocol))
        }
        Wish::Plain => Err((StatusCode::BAD_REQUEST, "a command's streams want a WebSocket or SPDY".to_owned())),
    }
}

fn wish(request: &Request<Incoming>) -> Result<Wish, Refusal> {
    Wish::of(request.headers()).ok_or_else(|| (StatusCode::BAD_REQUEST, "Upgrade request required".to_owned()))
}

/// The first of ours that the client offers.
fn chosen<'a>(offered: &[String], ours: &[&'a str]) -> Result<&'a str, Refusal> {
    let found = ours.iter().find(|own| offered.iter().any(|name| name == *own));
    found.copied().ok_or_else(|| {
        let text = format!(
            "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server supports {ours:?}"
        );
        (StatusCode::FORBIDDEN, text)
    })
}

fn running(target: &Target) -> Result<&Container, Refusal> {
    let running = target.run(false).filter(|container| container.state == State::Running);
    let missing = || (StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({:?})", target.container));
    running.ok_or_else(missing)
}

fn failed(error: RuntimeError) -> Refusal {
    let code = match error {
        RuntimeError::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (code, error.to_string())
}

/// Carries bytes both ways until both sides have ended.
fn join(request: Request<Incoming>, dialled: Dialled) {
    tokio::spawn(async move {
        let mut backend = dialled.stream;
        let joined = match hyper::upgrade::on(request).await {
            Ok(client) => tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut backend).await.map(drop),
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = joined {
            tracing::debug!(%error, "a stream to a container broke");
        }
    });
}

/// Hands the client's WebSocket over once it is one.
fn web_socket<F>(request: Request<Incoming>, then: impl FnOnce(channels::Client) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => {
                let client = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                then(client).await;
            }
            Err(error) => tracing::debug!(%error, "a stream was not upgraded"),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_protocol_is_chosen() {
        let offered = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&offered(&[V4, V5]), &[V5, V4]), Ok(V5));
        assert_eq!(chosen(&offered(&["x", V4]), &[V5, V4]), Ok(V4));
        assert!(chosen(&offered(&["x"]), &[V5, V4]).is_err());
    }
}
