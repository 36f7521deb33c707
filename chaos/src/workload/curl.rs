//! A client that fetches a service's page again and again, at any of its nodes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Notes;

const PAUSE: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(1);

/// How often the service answered.
#[derive(Debug, Default)]
pub struct Availability {
    /// When, since the run began, and whether with 200.
    fetches: Mutex<Vec<(Duration, bool)>>,
}

impl Availability {
    /// Fetches that were answered with 200, and all others.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let fetches = self.fetches.lock();
        let answered = fetches.iter().filter(|(_, answered)| *answered).count() as u64;
        (answered, fetches.len() as u64 - answered)
    }

    /// All fetches: when, since the run began, and whether they were answered with 200.
    #[must_use]
    pub fn fetches(&self) -> Vec<(Duration, bool)> {
        self.fetches.lock().clone()
    }
}

/// Fetches a page that is to be had at any of these addresses; it fails when all of them do, one after the other.
pub(super) async fn run(urls: Vec<String>, notes: Arc<Notes>, stop: CancellationToken) -> Result<()> {
    let mut places = urls.iter().map(|url| parts(url)).collect::<Result<Vec<_>>>()?;
    while !stop.is_cancelled() {
        let mut answered = false;
        for (host, path) in &places {
            answered = matches!(tokio::time::timeout(LIMIT, fetch(host, path)).await, Ok(Ok(())));
            if answered {
                break;
            }
        }
        notes.availability.fetches.lock().push((notes.now(), answered));
        // The next one begins elsewhere, as a balancer would.
        places.rotate_left(1);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Host with port, and path, of a plain http address.
fn parts(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url:?} is not an http:// address"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    anyhow::ensure!(host.contains(':'), "{url:?} needs a port, as in http://host:30080/");
    Ok((host, if path.is_empty() { "/" } else { path }))
}

async fn fetch(host: &str, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "the service did not answer with 200");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(parts("http://10.0.0.1:30080/a/b").unwrap(), ("10.0.0.1:30080", "/a/b"));
        assert_eq!(parts("http://10.0.0.1:30080").unwrap(), ("10.0.0.1:30080", "/"));
        assert!(parts("https://x:1/").is_err() && parts("http://x/").is_err());
    }
}
