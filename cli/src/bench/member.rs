//! A store member with etcd's `Put`, `Range` and `Watch` in front of it, so that the same load generator drives both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::Stream;
use mainstay_proto::etcd::kv_server::{Kv, KvServer};
use mainstay_proto::etcd::watch_request;
use mainstay_proto::etcd::watch_server::{Watch, WatchServer};
use mainstay_proto::etcd::{
    Event, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader, WatchRequest, WatchResponse,
    event,
};
use mainstay_store::{
    EventKind, Freshness, ListQuery, Op, PeerTls, Revision, Start, Store, StoreConfig, StoreError, Tuning, Txn,
    TxnOutcome, WatchBatch,
};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status, Streaming};

/// What a member is to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemberSpec {
    pub name: String,
    pub data_dir: PathBuf,
    pub kv_listen: SocketAddr,
    pub peer_listen: SocketAddr,
    /// Peer addresses to join by; empty for the first member.
    pub join: Vec<String>,
    pub ca_pem: String,
    pub cert_pem: String,
    pub key_pem: String,
}

#[derive(Clone)]
struct Front {
    store: Store,
}

/// Serves until the process is stopped.
pub(super) async fn run(spec: &Path) -> Result<()> {
    let text = std::fs::read(spec).with_context(|| format!("reading {}", spec.display()))?;
    let spec: MemberSpec = serde_json::from_slice(&text).context("reading the member's specification")?;
    let listen = spec.kv_listen;
    let store = Store::open(config(spec)).await.context("opening the store")?;
    let stop = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "cannot wait for signals");
        }
    };
    let front = Front { store };
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(KvServer::new(front.clone()))
        .add_service(WatchServer::new(front))
        .serve_with_shutdown(listen, stop)
        .await
        .context("serving the store")
}

fn config(spec: MemberSpec) -> StoreConfig {
    StoreConfig {
        name: spec.name,
        id: 0,
        data_dir: spec.data_dir,
        peer_listen: spec.peer_listen,
        peer_address: spec.peer_listen.to_string(),
        api_url: format!("http://{}", spec.kv_listen),
        tls: PeerTls { ca_pem: spec.ca_pem, cert_pem: spec.cert_pem, key_pem: spec.key_pem },
        start: if spec.join.is_empty() { Start::Bootstrap } else { Start::Join(spec.join) },
        tuning: Tuning::default(),
    }
}

#[tonic::async_trait]
impl Kv for Front {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { key, value, .. } = request.into_inner();
        let txn = Txn { guards: Vec::new(), ops: vec![Op::Put { key, value, splice: None }] };
        match self.store.propose(txn).await.map_err(refused)? {
            TxnOutcome::Committed(revision) => Ok(Response::new(PutResponse { header: header(revision.0) })),
            TxnOutcome::Refused { .. } => Err(Status::internal("a put without guards was refused")),
        }
    }

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let request = request.into_inner();
        let fresh = if request.serializable { Freshness::Local } else { Freshness::Consistent };
        let (entries, revision) = if request.range_end.is_empty() {
            let (entry, revision) = self.store.get(&request.key, fresh).await.map_err(refused)?;
            (entry.into_iter().collect(), revision)
        } else {
            let limit = usize::try_from(request.limit).unwrap_or(0);
            let query = ListQuery { prefix: request.key, after: None, limit, fresh };
            let page = self.store.list(query).await.map_err(refused)?;
            (page.entries, page.revision)
        };
        let kvs: Vec<_> = entries.into_iter().map(|e| key_value(e.key, e.value, e.created.0, e.modified.0)).collect();
        let count = i64::try_from(kvs.len()).unwrap_or(i64::MAX);
        Ok(Response::new(RangeResponse { header: header(revision.0), kvs, more: false, count }))
    }
}

type WatchResponses = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Watch for Front {
    type WatchStream = WatchResponses;

    /// One watch a stream is what the load generator asks for.
    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<WatchResponses>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|message| message.request);
        let Some(watch_request::Request::Create(create)) = first else {
            return Err(Status::invalid_argument("the first message makes a watch"));
        };
        let after = match create.start_revision {
            0 => self.store.applied(),
            start => Revision(u64::try_from(start - 1).unwrap_or(0)),
        };
        let watch = self.store.watch(create.key, after).map_err(refused)?;
        let created = WatchResponse { header: header(after.0), created: true, ..WatchResponse::default() };
        let changes = futures::stream::unfold((watch, requests), |(mut watch, requests)| async move {
            let next = watch.next().await.map(watched).map_err(refused);
            Some((next, (watch, requests)))
        });
        let responses = futures::stream::iter([Ok(created)]);
        Ok(Response::new(Box::pin(futures::StreamExt::chain(responses, changes))))
    }
}

fn watched(batch: WatchBatch) -> WatchResponse {
    let events = batch.events.iter().map(|event| Event {
        r#type: match event.kind {
            EventKind::Deleted => event::Type::Delete.into(),
            EventKind::Created | EventKind::Updated => event::Type::Put.into(),
        },
        kv: Some(key_value(event.key.clone(), event.value.clone(), 0, event.revision.0)),
    });
    WatchResponse { header: header(batch.revision.0), events: events.collect(), ..WatchResponse::default() }
}

fn header(revision: u64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision: signed(revision), ..ResponseHeader::default() })
}

fn key_value(key: Bytes, value: Bytes, created: u64, modified: u64) -> KeyValue {
    KeyValue { key, value, create_revision: signed(created), mod_revision: signed(modified), ..KeyValue::default() }
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn refused(error: StoreError) -> Status {
    Status::unavailable(error.to_string())
}
