//! A REST client that keeps its connections: HTTP/2 with TLS, as client-go's.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::HeaderValue;
use http_body_util::BodyExt;
use mainstay_client::{Auth, Config};

use super::connection::{Answer, Connection};
use crate::connect::Rest;

/// Connections to the masters in turns; calls choose by number.
#[derive(Clone)]
pub(super) struct RestClient {
    connections: Vec<(Connection, String)>,
    /// The first so many connections go to different ones.
    servers: usize,
    /// What each request says of who asks.
    authorization: Option<HeaderValue>,
}

/// What a server tells of its memory in `/metrics`.
const RESIDENT: &str = "process_resident_memory_bytes ";

/// What is asked for.
pub(super) struct Ask {
    pub(super) method: http::Method,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl Ask {
    /// To read something.
    pub(super) fn get(path: String) -> Self {
        Self { method: http::Method::GET, path, content_type: "application/json", body: Bytes::new() }
    }

    /// To write something.
    pub(super) fn new(
        method: http::Method,
        path: String,
        content_type: &'static str,
        body: &serde_json::Value,
    ) -> Self {
        Self { method, path, content_type, body: body.to_string().into() }
    }
}

impl RestClient {
    /// So many connections, spread over the servers of the configuration.
    pub(super) async fn connect(config: &Config, count: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let server = config.servers[number % config.servers.len()].clone();
            let one = Config { servers: vec![server], ..config.clone() };
            let (stream, authority) = Rest::http2(&one)?.connect().await?;
            connections.push((Connection::over(stream).await?, authority));
        }
        let authorization = match &config.auth {
            Auth::Token(token) => Some(HeaderValue::try_from(format!("Bearer {token}")).context("the token")?),
            _ => None,
        };
        Ok(Self { connections, servers: config.servers.len().min(count), authorization })
    }

    /// The answer's head; its body is still to come.
    pub(super) async fn open(&self, client: usize, ask: Ask) -> Result<http::Response<Answer>> {
        let (connection, authority) = &self.connections[client % self.connections.len()];
        let mut request = http::Request::builder()
            .method(ask.method)
            .uri(format!("https://{authority}{}", ask.path))
            .header("content-type", ask.content_type)
            .header("accept", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        let response = connection.send(request.body(())?, ask.body).await?;
        if !response.status().is_success() {
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(response)
    }

    /// Takes the whole answer and keeps nothing of it.
    pub(super) async fn drain(&self, client: usize, ask: Ask) -> Result<()> {
        let mut body = self.open(client, ask).await?.into_body();
        while let Some(frame) = body.frame().await {
            frame.context("the answer broke off")?;
        }
        Ok(())
    }

    /// The whole answer.
    pub(super) async fn call(&self, client: usize, ask: Ask) -> Result<Bytes> {
        Ok(self.open(client, ask).await?.into_body().collect().await.context("the answer broke off")?.to_bytes())
    }

    /// Resident memory of the server that has the most, in MiB.
    pub(super) async fn resident_mib(&self) -> Result<u64> {
        let mut most = 0;
        for server in 0..self.servers {
            let text = self.call(server, Ask::get("/metrics".to_owned())).await?;
            let text = String::from_utf8_lossy(&text);
            let bytes = text.lines().find_map(|line| line.strip_prefix(RESIDENT));
            most = most.max(bytes.and_then(|bytes| bytes.parse::<f64>().ok()).unwrap_or(0.0) as u64);
        }
        Ok(most >> 20)
    }
}
