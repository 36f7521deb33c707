//! From a kubeconfig to a connection: gRPC for most things, plain HTTPS for what streams or is no object.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mainstay_apiserver::pki::{self, Issued};
use mainstay_client::{Auth, Config};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::dial;

/// Options of all commands that talk to a cluster.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Connection {
    /// Kubeconfig file; the environment's KUBECONFIG or ~/.kube/config if not given
    #[arg(long, global = true, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// API server's address instead of the kubeconfig's
    #[arg(long, short = 's', global = true, value_name = "URL")]
    server: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    act_as: Option<String>,
    /// Group to act as
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    act_as_groups: Vec<String>,
}

impl Connection {
    /// The settings that the options and the kubeconfig give.
    pub(crate) fn config(&self) -> Result<Config> {
        let mut config = Config::from_kubeconfig_context(&self.path()?, self.context.as_deref())?;
        if let Some(server) = &self.server {
            config.servers = vec![server.clone()];
        }
        config.impersonate_user.clone_from(&self.act_as);
        config.impersonate_groups.clone_from(&self.act_as_groups);
        Ok(config)
    }

    fn path(&self) -> Result<PathBuf> {
        if let Some(path) = self.kubeconfig.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            return Ok(path.clone());
        }
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .context("there is no HOME; name a kubeconfig with --kubeconfig")?;
        let path = home.join(".kube/config");
        if !path.exists() {
            bail!("no kubeconfig; name one with --kubeconfig or KUBECONFIG (`mainstay up` writes DIR/kubeconfig)");
        }
        Ok(path)
    }
}

/// The text of a warning such as `299 - "no longer"`.
fn warning(header: &http::HeaderValue) -> Option<String> {
    let text = header.to_str().ok()?.strip_prefix("299 ")?;
    let quoted = text.split_once('"')?.1.strip_suffix('"')?;
    let mut said = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        said.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(said)
}

async fn whole(response: http::Response<Incoming>) -> Result<Bytes> {
    Ok(response.into_body().collect().await.context("the answer broke off")?.to_bytes())
}

/// The client certificate, where that is who we are.
pub(crate) fn identity(config: &Config) -> Option<Issued> {
    match &config.auth {
        Auth::Certificate { cert_pem, key_pem } => {
            Some(Issued { cert_pem: cert_pem.clone(), key_pem: key_pem.clone() })
        }
        _ => None,
    }
}

/// HTTP/1.1 requests to the first master that answers.
pub(crate) struct Rest {
    servers: Vec<String>,
    tls: tokio_rustls::TlsConnector,
    headers: Vec<(String, String)>,
}

impl Rest {
    /// With the credentials of these settings.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Self::speaking(config, Vec::new())
    }

    /// Likewise, for connections that speak HTTP/2.
    pub(crate) fn http2(config: &Config) -> Result<Self> {
        Self::speaking(config, vec![b"h2".to_vec()])
    }

    fn speaking(config: &Config, protocols: Vec<Vec<u8>>) -> Result<Self> {
        let identity = identity(config);
        let ca = config.ca_pem.as_deref().context("the kubeconfig names no certificate authority")?;
        let mut tls = pki::client_config(ca, identity.as_ref())?;
        tls.alpn_protocols = protocols;
        let mut headers = Vec::new();
        if let Auth::Token(token) = &config.auth {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        headers.extend(config.impersonate_user.iter().map(|user| ("impersonate-user".to_owned(), user.clone())));
        headers.extend(config.impersonate_groups.iter().map(|group| ("impersonate-group".to_owned(), group.clone())));
        Ok(Self { servers: config.servers.clone(), tls: tokio_rustls::TlsConnector::from(Arc::new(tls)), headers })
    }

    /// Headers that say who we are.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The whole answer to a GET.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Bytes> {
        let response = self.send(http::Method::GET, path, headers, Bytes::new()).await?;
        whole(response).await
    }

    /// An answer whose body is still to come; a refusal is an error.
    pub(crate) async fn send(
        &self,
        method: http::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<http::Response<Incoming>> {
        let (stream, authority) = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "the connection ended");
            }
        });
        let mut request = http::Request::builder().method(method).uri(path).header("host", authority);
        for (name, value) in self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        for text in response.headers().get_all(http::header::WARNING).iter().filter_map(warning) {
            eprintln!("Warning: {text}");
        }
        if response.status().is_success() || response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let code = response.status();
        let said = whole(response).await?;
        match serde_json::from_slice(&said) {
            Ok(status) => Err(mainstay_client::Error::Api(Box::new(status)).into()),
            Err(_) => bail!("the server answered {code}: {}", String::from_utf8_lossy(&said).trim()),
        }
    }

    /// A TLS connection to the first master that takes one, and its host and port.
    pub(crate) async fn connect(&self) -> Result<(TlsStream<TcpStream>, String)> {
        let servers: Vec<http::Uri> = self.servers.iter().map(|server| dial::parse(server)).collect::<Result<_>>()?;
        let dialled = dial::first_to_answer(&self.tls, &servers).await?;
        Ok((dialled.stream, dialled.authority))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_without_their_quotes() {
        let said = |text: &'static str| warning(&http::HeaderValue::from_static(text));
        assert_eq!(said("299 - \"use \\\"b\\\" instead\"").as_deref(), Some("use \"b\" instead"));
        assert_eq!(said("199 - \"a\""), None);
        assert_eq!(said("299"), None);
    }
}
