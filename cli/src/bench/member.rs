//! A store member with etcd's `Put` and `Range` in front of it, so that the same load generator drives both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use mainstay_proto::etcd::kv_server::{Kv, KvServer};
use mainstay_proto::etcd::{KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader};
use mainstay_store::{
    Freshness, ListQuery, Op, PeerTls, Start, Store, StoreConfig, StoreError, Tuning, Txn, TxnOutcome,
};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

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
    tonic::transport::Server::builder()
        .add_service(KvServer::new(Front { store }))
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
