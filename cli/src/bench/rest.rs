//! A REST client that keeps its connections: HTTP/2 with TLS, as client-go's.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mainstay_client::{Auth, Config};

use crate::connect::Rest;

/// Connections to the masters in turns; calls choose by number.
#[derive(Clone)]
pub(super) struct RestClient {
    connections: Vec<(SendRequest<Full<Bytes>>, String)>,
    token: Option<String>,
}

/// What is asked for.
pub(super) struct Ask {
    pub(super) method: http::Method,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl RestClient {
    /// So many connections, spread over the servers of the configuration.
    pub(super) async fn connect(config: &Config, count: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let server = config.servers[number % config.servers.len()].clone();
            let one = Config { servers: vec![server], ..config.clone() };
            let (stream, authority) = Rest::http2(&one)?.connect().await?;
            let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(8 << 20)
                .handshake(TokioIo::new(stream))
                .await
                .context("HTTP/2")?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection of the load ended");
                }
            });
            connections.push((sender, authority));
        }
        let token = if let Auth::Token(token) = &config.auth { Some(token.clone()) } else { None };
        Ok(Self { connections, token })
    }

    /// The answer's head; its body is still to come.
    pub(super) async fn open(&self, client: usize, ask: Ask) -> Result<http::Response<Incoming>> {
        let (mut sender, authority) = self.connections[client % self.connections.len()].clone();
        let mut request = http::Request::builder()
            .method(ask.method)
            .uri(format!("https://{authority}{}", ask.path))
            .header("content-type", ask.content_type)
            .header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        sender.ready().await.context("a connection ended")?;
        let response = sender.send_request(request.body(Full::new(ask.body))?).await?;
        if !response.status().is_success() {
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(response)
    }

    /// The whole answer.
    pub(super) async fn call(&self, client: usize, ask: Ask) -> Result<Bytes> {
        Ok(self.open(client, ask).await?.into_body().collect().await.context("the answer broke off")?.to_bytes())
    }
}
