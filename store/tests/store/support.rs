//! Masters in one process, on real sockets and directories.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_store::{
    Guard, Leadership, Op, PeerTls, Revision, Start, Store, StoreConfig, StoreError, Tuning, Txn, TxnOutcome,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

pub const MASTERS: &str = "system:mainstay:masters";

/// A certificate authority for a test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub fn issue(&self, name: &str, organisation: &str) -> PeerTls {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        PeerTls { ca_pem: self.issuer.pem(), cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// A cluster whose masters are started and stopped at will.
pub struct Cluster {
    pub authority: Authority,
    pub tuning: Tuning,
    temp: TempDir,
}

pub fn tuning() -> Tuning {
    // Machines that run tests are slow and shared; elections are not what most of them measure.
    Tuning {
        heartbeat: Duration::from_millis(100),
        election_min: Duration::from_millis(400),
        election_max: Duration::from_millis(800),
        propose_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(10),
        join_timeout: Duration::from_secs(30),
        disk_low_bytes: 0,
        ..Tuning::default()
    }
}

impl Cluster {
    pub fn new() -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
        Self { authority: Authority::new(), tuning: tuning(), temp: TempDir::new().unwrap() }
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub fn config(&self, name: &str, start: Start) -> StoreConfig {
        StoreConfig {
            name: name.to_owned(),
            id: 0,
            data_dir: self.dir(name),
            peer_listen: "127.0.0.1:0".parse().unwrap(),
            peer_address: String::new(),
            api_url: format!("https://{name}"),
            tls: self.authority.issue(name, MASTERS),
            start,
            tuning: self.tuning.clone(),
        }
    }

    pub async fn first(&self, name: &str) -> Store {
        Store::open(self.config(name, Start::Bootstrap)).await.unwrap()
    }

    pub async fn join(&self, name: &str, others: &[&Store]) -> Store {
        let peers = others.iter().map(|store| store.me().peer_address.clone()).collect();
        Store::open(self.config(name, Start::Join(peers))).await.unwrap()
    }

    pub async fn three(&self) -> [Store; 3] {
        let a = self.first("a").await;
        let b = self.join("b", &[&a]).await;
        let c = self.join("c", &[&a]).await;
        [a, b, c]
    }

    /// Starts a master that ran before, on the port the others know.
    pub async fn again(&self, name: &str, address: &str) -> Store {
        let mut config = self.config(name, Start::Join(Vec::new()));
        config.peer_listen = address.parse().unwrap();
        Store::open(config).await.unwrap()
    }
}

pub fn b(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

pub fn put(key: impl Into<String>, value: impl Into<String>) -> Txn {
    Txn { guards: vec![], ops: vec![Op::Put { key: b(key), value: b(value), splice: None }] }
}

pub fn create(key: impl Into<String>, value: impl Into<String>) -> Txn {
    let key = b(key);
    Txn { guards: vec![Guard::Absent(key.clone())], ops: vec![Op::Put { key, value: b(value), splice: None }] }
}

pub fn delete(key: impl Into<String>) -> Txn {
    Txn { guards: vec![], ops: vec![Op::Delete { key: b(key), last: None }] }
}

pub async fn commit(store: &Store, txn: Txn) -> Revision {
    match store.propose(txn).await.unwrap() {
        TxnOutcome::Committed(revision) => revision,
        refused => panic!("{refused:?}"),
    }
}

/// Repeats a write until it is known to be done; for overwrites, which may happen twice.
pub async fn insist(store: &Store, txn: Txn) -> Revision {
    loop {
        match store.propose(txn.clone()).await {
            Ok(TxnOutcome::Committed(revision)) => return revision,
            Ok(refused) => panic!("{refused:?}"),
            Err(StoreError::Timeout | StoreError::NoLeader | StoreError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub async fn leadership(store: &Store, wanted: impl FnMut(&Leadership) -> bool) -> Leadership {
    let mut leadership = store.leadership();
    let found = tokio::time::timeout(Duration::from_secs(20), leadership.wait_for(wanted)).await;
    found.expect("leadership in time").unwrap().clone()
}

pub async fn acting_leader(stores: &[Store]) -> usize {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(position) = stores.iter().position(|store| store.leadership().borrow().acting) {
            return position;
        }
        assert!(tokio::time::Instant::now() < deadline, "no leader acts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stops like a crash: no hand-over.
pub async fn applied_at_least(store: &Store, revision: Revision) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while store.applied() < revision {
        assert!(tokio::time::Instant::now() < deadline, "{:?} not reached", revision);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub type Shared<T> = Arc<parking_lot::Mutex<T>>;
