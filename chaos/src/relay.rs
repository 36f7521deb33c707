//! A relay that makes a network slow: connections that nftables redirects to it go on to where they were bound for, and
//! every byte arrives later. It stands in the namespace of the machine that is slow, and is a process of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The relay's own connections carry it, so that they are not redirected to it again.
pub(crate) const MARK: u32 = 0x6d63;
/// Bytes that are read at once.
const PIECE: usize = 32 * 1024;
/// Pieces that are on their way in one direction of a connection; more wait with the sender.
const ON_THEIR_WAY: usize = 64;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Relays at this port until it is killed.
///
/// # Errors
/// When the port cannot be had.
pub async fn serve(port: u16, delay: Duration) -> Result<()> {
    let address = (Ipv4Addr::UNSPECIFIED, port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening at port {port}"))?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, delay))),
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn connection(near: TcpStream, delay: Duration) {
    if let Err(error) = relayed(near, delay).await {
        tracing::debug!(%error, "a relayed connection ended");
    }
}

async fn relayed(near: TcpStream, delay: Duration) -> io::Result<()> {
    let target = bound_for(&near)?;
    tokio::time::sleep(delay).await;
    let socket = TcpSocket::new_v4()?;
    setsockopt(&socket, sockopt::Mark, &MARK)?;
    let far = tokio::time::timeout(CONNECT_LIMIT, socket.connect(target)).await??;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // Either side may close its half first; a reset ends both.
    tokio::try_join!(later(near_read, far_write, delay), later(far_read, near_write, delay)).map(|_| ())
}

/// Where the connection was going before it was redirected.
fn bound_for(stream: &TcpStream) -> io::Result<SocketAddr> {
    let original = nix::sys::socket::getsockopt(stream, sockopt::OriginalDst)?;
    let address = Ipv4Addr::from(original.sin_addr.s_addr.to_ne_bytes());
    Ok(SocketAddrV4::new(address, u16::from_be(original.sin_port)).into())
}

/// Copies one direction, each piece `delay` after it came.
async fn later(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THEIR_WAY);
    let read = async move {
        loop {
            let mut piece = vec![0; PIECE];
            let length = from.read(&mut piece).await?;
            piece.truncate(length);
            if sender.send((Instant::now() + delay, piece)).await.is_err() || length == 0 {
                return Ok::<_, io::Error>(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if piece.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_arrive_whole_in_order_and_late() {
        let (mut sender, inlet) = pair().await;
        let (outlet, mut receiver) = pair().await;
        let delay = Duration::from_millis(60);
        let (read, _keep) = inlet.into_split();
        let (_other, write) = outlet.into_split();
        let copying = tokio::spawn(later(read, write, delay));
        let began = Instant::now();
        let text: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let sent = text.clone();
        let sending = tokio::spawn(async move {
            sender.write_all(&sent).await.unwrap();
            sender.shutdown().await.unwrap();
        });
        let mut first = [0];
        receiver.read_exact(&mut first).await.unwrap();
        assert!(began.elapsed() >= delay, "it came after {:?}", began.elapsed());
        let mut rest = Vec::new();
        receiver.read_to_end(&mut rest).await.unwrap();
        assert_eq!([first.to_vec(), rest].concat(), text);
        sending.await.unwrap();
        copying.await.unwrap().unwrap();
    }
}
