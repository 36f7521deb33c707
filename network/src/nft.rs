//! Runs `nft` and `conntrack`, each bounded in time.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::error::NetworkError;

/// Loading a thousand services takes half a second.
const LIMIT: Duration = Duration::from_secs(20);

/// Carries a transaction out: all of it or nothing.
pub(crate) async fn apply(text: &str) -> Result<(), NetworkError> {
    run("nft", &["-f", "-"], text).await
}

/// Forgets connections that lead to a pod that is gone, so that the next datagram chooses anew. None is not an error.
pub(crate) async fn forget_udp(address: std::net::Ipv4Addr) {
    if let Err(error) = run("conntrack", &["-D", "-p", "udp", "--dst-nat", &address.to_string()], "").await {
        tracing::debug!(%address, %error, "no connection was forgotten");
    }
}

async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<(), NetworkError> {
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = started.map_err(|source| NetworkError::Start { program, source })?;
    let exchange = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output =
        tokio::time::timeout(LIMIT, exchange).await.map_err(|_| NetworkError::Slow { program, limit: LIMIT })?;
    let output = output.map_err(|source| NetworkError::Start { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
    Err(NetworkError::Refused { program, said })
}
