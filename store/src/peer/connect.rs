//! Connections to other masters, by address. A channel reconnects by itself; it is made once and shared.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mainstay_proto::raft::peer_client::PeerClient;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint, Uri};

use super::net::Net;

/// What a connection is for. Heartbeats and snapshots do not wait behind replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Entries, proposals, reads, membership.
    Data,
    /// Heartbeats and votes.
    Liveness,
    /// Snapshots.
    Bulk,
}

/// Messages are larger than tonic's default allows.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const KEEPALIVE: Duration = Duration::from_secs(1);

/// All connections of a master.
#[derive(Clone)]
pub(crate) struct Connections {
    net: Arc<dyn Net>,
    open: Arc<Mutex<HashMap<(String, Lane), Channel>>>,
}

impl Connections {
    pub(crate) fn new(net: Arc<dyn Net>) -> Self {
        Self { net, open: Arc::default() }
    }

    /// A client of the master at `address` (`host:port`); connects when used.
    pub(crate) fn to(&self, address: &str, lane: Lane) -> PeerClient<Channel> {
        let channel =
            self.open.lock().entry((address.to_owned(), lane)).or_insert_with(|| self.channel(address)).clone();
        PeerClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    }

    fn channel(&self, address: &str) -> Channel {
        let (net, target) = (self.net.clone(), address.to_owned());
        let connector = tower::service_fn(move |_: Uri| {
            let connecting = net.connect(target.clone());
            async { Ok::<_, std::io::Error>(TokioIo::new(connecting.await?)) }
        });
        // The connector dials the address and does TLS; the URI only fills the request's authority.
        Endpoint::from_static("http://master.mainstay.internal")
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_with_connector_lazy(connector)
    }
}

/// Whether a call failed before it reached the other side, so that nothing can have happened there.
pub(crate) fn never_sent(status: &tonic::Status) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
