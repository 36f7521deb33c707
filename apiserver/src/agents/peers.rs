//! Between masters: telling the leader whom this one hears, and reaching agents whose session another master holds.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::masters_client::MastersClient;
use mainstay_proto::v1::{DialFrame, FindSessionRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{Agents, Tunnel};
use crate::pki::{self, Issued};

/// How often the leader is told.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How long a call to another master may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Frames that wait between two masters.
const QUEUE: usize = 16;
/// After a failover it takes a moment until agents have new sessions and the leader knows of them.
const SEARCH: Duration = Duration::from_secs(3);
/// Between two looks for a session.
const PAUSE: Duration = Duration::from_millis(200);

impl Agents {
    /// Tells the leader, over and over, whom this master hears; ends with `stop`.
    pub async fn report_forever(self: Arc<Self>, stop: CancellationToken) {
        let mut channel: Option<(String, Arc<Issued>, Channel)> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(REPORT_EVERY) => {}
            }
            let leader = self.store.leadership().borrow().leader.clone();
            let Some(leader) = leader.filter(|leader| leader.id != self.store.me().id) else { continue };
            // A certificate that was renewed is shown before the old one ends.
            let shown = self.pki.peer();
            let stale =
                |(url, with, _): &(String, Arc<Issued>, Channel)| *url != leader.api_url || !Arc::ptr_eq(with, &shown);
            if channel.as_ref().is_none_or(stale) {
                let opened = self.channel(&leader.api_url).ok();
                channel = opened.map(|channel| (leader.api_url.clone(), shown, channel));
            }
            let Some((_, _, open)) = &channel else { continue };
            let call = MastersClient::new(open.clone());
            if let Err(error) = self.tell(call).await {
                tracing::debug!(%error, "telling the leader of sessions");
                channel = None;
            }
        }
    }

    async fn tell(&self, mut call: MastersClient<Channel>) -> Result<(), tonic::Status> {
        let sent = tokio::time::timeout(PATIENCE, call.report_sessions(self.report())).await;
        sent.map_err(|_| tonic::Status::deadline_exceeded("no answer"))?.map(drop)
    }

    /// A channel to another master, with this one's certificate.
    fn channel(&self, url: &str) -> ApiResult<Channel> {
        let tls = pki::client_config(self.pki.ca.cert_pem(), Some(&self.pki.peer())).map_err(Status::internal)?;
        let mut tls = tls;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tls = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let address = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/').to_owned();
        let connector = tower::service_fn(move |_: Uri| connect(address.clone(), tls.clone()));
        let endpoint = Endpoint::from_shared(format!("http://{}", url.strip_prefix("https://").unwrap_or(url)))
            .map_err(Status::internal)?;
        Ok(endpoint.connect_timeout(PATIENCE).connect_with_connector_lazy(connector))
    }

    /// A byte stream to an agent, wherever its session is.
    ///
    /// # Errors
    /// 503 if no master hears the agent, also after a while.
    pub async fn dial(self: &Arc<Self>, node: &str) -> ApiResult<Tunnel> {
        let until = tokio::time::Instant::now() + SEARCH;
        loop {
            match self.try_dial(node).await {
                Err(status) if status.code() == 503 && self.may_appear(node) && tokio::time::Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Not if this is the leader, who hears of all agents, and it never heard of this one.
    fn may_appear(&self, node: &str) -> bool {
        let leads =
            self.store.leadership().borrow().leader.as_ref().is_some_and(|leader| leader.id == self.store.me().id);
        !leads || self.liveness(node).is_some()
    }

    async fn try_dial(self: &Arc<Self>, node: &str) -> ApiResult<Tunnel> {
        if let Some(tunnel) = self.open_local(node).await {
            return Ok(tunnel);
        }
        let url = self
            .find(node)
            .await
            .ok_or_else(|| Status::service_unavailable(format!("no master hears the agent of node {node}")))?;
        self.dial_remote(&url, node).await
    }

    async fn find(&self, node: &str) -> Option<String> {
        if let Some(url) = self.url_of(node).filter(|url| *url != self.store.me().api_url) {
            return Some(url);
        }
        let leader = self.store.leadership().borrow().leader.clone()?;
        if leader.id == self.store.me().id {
            return None;
        }
        let mut call = MastersClient::new(self.channel(&leader.api_url).ok()?);
        let request = FindSessionRequest { node_name: node.to_owned() };
        let found = tokio::time::timeout(PATIENCE, call.find_session(request)).await.ok()?.ok()?;
        Some(found.into_inner().url).filter(|url| !url.is_empty())
    }

    async fn dial_remote(&self, url: &str, node: &str) -> ApiResult<Tunnel> {
        let (frames, queue) = mpsc::channel::<DialFrame>(QUEUE);
        let first = DialFrame { node_name: node.to_owned(), data: bytes::Bytes::new() };
        frames.send(first).await.map_err(Status::internal)?;
        let mut call = MastersClient::new(self.channel(url)?);
        let answer = tokio::time::timeout(PATIENCE, call.dial(ReceiverStream::new(queue))).await;
        let answer = answer.map_err(|_| Status::timeout("no answer from the master that holds the session", 1))?;
        let mut answer = answer.map_err(|error| Status::service_unavailable(error.message().to_owned()))?.into_inner();
        let (near, far) = tokio::io::duplex(256 << 10);
        let (read, mut write) = tokio::io::split(far);
        tokio::spawn(pump(read, frames));
        tokio::spawn(async move {
            while let Ok(Some(frame)) = answer.message().await {
                if write.write_all(&frame.data).await.is_err() {
                    return;
                }
            }
            if let Err(error) = write.shutdown().await {
                tracing::debug!(%error, "closing a dialled stream");
            }
        });
        Ok(near)
    }
}

async fn pump(mut read: tokio::io::ReadHalf<DuplexStream>, frames: mpsc::Sender<DialFrame>) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(count) = read.read(&mut buffer).await {
        let data = bytes::Bytes::copy_from_slice(&buffer[..count]);
        if count == 0 || frames.send(DialFrame { node_name: String::new(), data }).await.is_err() {
            return;
        }
    }
}

async fn connect(
    address: String,
    tls: tokio_rustls::TlsConnector,
) -> std::io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let name = rustls::pki_types::ServerName::try_from(host).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(tls.connect(name, stream).await?))
}
