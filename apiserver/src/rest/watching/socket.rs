//! Watches over a WebSocket, as browsers ask for them: a message an event.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{SinkExt, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mainstay_api::status::{ApiResult, Status};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::{Feed, Media};

/// Bytes of the length before a protobuf event.
const LENGTH: usize = 4;
/// Bytes of what a client says at the most; nobody heeds it.
const MOST_SAID: usize = 64 << 10;
/// Bytes of it that are read at once; every watch has so many set aside.
const READ_AT_ONCE: usize = 4 << 10;
/// For a client to take the last of what it is told, after the watch is over.
const LINGER: Duration = Duration::from_secs(5);

/// Agrees to it, and tells the watch on it from then on.
///
/// # Errors
/// 400 without the key that an agreement is made with.
pub(super) fn answer(parts: Parts, feed: Feed) -> ApiResult<Response<Body>> {
    let response = agreement(&parts.headers)?;
    let client = hyper::upgrade::on(Request::from_parts(parts, ()));
    let over = over(feed.until, feed.stop.clone());
    tokio::spawn(async move {
        let told = tokio::select! {
            told = serve(client, feed) => told,
            () = over => Ok(()),
        };
        if let Err(error) = told {
            tracing::debug!(%error, "a watch on a WebSocket broke");
        }
    });
    Ok(response)
}

/// Whoever does not read what it is told is not waited for any longer.
async fn over(until: Instant, stop: CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = stop.cancelled() => {}
    }
    tokio::time::sleep(LINGER).await;
}

async fn serve(client: OnUpgrade, feed: Feed) -> Result<(), Error> {
    let client = client.await.map_err(std::io::Error::other)?;
    let limits = WebSocketConfig::default().max_message_size(Some(MOST_SAID)).max_frame_size(Some(MOST_SAID));
    let limits = limits.read_buffer_size(READ_AT_ONCE);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(client), Role::Server, Some(limits)).await;
    tell(socket, feed).await
}

fn agreement(headers: &HeaderMap) -> ApiResult<Response<Body>> {
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err(Status::bad_request("a WebSocket needs a key"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let protocol = offered.split(',').next().unwrap_or_default().trim();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let said = [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, accept.as_str()),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
    ];
    for (name, value) in said.into_iter().filter(|(_, value)| !value.is_empty()) {
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(Status::internal)?);
    }
    Ok(response)
}

/// Sends events until the watch ends or the client goes.
async fn tell<S>(socket: WebSocketStream<S>, mut feed: Feed) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let is_text = feed.form.media != Media::Protobuf;
    let (mut sink, mut source) = socket.split();
    loop {
        let frame = feed.frame();
        tokio::pin!(frame);
        // What has been taken from the watch must not be dropped because the client says something.
        let events = loop {
            tokio::select! {
                events = &mut frame => break events,
                said = source.next() => match said {
                    None => return Ok(()),
                    // It waits for the same of this side.
                    Some(Ok(Message::Close(_))) => return sink.close().await,
                    Some(said) => drop(said?),
                },
            }
        };
        let Some(events) = events else { return sink.close().await };
        for message in messages(events, is_text) {
            sink.feed(message).await?;
        }
        sink.flush().await?;
    }
}

/// The events of a frame: lines of JSON, or protobuf behind its length, which messages do not need.
fn messages(mut events: Bytes, is_text: bool) -> Vec<Message> {
    if is_text {
        let text = String::from_utf8_lossy(&events);
        return text.split_inclusive('\n').map(|line| Message::text(line.to_owned())).collect();
    }
    let mut all = Vec::new();
    while events.len() >= LENGTH {
        let length = events.get_u32() as usize;
        all.push(Message::binary(events.split_to(length.min(events.len()))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<const N: usize>(said: [(header::HeaderName, &'static str); N]) -> HeaderMap {
        said.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_left_soon_after_the_end() {
        let begun = Instant::now();
        over(begun + Duration::from_secs(60), CancellationToken::new()).await;
        assert_eq!(begun.elapsed().as_secs(), 60 + LINGER.as_secs());
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        stop.cancel();
        over(begun + Duration::from_secs(60), stop).await;
        assert_eq!(begun.elapsed().as_secs(), LINGER.as_secs());
    }

    #[test]
    fn an_agreement_answers_the_key_and_the_protocol() {
        let key = (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
        let agreed = agreement(&headers([key.clone(), (header::SEC_WEBSOCKET_PROTOCOL, "a")])).unwrap();
        assert_eq!(agreed.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(agreed.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(agreed.headers()[header::SEC_WEBSOCKET_PROTOCOL], "a");
        assert!(!agreement(&headers([key])).unwrap().headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL));
        assert_eq!(agreement(&HeaderMap::new()).map(drop).unwrap_err().code(), 400);
    }

    #[test]
    fn an_event_is_a_message() {
        let lines = messages(Bytes::from_static(b"{\"a\":1}\n{\"b\":2}\n"), true);
        assert_eq!(lines, [Message::text("{\"a\":1}\n"), Message::text("{\"b\":2}\n")]);
        let framed = Bytes::from_static(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9]);
        assert_eq!(messages(framed, false), [Message::binary(vec![7, 8]), Message::binary(vec![9])]);
    }
}
