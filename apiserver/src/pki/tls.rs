//! TLS of the API port. Clients may show a certificate; whether it is good is the authenticator's business, so that
//! a bad one is answered with 401 and a reason in the log, not with a broken handshake.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Issued, PkiError, PkiResult};

/// The server side: HTTP/2 and HTTP/1.1 by ALPN, client certificates asked for and optional.
///
/// # Errors
/// When TLS cannot be set up.
pub fn server_config(serving: Arc<ServingCertificate>) -> PkiResult<rustls::ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyClient { algorithms: provider.signature_verification_algorithms });
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| tls("start TLS", &e))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What the API listener shows. New connections get what was set last; open ones go on.
#[derive(Debug)]
pub struct ServingCertificate(ArcSwap<CertifiedKey>);

impl ServingCertificate {
    /// Shows this one.
    ///
    /// # Errors
    /// When the certificate or its key is not usable.
    pub fn new(issued: &Issued) -> PkiResult<Self> {
        Ok(Self(ArcSwap::new(certified(issued)?)))
    }

    /// Shows another one from now on.
    ///
    /// # Errors
    /// When the certificate or its key is not usable; the present one stays.
    pub fn set(&self, issued: &Issued) -> PkiResult<()> {
        self.0.store(certified(issued)?);
        Ok(())
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(issued: &Issued) -> PkiResult<Arc<CertifiedKey>> {
    let (chain, key) = parse(issued)?;
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    certified.map(Arc::new).map_err(|e| tls("use the serving certificate", &e))
}

/// The client side: trusts the CA, and shows `identity` if there is one.
///
/// # Errors
/// When the CA, the certificate or its key is not usable.
pub fn client_config(ca_pem: &str, identity: Option<&Issued>) -> PkiResult<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let cert = cert.map_err(|e| tls("read the CA", &e))?;
        roots.add(cert).map_err(|e| tls("trust the CA", &e))?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| tls("start TLS", &e))?
        .with_root_certificates(roots);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(issued) => {
            let (chain, key) = parse(issued)?;
            builder.with_client_auth_cert(chain, key).map_err(|e| tls("use the client certificate", &e))
        }
    }
}

/// The client side that trusts whom `verifier` trusts, and shows `identity`.
///
/// # Errors
/// When the certificate or its key is not usable.
pub(crate) fn client_config_with(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: &Issued,
) -> PkiResult<rustls::ClientConfig> {
    let (chain, key) = parse(identity)?;
    rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| tls("start TLS", &e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(|e| tls("use the client certificate", &e))
}

/// Takes any server for what it says it is: for those that users say not to verify.
pub(crate) fn any_server() -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyServer { algorithms: aws_lc_rs::default_provider().signature_verification_algorithms })
}

type Parsed = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn parse(issued: &Issued) -> PkiResult<Parsed> {
    let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes());
    Ok((chain.map_err(|e| tls("read a certificate", &e))?, key.map_err(|e| tls("read a key", &e))?))
}

fn tls(what: &'static str, why: &dyn std::fmt::Display) -> PkiError {
    PkiError::Crypto { what, why: why.to_string() }
}

/// Proves that the client holds the key of the certificate it shows, and no more.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The client side of a joiner that has nothing to trust yet: encrypted, but with whom is only proved by what is said.
///
/// # Errors
/// When TLS cannot be set up.
pub fn unverified_client_config() -> PkiResult<rustls::ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyServer { algorithms: provider.signature_verification_algorithms });
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| tls("start TLS", &e))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Accepts any server; see [`unverified_client_config`].
#[derive(Debug)]
struct AnyServer {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Makes aws-lc the process's TLS provider; a second call does nothing.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() && aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("another thread installed the TLS provider first");
    }
}
