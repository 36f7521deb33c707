//! Requests to containers, for probes and hooks: one GET by hand, of whose answer the status counts.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Enough of an answer to read its status line.
const ANSWER_BYTES: usize = 10 << 10;

/// A number, or the name of one of the container's ports.
pub(super) fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_ref() == Some(name));
            named.map(|p| p.container_port).or_else(|| name.parse().ok())
        }
    };
    number.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| "couldn't find the port".to_owned())
}

/// Where a request goes, and what it carries.
pub(super) struct Get {
    https: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

impl Get {
    /// As an action says; `host` is the pod's address.
    pub fn of(action: &HTTPGetAction, container: &Container, host: &str) -> Result<Get, String> {
        let headers = action.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone()));
        Ok(Get {
            https: action.scheme.as_deref() == Some("HTTPS"),
            host: action.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| host.to_owned()),
            port: port(container, &action.port)?,
            path: action.path.as_deref().unwrap_or("/").trim_start_matches('/').to_owned(),
            headers: headers.collect(),
        })
    }

    /// As Kubernetes' messages quote it.
    pub fn url(&self) -> String {
        format!("{}://{}/{}", if self.https { "https" } else { "http" }, self.address(), self.path)
    }

    fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Asks; the status code, or why there is none.
    pub async fn send(&self) -> Result<u16, String> {
        let address = self.address();
        let url = self.url();
        let failed = |error: std::io::Error| format!("Get \"{url}\": dial tcp {address}: connect: {}", plain(&error));
        let stream = TcpStream::connect(&address).await.map_err(failed)?;
        let line = if self.https {
            let name = ServerName::try_from(self.host.clone()).map_err(|e| format!("Get \"{url}\": {e}"))?;
            let connector = tokio_rustls::TlsConnector::from(any_certificate().map_err(|e| e.to_string())?);
            let stream = connector.connect(name, stream).await.map_err(|e| format!("Get \"{url}\": {e}"))?;
            self.ask(stream).await
        } else {
            self.ask(stream).await
        };
        let line = line.map_err(failed)?;
        let code = line.split(' ').nth(1).and_then(|c| c.get(..3)).and_then(|c| c.parse::<u16>().ok());
        code.ok_or_else(|| format!("Get \"{url}\": EOF"))
    }

    async fn ask(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<String> {
        stream.write_all(self.request().as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        let mut limited = stream.take(ANSWER_BYTES as u64);
        while !answer.windows(2).any(|w| w == b"\r\n") {
            if limited.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn request(&self) -> String {
        let own = |name: &str| self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let host = own("host").map_or_else(|| self.address(), |(_, value)| value.clone());
        let mut text = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", self.path);
        for (name, default) in [("User-Agent", "kube-probe/1.36"), ("Accept", "*/*")] {
            if own(name).is_none() {
                text += &format!("{name}: {default}\r\n");
            }
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }
}

/// In the words of the system's errors as Go prints them.
pub(super) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "no route to host".into(),
        _ => error.to_string(),
    }
}

/// TLS that takes whatever the container shows: a probe asks whether it answers, not who it is.
fn any_certificate() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(AnyCertificate(provider));
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_as_the_action_says() {
        let action: HTTPGetAction = serde_json::from_value(json!({"port": "web", "path": "/x", "scheme": "HTTPS",
            "httpHeaders": [{"name": "Host", "value": "h"}, {"name": "User-Agent", "value": "me"}]}))
        .unwrap();
        let container: Container =
            serde_json::from_value(json!({"name": "c", "ports": [{"name": "web", "containerPort": 8443}]})).unwrap();
        let get = Get::of(&action, &container, "10.0.0.1").unwrap();
        assert_eq!(get.url(), "https://10.0.0.1:8443/x");
        let text = get.request();
        assert!(text.starts_with("GET /x HTTP/1.1\r\nHost: h\r\n") && text.contains("User-Agent: me\r\n"));
        assert_eq!(text.matches("User-Agent").count(), 1);
    }
}
