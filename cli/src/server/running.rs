//! The API server of this master, and how others in this process reach it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_apiserver::admission;
use mainstay_apiserver::bootstrap::MasterEndpoint;
use mainstay_apiserver::pki::{Admits, JoinToken, MasterPki};
use mainstay_apiserver::user::UserInfo;
use mainstay_apiserver::{ApiServer, ServerConfig};
use mainstay_client::{Client, DynamicApi, Target, Term, Transport};
use mainstay_controllers::{CertificateSigner, ControllerConfig, Liveness, NodeLiveness};
use mainstay_store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::ServerArgs;
use super::keys::Keys;

/// The API server while it runs.
pub(super) struct Running {
    api: ApiServer,
    name: String,
    keys: Arc<MasterPki>,
    serving: parking_lot::Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Running {
    /// Fills the caches and begins to serve.
    pub(super) async fn start(
        args: &ServerArgs,
        keys: &Keys,
        store: &Store,
        listener: TcpListener,
    ) -> Result<Arc<Self>> {
        let admission = admission::Config { default_toleration_seconds: args.default_toleration_seconds };
        let security = args.security.config()?;
        let config = ServerConfig { store: store.clone(), pki: keys.pki.clone(), admission, security };
        let api = ApiServer::new(config).await.context("the API server does not start")?;
        let server = api.clone();
        let serving = tokio::spawn(async move { server.serve(listener).await.context("the API server failed") });
        let serving = parking_lot::Mutex::new(Some(serving));
        Ok(Arc::new(Self { api, name: args.name.clone(), keys: keys.pki.clone(), serving }))
    }

    /// A client in this process, as this master.
    pub(super) fn client(&self) -> Client {
        Client::new(Transport::in_process(self.api.in_process(UserInfo::master(&self.name))))
    }

    /// What the controllers are told.
    pub(super) fn controller_config(&self) -> ControllerConfig {
        let liveness = Arc::new(Heartbeats(self.api.node_liveness()));
        let signer = Arc::new(Signer(self.keys.clone()));
        ControllerConfig::new(liveness, self.keys.ca.cert_pem().to_owned(), signer)
    }

    /// Makes the objects that every cluster has, and the token that the founder was given.
    pub(super) async fn ensure_objects(&self, store: &Store, term: Term, token: Option<&JoinToken>) -> Result<()> {
        let masters: Vec<MasterEndpoint> =
            store.members().iter().filter_map(|member| endpoint(&member.api_url)).collect();
        self.api.bootstrap(&masters).await?;
        // Its namespace is one of these objects.
        match token {
            Some(token) => self.publish(token, term).await,
            None => Ok(()),
        }
    }

    async fn publish(&self, token: &JoinToken, term: Term) -> Result<()> {
        let secrets =
            DynamicApi::namespaced(self.client().with_term(term), Target::new("", "v1", "secrets"), "kube-system");
        if secrets.get_opt(&JoinToken::secret_name(&token.id)).await?.is_some() {
            return Ok(());
        }
        let secret =
            token.to_secret(Admits::Masters, None, "given to the founder of the cluster", jiff::Timestamp::now());
        match secrets.create(&secret).await {
            Err(error) if !error.is_already_exists() => Err(error).context("cannot store the join token"),
            _ => Ok(()),
        }
    }

    /// Stops serving and waits for open requests to end.
    pub(super) async fn stop(&self) {
        self.api.shutdown();
        let serving = self.serving.lock().take();
        if let Some(serving) = serving
            && let Err(error) = serving.await
        {
            tracing::warn!(%error, "the API server ended badly");
        }
    }
}

/// Heartbeats, from the API server that hears them to the controllers that act on their absence.
struct Heartbeats(mainstay_apiserver::NodeLiveness);

impl NodeLiveness for Heartbeats {
    fn liveness(&self, node: &str) -> Option<Liveness> {
        let mainstay_apiserver::Liveness { silence, closed, runtime_ready } = self.0.liveness(node)?;
        Some(Liveness { silence, closed, runtime_ready })
    }
}

/// The cluster's CA, for the controllers that answer certificate requests.
struct Signer(Arc<MasterPki>);

impl CertificateSigner for Signer {
    fn sign(&self, request: &[u8], usages: &[String], lifetime: Duration) -> Result<String, String> {
        self.0.ca.certify(request, usages, lifetime).map_err(|error| error.to_string())
    }
}

/// Where a master's API is, if its URL names an address.
fn endpoint(url: &str) -> Option<MasterEndpoint> {
    let uri: http::Uri = url.parse().ok()?;
    let address = uri.host()?.trim_matches(['[', ']']).parse().ok()?;
    Some(MasterEndpoint { address, port: uri.port_u16()? })
}
