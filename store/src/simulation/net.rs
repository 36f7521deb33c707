//! turmoil's network, as the store uses one. Without TLS: its random numbers would not repeat.

use std::io;
use std::net::SocketAddr;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use turmoil::net::{TcpListener, TcpStream};

use crate::peer::net::{Connecting, Listener, Net, Stream};

pub(super) struct SimulatedNet;

impl Net for SimulatedNet {
    fn connect(&self, address: String) -> Connecting {
        let connecting = async move {
            let stream: Stream = Box::new(TcpStream::connect(address).await?);
            Ok(stream)
        };
        connecting.boxed()
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let listening = async move {
            let listener: Box<dyn Listener> = Box::new(SimulatedListener(TcpListener::bind(at).await?));
            Ok(listener)
        };
        listening.boxed()
    }
}

struct SimulatedListener(TcpListener);

impl Listener for SimulatedListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Connecting>> {
        let accepting = async {
            let (stream, _) = self.0.accept().await?;
            let stream: Stream = Box::new(stream);
            Ok(std::future::ready(Ok(stream)).boxed())
        };
        accepting.boxed()
    }
}
