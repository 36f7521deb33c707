//! Where connections between masters come from: TCP with mutual TLS, or a simulated network in tests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tls::TlsConfigs;

/// A peer that does not finish its handshake in this time is dropped.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to another master that has shown that it is one.
pub(crate) type Stream = Box<dyn Duplex>;

/// A connection that is being made.
pub(crate) type Connecting = BoxFuture<'static, io::Result<Stream>>;

/// Makes connections.
pub(crate) trait Net: Send + Sync {
    /// To the master at `address` (`host:port`).
    fn connect(&self, address: String) -> Connecting;

    /// Begins to listen for other masters.
    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// Accepts connections.
pub(crate) trait Listener: Send + Sync {
    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The next one; what is returned finishes its handshake and holds nobody up.
    fn accept(&self) -> BoxFuture<'_, io::Result<Connecting>>;
}

/// TCP with mutual TLS.
pub(crate) struct TlsNet {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl TlsNet {
    pub(crate) fn new(tls: &TlsConfigs) -> Self {
        Self { client: tls.client.clone(), server: tls.server.clone() }
    }
}

impl Net for TlsNet {
    fn connect(&self, address: String) -> Connecting {
        let tls = TlsConnector::from(self.client.clone());
        let connecting = async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("master.mainstay.internal").map_err(io::Error::other)?;
            let stream: Stream = Box::new(tls.connect(name, stream).await?);
            Ok(stream)
        };
        connecting.boxed()
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let tls = TlsAcceptor::from(self.server.clone());
        let listening = async move {
            let listener: Box<dyn Listener> = Box::new(TlsListener { tcp: TcpListener::bind(at).await?, tls });
            Ok(listener)
        };
        listening.boxed()
    }
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for TlsListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Connecting>> {
        let accepting = async {
            let (stream, _) = self.tcp.accept().await?;
            let tls = self.tls.clone();
            let shaking = async move {
                stream.set_nodelay(true)?;
                let hands = tokio::time::timeout(HANDSHAKE, tls.accept(stream));
                let stream = hands.await.map_err(|_| io::Error::other("no handshake in time"))??;
                let stream: Stream = Box::new(stream);
                Ok(stream)
            };
            Ok(shaking.boxed())
        };
        accepting.boxed()
    }
}
