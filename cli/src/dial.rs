//! TLS connections to whichever master answers first.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A master may take this long for a connection, its part of TLS included.
const PATIENCE: Duration = Duration::from_secs(3);
/// After this long without an answer the next master is tried as well: a stopped process still takes connections.
const HEAD_START: Duration = Duration::from_millis(300);

/// A connection and the server that it leads to.
pub(crate) struct Dialled {
    pub(crate) stream: TlsStream<TcpStream>,
    /// Host and port.
    pub(crate) authority: String,
}

/// The `https://host:port` of a master.
///
/// # Errors
/// When it is none.
pub(crate) fn parse(server: &str) -> Result<http::Uri> {
    let uri: http::Uri = server.parse().with_context(|| format!("{server} is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        bail!("{server} does not begin with https://");
    }
    uri.authority().with_context(|| format!("{server} names no host"))?;
    Ok(uri)
}

/// Connects to the first of these servers that answers, trying them in their order.
///
/// # Errors
/// What the last one failed with, when all do.
pub(crate) async fn first_to_answer(tls: &TlsConnector, servers: &[http::Uri]) -> std::io::Result<Dialled> {
    let mut waiting = servers.iter();
    let mut trying = FuturesUnordered::new();
    let mut last = Error::other("no server is named");
    loop {
        match waiting.next() {
            Some(server) => trying.push(within_patience(tls, server)),
            None if trying.is_empty() => return Err(last),
            None => {}
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(outcome) = trying.next() => match outcome {
                Ok(dialled) => return Ok(dialled),
                Err(error) => last = error,
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
    }
}

async fn within_patience(tls: &TlsConnector, server: &http::Uri) -> std::io::Result<Dialled> {
    let outcome = match tokio::time::timeout(PATIENCE, dial(tls, server)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    outcome.map_err(|error| Error::new(error.kind(), format!("cannot reach {server}: {error}")))
}

async fn dial(tls: &TlsConnector, server: &http::Uri) -> std::io::Result<Dialled> {
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(443);
    let address = host.trim_matches(['[', ']']).to_owned();
    let tcp = TcpStream::connect((address.as_str(), port)).await?;
    tcp.set_nodelay(true)?;
    let name = rustls::pki_types::ServerName::try_from(address).map_err(Error::other)?;
    Ok(Dialled { stream: tls.connect(name, tcp).await?, authority: format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mainstay_apiserver::pki::{ClusterCa, Profile, unverified_client_config};
    use tokio::net::TcpListener;

    use super::*;

    async fn bound() -> (TcpListener, http::Uri) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        (listener, uri)
    }

    fn acceptor() -> tokio_rustls::TlsAcceptor {
        let serving = Profile::Serving { master: "m".into(), addresses: Vec::new() };
        let issued = ClusterCa::create().unwrap().issue(&serving).unwrap();
        use rustls::pki_types::pem::PemObject as _;
        let cert = rustls::pki_types::CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert], key).unwrap();
        Arc::new(config).into()
    }

    #[tokio::test]
    async fn neither_a_silent_nor_an_absent_server_is_in_the_way() {
        mainstay_apiserver::pki::install_provider();
        let tls = TlsConnector::from(Arc::new(unverified_client_config().unwrap()));
        let (absent, silent) = (bound().await, bound().await);
        drop(absent.0);
        let (listener, good) = bound().await;
        let serving = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            acceptor().accept(tcp).await.unwrap()
        });
        let dialled = first_to_answer(&tls, &[absent.1.clone(), silent.1, good.clone()]).await.unwrap();
        assert_eq!(Some(dialled.authority.as_str()), good.authority().map(|a| a.as_str()));
        serving.await.unwrap();
        let error = first_to_answer(&tls, &[absent.1]).await.err().unwrap().to_string();
        assert!(error.starts_with("cannot reach https://127.0.0.1:"), "{error}");
    }

    #[test]
    fn only_https_addresses_are_servers() {
        assert!(parse("http://a:1").is_err());
        assert!(parse("a").is_err());
    }
}
