//! A master of its own for each test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use http_body_util::BodyExt;
use mainstay_apiserver::pki::{self, MasterNames, MasterPki};
use mainstay_apiserver::user::UserInfo;
use mainstay_apiserver::{ApiServer, InProcess, SecurityConfig, ServerConfig, ServerError, admission};
use mainstay_store::{PeerTls, Start, Store, StoreConfig, StoreError, Tuning};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::body::Body;
use tower::Service;

use crate::https::Client;

/// A master that leads.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) store: Store,
    pub(crate) admin_token: String,
    ca_pem: String,
}

/// A master with the objects that every cluster has, in a folder of its own.
pub(crate) async fn cluster() -> (Cluster, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    (cluster, dir)
}

fn names() -> MasterNames {
    MasterNames { name: "m1".into(), addresses: vec!["127.0.0.1".into()] }
}

/// Where a master's keys are.
pub(crate) fn pki_dir(dir: &Path) -> PathBuf {
    dir.join("pki")
}

impl Cluster {
    /// Starts what is in a folder, or founds a cluster there.
    pub(crate) async fn start(dir: &Path) -> Result<Self, ServerError> {
        Self::with(dir, |_| {}).await
    }

    /// The same with another configuration.
    pub(crate) async fn with(dir: &Path, change: impl FnOnce(&mut ServerConfig)) -> Result<Self, ServerError> {
        pki::install_provider();
        let keys = pki_dir(dir);
        let loaded = if MasterPki::exists(&keys) {
            MasterPki::load(&keys, &names())
        } else {
            MasterPki::create(&keys, &names())
        };
        let pki = Arc::new(loaded.unwrap());
        let store = open(&store_config(dir, &pki)).await;
        let admission = admission::Config { default_toleration_seconds: 300 };
        let security = SecurityConfig::default();
        let mut config = ServerConfig { store: store.clone(), pki: pki.clone(), admission, security };
        change(&mut config);
        let server = match ApiServer::new(config).await {
            Ok(server) => server,
            Err(error) => {
                store.shutdown().await;
                return Err(error);
            }
        };
        store.leadership().wait_for(|now| now.acting).await.unwrap();
        Ok(Self { server, store, admin_token: pki.admin_token(), ca_pem: pki.ca.cert_pem().to_owned() })
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown();
        self.store.shutdown().await;
    }

    /// Serves on a port, for clients that show what they are.
    pub(crate) async fn listen(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap(), &self.ca_pem);
        let server = self.server.clone();
        tokio::spawn(async move { server.serve(listener).await.unwrap() });
        client
    }

    /// Waits until the server has done everything that it does once.
    pub(crate) async fn ready(&self) {
        let mut face = self.admin();
        eventually("the server is ready", async || {
            send_bytes(&mut face, Method::GET, "/readyz", "application/json", "").await.0 == 200
        })
        .await;
    }

    /// The API for the administrator, in the process.
    pub(crate) fn admin(&self) -> InProcess {
        self.server.in_process(UserInfo::admin())
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens the store as soon as the last handle of a server that was stopped lets go of it.
async fn open(config: &StoreConfig) -> Store {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(config.clone()).await {
            Err(StoreError::InUse { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}

fn store_config(dir: &Path, pki: &MasterPki) -> StoreConfig {
    StoreConfig {
        name: "m1".into(),
        id: 0,
        data_dir: dir.join("data"),
        peer_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        peer_address: String::new(),
        api_url: "https://127.0.0.1:6443".into(),
        tls: PeerTls {
            ca_pem: pki.ca.cert_pem().to_owned(),
            cert_pem: pki.peer().cert_pem.clone(),
            key_pem: pki.peer().key_pem.clone(),
        },
        start: Start::Bootstrap,
        tuning: Tuning::default(),
    }
}

/// Sends a request that is answered and not streamed; the code and the body.
pub(crate) async fn send(face: &mut InProcess, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (code, bytes) = send_bytes(face, method, path, "application/json", body.to_string()).await;
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The same with any body.
pub(crate) async fn send_bytes(
    face: &mut InProcess,
    method: Method,
    path: &str,
    media: &str,
    body: impl Into<bytes::Bytes>,
) -> (u16, bytes::Bytes) {
    let body = Body::new(http_body_util::Full::new(body.into()));
    let request = Request::builder().method(method).uri(path).header("content-type", media).body(body).unwrap();
    let response = face.call(request).await.unwrap();
    let code = response.status().as_u16();
    (code, response.into_body().collect().await.unwrap().to_bytes())
}

/// Makes the account that pods of the namespace `default` run as.
pub(crate) async fn with_account(face: &mut InProcess) {
    let account = json!({"metadata": {"name": "default"}});
    let (code, said) = send(face, Method::POST, "/api/v1/namespaces/default/serviceaccounts", &account).await;
    assert!(matches!(code, 201 | 409), "{said}");
}

/// A pod that asks for nothing.
pub(crate) fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}
