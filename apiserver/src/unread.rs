//! What nobody read of a request's body. Over HTTP/1 it stands between this request and the next of the connection, which
//! has to be closed if it stays there; a client that sends the next one at that moment sees its connection break.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use parking_lot::Mutex;

/// Bytes that are read for nobody, as many as Go's server reads.
const MOST: usize = 256 << 10;
/// How long a client may take to send them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes what is left of a body when its reader drops it.
pub(crate) struct Unread<B>(Arc<Mutex<Option<B>>>);

impl<B: Body<Data = Bytes> + Send + Unpin> Unread<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Wraps the body of a request.
    pub(crate) fn of(body: B) -> (Watched<B>, Self) {
        let left = Arc::new(Mutex::new(None));
        (Watched { body: Some(body), left: left.clone() }, Self(left))
    }

    /// Reads what is left, before the answer goes out. Nothing if somebody still reads; a body that is too long, of which
    /// nothing is read if it says so, or a client too slow, cost the connection.
    pub(crate) async fn drain(self) {
        let Some(body) = self.0.lock().take() else { return };
        if body.size_hint().lower() > MOST as u64 {
            return;
        }
        let mut body = Limited::new(body, MOST);
        let draining = async { while matches!(body.frame().await, Some(Ok(_))) {} };
        tokio::time::timeout(PATIENCE, draining).await.ok();
    }
}

/// Whether the rest of a request's body has to be read: not of HTTP/2, whose requests do not stand in each other's way, nor
/// if the client waits to be asked for it.
pub(crate) fn hinders(version: Version, headers: &HeaderMap) -> bool {
    version < Version::HTTP_2 && !headers.contains_key(header::EXPECT)
}

/// The body of a request, for its reader.
pub(crate) struct Watched<B: Body> {
    /// There until this is dropped.
    body: Option<B>,
    left: Arc<Mutex<Option<B>>>,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B: Body> Drop for Watched<B> {
    fn drop(&mut self) {
        *self.left.lock() = self.body.take().filter(|body| !body.is_end_stream());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const FRAME: usize = 1 << 10;

    /// A body of so many frames, after which the client sends nothing, but does not end it either if it `stalls`.
    struct Sent {
        left: usize,
        told: bool,
        stalls: bool,
        read: Arc<AtomicUsize>,
    }

    impl Body for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return if self.stalls { Poll::Pending } else { Poll::Ready(None) };
            }
            self.left -= 1;
            self.read.fetch_add(FRAME, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; FRAME])))))
        }

        fn size_hint(&self) -> SizeHint {
            if self.told { SizeHint::with_exact((self.left * FRAME) as u64) } else { SizeHint::default() }
        }
    }

    fn sent(frames: usize) -> (Sent, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        (Sent { left: frames, told: false, stalls: false, read: read.clone() }, read)
    }

    /// What a reader leaves that reads nothing.
    fn left(body: Sent) -> Unread<Sent> {
        let (watched, unread) = Unread::of(body);
        drop(watched);
        unread
    }

    #[tokio::test]
    async fn what_its_reader_leaves_is_read() {
        let (body, read) = sent(10);
        let (mut watched, unread) = Unread::of(body);
        assert!(watched.frame().await.is_some());
        drop(watched);
        assert_eq!(read.load(Ordering::Relaxed), FRAME);
        unread.drain().await;
        assert_eq!(read.load(Ordering::Relaxed), 10 * FRAME);
    }

    #[tokio::test]
    async fn a_body_that_somebody_reads_is_left_to_him() {
        let (body, read) = sent(10);
        let (mut watched, unread) = Unread::of(body);
        unread.drain().await;
        assert_eq!(read.load(Ordering::Relaxed), 0);
        assert!(watched.frame().await.is_some());
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_worth_a_connection() {
        let (body, read) = sent(4 * MOST / FRAME);
        left(body).drain().await;
        assert!((MOST..=MOST + FRAME).contains(&read.load(Ordering::Relaxed)), "{read:?}");
        let (body, read) = sent(4 * MOST / FRAME);
        left(Sent { told: true, ..body }).drain().await;
        assert_eq!(read.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_gets_its_answer() {
        let (body, read) = sent(1);
        left(Sent { stalls: true, ..body }).drain().await;
        assert_eq!(read.load(Ordering::Relaxed), FRAME);
    }

    #[test]
    fn bodies_of_http2_and_those_to_be_asked_for_hinder_nobody() {
        let mut headers = HeaderMap::new();
        assert!(hinders(Version::HTTP_11, &headers));
        assert!(!hinders(Version::HTTP_2, &headers));
        headers.insert(header::EXPECT, http::HeaderValue::from_static("100-continue"));
        assert!(!hinders(Version::HTTP_11, &headers));
    }
}
