//! JSON over HTTPS, within a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer at the most.
const LARGEST: usize = 1 << 20;
/// What the system trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A client that trusts certain authorities.
pub(super) struct Fetcher {
    tls: Arc<rustls::ClientConfig>,
}

impl Fetcher {
    pub(super) fn new(ca_pem: Option<&str>) -> Result<Self, String> {
        let system;
        let pem = match ca_pem {
            Some(pem) => pem.as_bytes(),
            None => {
                system = std::fs::read(SYSTEM_ROOTS).map_err(|error| format!("{SYSTEM_ROOTS}: {error}"))?;
                &system
            }
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
        if roots.is_empty() {
            return Err("it holds no usable certificate".to_owned());
        }
        let builder =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?;
        Ok(Self { tls: Arc::new(builder.with_root_certificates(roots).with_no_client_auth()) })
    }

    /// The document under an `https://` URL; redirects are not followed.
    pub(super) async fn get(&self, url: &str) -> Result<Value, String> {
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(url)).await;
        answer
            .unwrap_or_else(|_| Err(format!("no answer within {} seconds", TIMEOUT.as_secs())))
            .map_err(|why| format!("{url}: {why}"))
    }

    async fn exchange(&self, url: &str) -> Result<Value, String> {
        let uri: Uri = url.parse().map_err(|_| "it is not a URL".to_owned())?;
        if uri.scheme_str() != Some("https") {
            return Err("it is not an https:// URL".to_owned());
        }
        let host = uri.host().ok_or("it names no host")?;
        let name = host.trim_matches(['[', ']']).to_owned();
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let socket = TcpStream::connect((name.as_str(), uri.port_u16().unwrap_or(443))).await.map_err(|e| text(&e))?;
        let server = ServerName::try_from(name).map_err(|e| text(&e))?;
        let tls = tokio_rustls::TlsConnector::from(self.tls.clone());
        let stream = tls.connect(server, socket).await.map_err(|e| text(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| text(&e))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|e| text(&e))?;
        // The connection is driven here and dropped with this future.
        let answer = async {
            let response = sender.send_request(request).await.map_err(|e| text(&e))?;
            if !response.status().is_success() {
                return Err(format!("it answers {}", response.status()));
            }
            let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|e| e.to_string())?;
            serde_json::from_slice(&body.to_bytes()).map_err(|e| text(&e))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }
}
