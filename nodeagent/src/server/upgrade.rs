//! Switching protocols: what a client asks for, the answer to it, and the same towards containerd's streaming server.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Body, Refusal};

/// To reach containerd's streaming server and have its answer.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of its refusal that are quoted.
const REFUSAL_BYTES: usize = 2048;
/// The header in which SPDY clients name what they speak on the streams.
pub(super) const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// The name of a protocol that is none.
pub(super) const PLAIN: &str = "tcp";

/// What a client wants to switch to.
pub(super) enum Wish {
    /// WebSocket, with its key and the protocols it offers.
    WebSocket { key: String, protocols: Vec<String> },
    /// SPDY/3.1, with the stream protocols it offers.
    Spdy { protocols: Vec<String> },
    /// Bytes without any form.
    Plain,
}

impl Wish {
    /// What the headers ask for, if anything.
    pub fn of(headers: &HeaderMap) -> Option<Wish> {
        if names(headers, &header::UPGRADE).iter().any(|name| name.eq_ignore_ascii_case("websocket")) {
            let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?.to_owned();
            return Some(Wish::WebSocket { key, protocols: names(headers, &header::SEC_WEBSOCKET_PROTOCOL) });
        }
        let wishes = |wish: &str| names(headers, &header::UPGRADE).iter().any(|name| name.eq_ignore_ascii_case(wish));
        if wishes("spdy/3.1") {
            return Some(Wish::Spdy { protocols: names(headers, &STREAM_PROTOCOL) });
        }
        wishes(PLAIN).then_some(Wish::Plain)
    }
}

/// The names in all headers of a name, which separate them by commas.
fn names(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|part| part.trim().to_owned()).collect()
}

/// Agrees to a WebSocket that speaks `protocol`.
pub(super) fn web_socket(key: &str, protocol: &str) -> Response<Body> {
    let accept = derive_accept_key(key.as_bytes());
    switching("websocket", &[(header::SEC_WEBSOCKET_PROTOCOL, protocol), (header::SEC_WEBSOCKET_ACCEPT, &accept)])
}

/// Agrees to SPDY with streams of `protocol`.
pub(super) fn spdy(protocol: &str) -> Response<Body> {
    switching("SPDY/3.1", &[(STREAM_PROTOCOL, protocol)])
}

/// Agrees to bytes without any form.
pub(super) fn plain(name: &str) -> Response<Body> {
    switching(name, &[])
}

fn switching(to: &str, more: &[(HeaderName, &str)]) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let all = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, to)];
    for (name, value) in all.iter().chain(more) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A connection to containerd's streaming server that has switched protocols, and its headers.
pub(super) struct Dialled {
    pub stream: TokioIo<Upgraded>,
    pub headers: HeaderMap,
}

/// Asks containerd's streaming server at `url` for SPDY with streams of `protocol`.
pub(super) async fn dial(url: &str, protocol: &str) -> Result<Dialled, Refusal> {
    let headers = [(header::UPGRADE, "SPDY/3.1"), (STREAM_PROTOCOL, protocol)];
    match tokio::time::timeout(CONNECT, try_dial(url, &headers)).await {
        Ok(Ok(dialled)) => Ok(dialled),
        Ok(Err(error)) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        Err(_) => {
            Err((StatusCode::GATEWAY_TIMEOUT, "the container runtime's streaming server does not answer".to_owned()))
        }
    }
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn try_dial(url: &str, headers: &[(HeaderName, &str)]) -> Result<Dialled, Trouble> {
    let url: http::Uri = url.parse()?;
    let address = url.authority().ok_or("the streaming URL has no address")?.as_str();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::trace!(%error, "a connection to the streaming server ended");
        }
    });
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path).header(header::HOST, address).header(header::CONNECTION, "Upgrade");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = sender.send_request(request.body(Empty::<bytes::Bytes>::new())?).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(response).await);
    }
    let headers = response.headers().clone();
    let stream = TokioIo::new(hyper::upgrade::on(response).await?);
    Ok(Dialled { stream, headers })
}

async fn refusal(response: Response<Incoming>) -> Trouble {
    let code = response.status();
    let body = http_body_util::Limited::new(response.into_body(), REFUSAL_BYTES).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    format!("the container runtime's streaming server answered {code}: {text}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_what_is_wished() {
        let mut headers = HeaderMap::new();
        assert!(Wish::of(&headers).is_none());
        headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        headers.append(STREAM_PROTOCOL, HeaderValue::from_static("v5.channel.k8s.io, v4.channel.k8s.io"));
        headers.append(STREAM_PROTOCOL, HeaderValue::from_static("channel.k8s.io"));
        let Some(Wish::Spdy { protocols }) = Wish::of(&headers) else { panic!("not SPDY") };
        assert_eq!(protocols, ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"]);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        assert!(Wish::of(&headers).is_none(), "a WebSocket has a key");
    }
}
