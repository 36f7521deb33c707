//! One HTTP/2 connection with as little between a call and its socket as can be: what a load generator costs, the servers
//! under test do without.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use h2::SendStream;
use h2::client::SendRequest;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

/// Bytes that a server may send before it hears that they were read: as many as Go's client lets it.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;
/// Until the head of an answer.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Calls share it; it ends with its last handle.
#[derive(Clone)]
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
}

impl Connection {
    /// Speaks HTTP/2 on a stream that is connected.
    ///
    /// # Errors
    /// When the stream breaks off.
    pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW).enable_push(false);
        let (requests, connection) = builder.handshake(stream).await.context("HTTP/2")?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the load ended");
            }
        });
        Ok(Self { requests })
    }

    /// Sends a request, whose URI names scheme and host, and returns the answer once its head is there.
    ///
    /// # Errors
    /// When the connection ended, or no answer comes in time.
    pub(super) async fn send(&self, head: http::Request<()>, body: Bytes) -> Result<http::Response<Answer>> {
        self.begin(head, body, true).await.map(|(answer, _)| answer)
    }

    /// The same with a request that does not end until what is returned with the answer is dropped.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub(super) async fn open(
        &self,
        head: http::Request<()>,
        first: Bytes,
    ) -> Result<(http::Response<Answer>, SendStream<Bytes>)> {
        self.begin(head, first, false).await
    }

    async fn begin(
        &self,
        head: http::Request<()>,
        body: Bytes,
        ends: bool,
    ) -> Result<(http::Response<Answer>, SendStream<Bytes>)> {
        let sent = async {
            let mut requests = self.requests.clone().ready().await?;
            let (response, mut stream) = requests.send_request(head, ends && body.is_empty())?;
            if !body.is_empty() {
                stream.send_data(body, ends)?;
            }
            Ok::<_, h2::Error>((response.await?, stream))
        };
        let answered = tokio::time::timeout(CALL_LIMIT, sent).await.context("no answer in time")?;
        answered.context("a connection ended").map(|(answer, stream)| (answer.map(Answer), stream))
    }
}

/// For the generated gRPC clients: calls of one message each way.
impl Service<http::Request<tonic::body::Body>> for Connection {
    type Response = http::Response<Answer>;
    type Error = anyhow::Error;
    type Future = BoxFuture<'static, Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let connection = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.context("the request")?.to_bytes();
            connection.send(http::Request::from_parts(parts, ()), body).await
        })
    }
}

/// The body of an answer.
pub(super) struct Answer(h2::RecvStream);

impl Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.get_mut().0;
        Poll::Ready(match ready!(stream.poll_data(context)) {
            Some(Ok(data)) => Some(stream.flow_control().release_capacity(data.len()).map(|()| Frame::data(data))),
            Some(Err(error)) => Some(Err(error)),
            None => ready!(stream.poll_trailers(context)).transpose().map(|trailers| trailers.map(Frame::trailers)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
