//! The listener: TLS with HTTP/1.1 and HTTP/2 on one port, REST and gRPC behind it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use crate::authn::PeerCertificate;
use crate::dispatch::Dispatch;
use crate::gate::Remote;
use crate::turns::Turns;
use crate::unread::{self, Unread};

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long open requests get to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Bytes of one request, and of all of a connection, that may be on their way before anybody has read them. To adapt these to
/// the connection costs a ping for nearly every request.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Pause after a failed accept, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets open requests finish.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: rustls::ServerConfig,
    dispatch: Dispatch,
    stop: CancellationToken,
) {
    let mut tls = tls;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let remote = Remote(from.ip());
                let task = connection(stream, remote, acceptor.clone(), dispatch.clone(), stop.clone());
                connections.spawn(task);
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::info!("connections were open when the server stopped");
    }
}

async fn connection(
    stream: TcpStream,
    remote: Remote,
    acceptor: TlsAcceptor,
    dispatch: Dispatch,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = certificate.map(|der| PeerCertificate::new(Bytes::copy_from_slice(der.as_ref())));
    let turns = Turns::default();
    let service = service_fn(move |request: Request<Incoming>| {
        let (dispatch, peer, arrived) = (dispatch.clone(), peer.clone(), turns.arrived());
        // The future is large, and hyper moves it about before it is polled.
        Box::pin(async move {
            arrived.turn().await;
            let (request, unread) = followed(request);
            let answer = dispatch.answer(with_peer(request, peer, remote)).await;
            if let Some(unread) = unread {
                unread.drain().await;
            }
            Ok::<Response<Body>, std::convert::Infallible>(answer)
        })
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(4096)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .timer(hyper_util::rt::TokioTimer::new());
    builder.http1().timer(hyper_util::rt::TokioTimer::new());
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The request, and what may be left of its body if that stands in the next one's way.
fn followed(request: Request<Incoming>) -> (Request<Body>, Option<Unread<Incoming>>) {
    if !unread::hinders(request.version(), request.headers()) {
        return (request.map(Body::new), None);
    }
    let (head, body) = request.into_parts();
    let (body, unread) = Unread::of(body);
    (Request::from_parts(head, Body::new(body)), Some(unread))
}

fn with_peer(mut request: Request<Body>, peer: Option<PeerCertificate>, remote: Remote) -> Request<Body> {
    request.extensions_mut().insert(remote);
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
}
