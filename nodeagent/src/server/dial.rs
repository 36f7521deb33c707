//! `GET /dial/HOST/PORT`, upgraded to plain bytes: a connection from this node, by which masters reach pods for their proxy.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Body, Refusal, upgrade};

/// To have the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Connects, then carries bytes both ways until both sides have ended.
pub(super) async fn answer(host: &str, port: &str, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let failed = |why: String| (StatusCode::BAD_GATEWAY, format!("dial tcp {address}: {why}"));
    let mut backend = match tokio::time::timeout(CONNECT, TcpStream::connect(&address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(format!("connect: {error}"))),
        Err(_) => return Err(failed("i/o timeout".into())),
    };
    tokio::spawn(async move {
        let carried = match hyper::upgrade::on(request).await {
            Ok(client) => tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut backend).await.map(drop),
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = carried {
            tracing::debug!(%error, "a dialled connection broke");
        }
    });
    Ok(upgrade::plain(upgrade::PLAIN))
}
