//! The joiner's side of a join token: learn the CA from whoever knows the token's secret, then get a certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use hyper_util::rt::TokioIo;
use mainstay_apiserver::pki::{self, JoinToken};
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::{DiscoverRequest, EnrollKind, EnrollRequest, EnrollResponse};
use tonic::transport::{Channel, Endpoint};

use crate::dial;

const CALL_PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A cluster that has just been founded knows its first token a moment after it answers.
const FOUNDING: Duration = Duration::from_secs(3);

/// Where a join token comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TokenOption {
    /// Join token; `mainstay token create` makes one
    #[arg(long, env = "MAINSTAY_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// File with the join token, so that it is not seen in the process list
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
}

impl TokenOption {
    /// The token, if one was given.
    pub(crate) fn read(&self) -> Result<Option<JoinToken>> {
        let text = match (&self.token, &self.token_file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(text.parse()?))
    }
}

/// Who joins.
pub(crate) struct Joiner<'a> {
    /// API addresses of masters to ask, `https://host:port`.
    pub(crate) servers: &'a [String],
    /// The join token.
    pub(crate) token: &'a JoinToken,
    /// Agent or master.
    pub(crate) kind: EnrollKind,
    /// The name in the cluster.
    pub(crate) name: &'a str,
    /// How long to try while no master answers.
    pub(crate) patience: Duration,
}

/// What a joiner gets.
pub(crate) struct Enrolled {
    /// The master's answer.
    pub(crate) answer: EnrollResponse,
    /// The key of the certificate in the answer, PEM.
    pub(crate) key_pem: String,
}

impl Joiner<'_> {
    /// Tries the masters in turn until one answers or says no.
    pub(crate) async fn enrol(&self) -> Result<Enrolled> {
        let began = Instant::now();
        let deadline = began + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut last = anyhow!("no master to join was named");
            for server in self.servers {
                match self.enrol_at(server).await {
                    Ok(enrolled) => return Ok(enrolled),
                    Err(Refusal::Final(error)) => return Err(error),
                    Err(Refusal::Token(error)) if began.elapsed() > FOUNDING => return Err(error),
                    Err(Refusal::Token(error) | Refusal::Later(error)) => last = error,
                }
            }
            if Instant::now() + pause > deadline {
                return Err(last.context("cannot join the cluster"));
            }
            tracing::info!(error = format!("{last:#}"), "the cluster cannot be joined yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn enrol_at(&self, server: &str) -> Result<Enrolled, Refusal> {
        let ca_pem = self.discover(server).await?;
        let config = pki::client_config(&ca_pem, None).map_err(|e| Refusal::Final(e.into()))?;
        let mut client = ClusterClient::new(channel(server, config).map_err(Refusal::Final)?);
        let (key_pem, csr) = pki::new_request(self.name).map_err(|e| Refusal::Final(e.into()))?;
        let request = EnrollRequest {
            token: self.token.to_string(),
            kind: self.kind.into(),
            name: self.name.to_owned(),
            csr: csr.into(),
            addresses: Vec::new(),
        };
        let answer = client.enroll(request).await.map_err(|status| refusal(server, &status))?.into_inner();
        Ok(Enrolled { answer, key_pem })
    }

    /// The CA, proved by the token's secret.
    async fn discover(&self, server: &str) -> Result<String, Refusal> {
        let config = pki::unverified_client_config().map_err(|e| Refusal::Final(e.into()))?;
        let mut client = ClusterClient::new(channel(server, config).map_err(Refusal::Final)?);
        let nonce: [u8; 16] = rand::random();
        let request = DiscoverRequest { token_id: self.token.id.clone(), nonce: nonce.to_vec().into() };
        let answer = client.discover(request).await.map_err(|status| refusal(server, &status))?.into_inner();
        pki::verify_discovery(self.token, &nonce, &answer.ca_pem, &answer.signature)
            .map_err(|e| Refusal::Final(e.into()))?;
        Ok(answer.ca_pem)
    }
}

/// Why it did not work.
enum Refusal {
    /// Trying again is of no use.
    Final(anyhow::Error),
    /// The token is not good, or not yet.
    Token(anyhow::Error),
    /// It may pass.
    Later(anyhow::Error),
}

fn refusal(server: &str, status: &tonic::Status) -> Refusal {
    use tonic::Code;
    let error = anyhow!("{server}: {}", status.message());
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => Refusal::Token(error),
        Code::InvalidArgument | Code::Unimplemented => Refusal::Final(error),
        _ => Refusal::Later(error),
    }
}

/// A gRPC channel with TLS of our own.
pub(crate) fn channel(server: &str, config: rustls::ClientConfig) -> Result<Channel> {
    channel_to_any(&[server.to_owned()], config)
}

/// A gRPC channel to the first of these servers that takes a connection, each time one is made.
pub(crate) fn channel_to_any(servers: &[String], mut config: rustls::ClientConfig) -> Result<Channel> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let uris: Vec<http::Uri> = servers.iter().map(|server| dial::parse(server)).collect::<Result<_>>()?;
    let first = uris.first().and_then(http::Uri::authority).context("no server is named")?;
    // The connector below makes TLS itself; tonic refuses https:// without TLS of its own.
    let endpoint = Endpoint::try_from(format!("http://{first}"))?.connect_timeout(CALL_PATIENCE).timeout(CALL_PATIENCE);
    let connect = tower::service_fn(move |_: http::Uri| {
        let (connector, uris) = (connector.clone(), uris.clone());
        async move { dial::first_to_answer(&connector, &uris).await.map(|dialled| TokioIo::new(dialled.stream)) }
    });
    Ok(endpoint.connect_with_connector_lazy(connect))
}
