//! The API's listening socket.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;

/// Binds, and says what to do when that fails.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("{address} is in use; stop what listens there, or choose another address with --listen")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}
