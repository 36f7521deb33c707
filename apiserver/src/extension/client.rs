//! Calls to webhooks: one connection a call, over TLS, within a deadline.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use mainstay_api::field::go_quote;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;
use tokio::net::TcpStream;

use super::{answer, text};
use crate::strategy::Reader;

/// Bytes of an answer at the most.
const LARGEST: usize = 3 << 20;
/// Bytes of an error in plain words that are repeated at the most.
const LONGEST_WORDS: usize = 2048;
/// What the system trusts, where a configuration names nothing.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where a webhook is.
struct Place {
    /// As errors show it.
    url: String,
    /// Host of the certificate, and of the `Host` header.
    host: String,
    /// What to connect to.
    address: String,
    /// Path and query.
    path: String,
}

/// Sends a review; the answer as JSON, or what went wrong in Kubernetes' words.
pub(super) async fn call(
    config: &Value,
    body: &Value,
    timeout: Duration,
    reader: &dyn Reader,
) -> Result<Value, String> {
    let place = place(config, timeout)?;
    let address = match config.get("service") {
        Some(service) => service_address(service, reader).map_err(|why| posted(&place, &why))?,
        None => place.address.clone(),
    };
    let roots = text(config, "/caBundle").to_owned();
    let exchange = exchange(&place, &address, &roots, body.to_string());
    match tokio::time::timeout(timeout, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(posted(&place, "context deadline exceeded")),
    }
}

fn posted(place: &Place, why: &str) -> String {
    format!("Post \"{}\": {why}", place.url)
}

fn place(config: &Value, timeout: Duration) -> Result<Place, String> {
    let seconds = timeout.as_secs();
    if let Some(service) = config.get("service").filter(|service| !service.is_null()) {
        let path = text(service, "/path").trim_start_matches('/');
        let port = service.get("port").and_then(Value::as_u64).unwrap_or(443);
        let host = format!("{}.{}.svc", text(service, "/name"), text(service, "/namespace"));
        let path = format!("/{path}?timeout={seconds}s");
        let url = format!("https://{host}:{port}{path}");
        return Ok(Place { url, address: format!("{host}:{port}"), host, path });
    }
    let url = text(config, "/url");
    let rest = url.strip_prefix("https://").ok_or("the webhook's address is not an https URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = if host.len() == authority.len() { format!("{authority}:443") } else { authority.to_owned() };
    let path = format!("/{path}?timeout={seconds}s");
    Ok(Place {
        url: format!("https://{authority}{path}"),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        address,
        path,
    })
}

/// An address behind a service: one of its endpoints, as the masters need not be on the service network.
fn service_address(service: &Value, reader: &dyn Reader) -> Result<String, String> {
    let (name, namespace) = (text(service, "/name"), text(service, "/namespace"));
    let port = service.get("port").and_then(Value::as_i64).unwrap_or(443);
    let found = reader.get("", "services", namespace, name).ok_or(format!("service \"{name}\" not found"))?;
    if text(&found, "/spec/type") == "ExternalName" {
        return Ok(format!("{}:{port}", text(&found, "/spec/externalName")));
    }
    let ports = super::list(&found, "/spec/ports");
    let own = ports.iter().find(|own| own["port"].as_i64() == Some(port));
    let own = own.ok_or(format!("no service port {port} found for service \"{name}\""))?;
    let port_name = own["name"].as_str().unwrap_or_default();
    let slices = reader.list("discovery.k8s.io", "endpointslices", Some(namespace));
    let own_slices = slices.iter().filter(|slice| {
        slice
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get("kubernetes.io/service-name"))
            .and_then(Value::as_str)
            == Some(name)
    });
    for slice in own_slices {
        let ports = super::list(slice, "/ports");
        let Some(port) = ports.iter().find(|port| port["name"].as_str().unwrap_or_default() == port_name) else {
            continue;
        };
        let ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
        let mut endpoints = super::list(slice, "/endpoints").iter().filter(ready);
        if let (Some(address), Some(port)) =
            (endpoints.next().and_then(|endpoint| endpoint["addresses"][0].as_str()), port["port"].as_i64())
        {
            return Ok(if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") });
        }
    }
    Err(format!("no endpoints available for service \"{name}\""))
}

async fn exchange(place: &Place, address: &str, roots: &str, body: String) -> Result<Value, String> {
    let wrong = |why: String| posted(place, &why);
    let socket = TcpStream::connect(address).await;
    let socket = socket.map_err(|error| wrong(undialled(address, &error)))?;
    let tls = tokio_rustls::TlsConnector::from(Arc::new(tls_config(roots).map_err(&wrong)?));
    let name = ServerName::try_from(place.host.clone()).map_err(|error| wrong(error.to_string()))?;
    let stream = tls.connect(name, socket).await.map_err(|error| wrong(tls_words(&error, &place.host)))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| wrong(error.to_string()))?;
    let request = Request::post(&place.path)
        .header(header::HOST, &place.host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| wrong(error.to_string()))?;
    // The connection is driven here and dropped with this future, so nothing outlives the deadline.
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| wrong(error.to_string()))?;
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| wrong(error.to_string()))?.to_bytes();
        read(status, &content_type, &body)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(wrong(error.to_string())),
        },
    }
}

fn read(status: StatusCode, content_type: &str, body: &[u8]) -> Result<Value, String> {
    if status.is_success() {
        let content_type = Some(content_type).filter(|said| !said.is_empty()).unwrap_or("application/json");
        return answer::parse(status.as_u16(), content_type, body);
    }
    if let Some(said) = said_by_status(body) {
        return Err(said);
    }
    let said = said_in_text(content_type, body);
    Err(match status {
        StatusCode::NOT_FOUND => "the server could not find the requested resource".to_owned(),
        StatusCode::UNAUTHORIZED => "the server has asked for the client to provide credentials".to_owned(),
        StatusCode::FORBIDDEN | StatusCode::UNSUPPORTED_MEDIA_TYPE => said,
        StatusCode::BAD_REQUEST => "the server rejected our request for an unknown reason".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => "the server does not allow this method on the requested resource".to_owned(),
        StatusCode::NOT_ACCEPTABLE if said.is_empty() || said == "unknown" => {
            "the server was unable to respond with a content type that the client supports".to_owned()
        }
        StatusCode::NOT_ACCEPTABLE => said,
        StatusCode::CONFLICT => "the server reported a conflict".to_owned(),
        StatusCode::UNPROCESSABLE_ENTITY => "the server rejected our request due to an error in our request".to_owned(),
        StatusCode::TOO_MANY_REQUESTS => {
            "the server has received too many requests and has asked us to try again later".to_owned()
        }
        StatusCode::SERVICE_UNAVAILABLE => "the server is currently unable to handle the request".to_owned(),
        StatusCode::GATEWAY_TIMEOUT => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned()
        }
        status if status.is_server_error() => {
            format!("an error on the server ({}) has prevented the request from succeeding", go_quote(&said))
        }
        status => {
            format!("the server responded with the status code {} but did not return more information", status.as_u16())
        }
    })
}

/// What an error says that is told in plain words, or in nobody knows what.
fn said_in_text(content_type: &str, body: &[u8]) -> String {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !media.is_empty() && !media.starts_with("text/") {
        return "unknown".to_owned();
    }
    let shown = &body[..body.len().min(LONGEST_WORDS)];
    String::from_utf8_lossy(shown).trim().to_owned()
}

/// The message of an error that is told with a Status.
fn said_by_status(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let is_status = matches!(text(&body, "/kind"), "" | "Status") && matches!(text(&body, "/apiVersion"), "" | "v1");
    (is_status && text(&body, "/status") == "Failure").then(|| text(&body, "/message").to_owned())
}

/// A failed handshake in Go's words, as far as it is about the certificate.
fn tls_words(error: &std::io::Error, host: &str) -> String {
    use rustls::CertificateError as Bad;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match inner {
        Some(rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => unknown_authority(),
        // A certificate that was to sign others; Go does not mind that, but that nobody has signed it.
        Some(rustls::Error::InvalidCertificate(Bad::Other(other)))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            unknown_authority()
        }
        Some(rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
            format!("certificate is not valid for any names, but wanted to match {host}")
        }
        Some(rustls::Error::InvalidCertificate(
            bad @ (Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet),
        )) => {
            format!("certificate has expired or is not yet valid: {bad:?}")
        }
        _ => return format!("tls: {error}"),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// Why there is no connection, in Go's words.
fn undialled(address: &str, error: &std::io::Error) -> String {
    let why = dial_words(error);
    match address.rsplit_once(':') {
        Some((host, _)) if why.starts_with("failed to lookup address") => {
            format!("dial tcp: lookup {host}: no such host")
        }
        _ => format!("dial tcp {address}: connect: {why}"),
    }
}

fn unknown_authority() -> String {
    "certificate signed by unknown authority".to_owned()
}

fn dial_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

fn tls_config(bundle: &str) -> Result<rustls::ClientConfig, String> {
    let pem = base64::engine::general_purpose::STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    let verifier = server_verifier(&pem)?;
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// What verifies a server by a bundle of certificates, PEM; an empty one is what the system trusts.
pub(crate) fn server_verifier(bundle: &[u8]) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let system;
    let pem = if bundle.is_empty() {
        system = std::fs::read(SYSTEM_ROOTS).unwrap_or_default();
        system.as_slice()
    } else {
        bundle
    };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    if roots.is_empty() {
        return Err("tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(Trusting { inner, bundle: certificates }))
}

/// Verifies as usual, and takes a server's certificate that is itself in the bundle, as Go does: bundles of
/// self-signed certificates are common.
#[derive(Debug)]
struct Trusting {
    inner: Arc<WebPkiServerVerifier>,
    bundle: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verified.is_ok() || !self.bundle.iter().any(|own| own == end_entity) {
            return verified;
        }
        let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_knows_is_told() {
        let unknown = std::io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(undialled("h.invalid:443", &unknown), "dial tcp: lookup h.invalid: no such host");
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(undialled("127.0.0.1:1", &refused), "dial tcp 127.0.0.1:1: connect: connection refused");
    }

    #[test]
    fn an_error_in_plain_words_is_repeated() {
        let why = |code: u16, media: &str, body: &str| {
            read(StatusCode::from_u16(code).unwrap(), media, body.as_bytes()).unwrap_err()
        };
        let server =
            |said: &str| format!("an error on the server (\"{said}\") has prevented the request from succeeding");
        assert_eq!(why(500, "text/plain; charset=utf-8", "boom\n"), server("boom"));
        assert_eq!(why(502, "", "boom"), server("boom"));
        assert_eq!(why(500, "application/json", "boom"), server("unknown"));
        assert_eq!(why(403, "text/plain", "not you"), "not you");
        assert_eq!(why(404, "text/plain", "nothing"), "the server could not find the requested resource");
    }
}
