//! The server as a whole: its parts put together, and the handles that others get.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Store, StoreError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::{self, Chain};
use crate::agents::{Agents, NodeLiveness};
use crate::aggregation::{Aggregator, aggregator};
use crate::audit::{Audit, AuditConfig};
use crate::authn::{Authenticator, AuthnError, OidcConfig};
use crate::authz::Authorizer;
use crate::bootstrap::{self, MasterEndpoint};
use crate::cache::{CacheReader, Caches};
use crate::dispatch::{Dispatch, InProcess};
use crate::encryption::{EncryptionError, SealedStore};
use crate::engine::{Body, Call, Change, Engine, Parts, Target, WriteOptions};
use crate::flow::{Flow, FlowConfig};
use crate::gate::Gate;
use crate::pki::{self, MasterPki};
use crate::registry::{Registry, group_version};
use crate::rest::Rest;
use crate::server;
use crate::startup::Startup;
use crate::user::UserInfo;

/// Between tries to make the cluster's own objects.
const BOOTSTRAP_RETRY: Duration = Duration::from_millis(500);

/// What a server is made of.
pub struct ServerConfig {
    /// The replicated state.
    pub store: Store,
    /// The cluster's keys, and this master's certificate.
    pub pki: Arc<MasterPki>,
    /// What can be set about admission.
    pub admission: admission::Config,
    /// Who gets in, how many at once, and what is written about it.
    pub security: SecurityConfig,
}

/// What can be set about authentication, flow control and the audit log.
#[derive(Debug)]
pub struct SecurityConfig {
    /// OpenID Connect issuers whose tokens are taken.
    pub oidc: Vec<OidcConfig>,
    /// The audit log, if there is to be one.
    pub audit: Option<AuditConfig>,
    /// How many requests run at once.
    pub flow: FlowConfig,
    /// How long a request may take that is neither a watch nor a stream.
    pub request_timeout: Duration,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        let (oidc, audit, flow) = (Vec::new(), None, FlowConfig::default());
        Self { oidc, audit, flow, request_timeout: Duration::from_secs(60) }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys are not usable.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// Callers cannot be authenticated.
    #[error(transparent)]
    Authn(#[from] AuthnError),
    /// The audit log cannot be written.
    #[error("cannot write the audit log {path}")]
    Audit {
        /// Its file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What the store holds encrypted cannot be read.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
}

/// The apiserver; a cheap handle.
#[derive(Clone)]
pub struct ApiServer {
    engine: Engine,
    dispatch: Dispatch,
    agents: Arc<Agents>,
    pki: Arc<MasterPki>,
    stop: CancellationToken,
}

impl ApiServer {
    /// Fills the watch caches and puts the parts together.
    ///
    /// # Errors
    /// If the store cannot be read or the keys are not usable.
    pub async fn new(config: ServerConfig) -> Result<Self, ServerError> {
        let stop = CancellationToken::new();
        let plain = config.store;
        let store = SealedStore::open(plain.clone(), config.pki.encryption.clone()).await?;
        let caches = Caches::start(store.clone(), stop.clone()).await?;
        let startup = Arc::new(Startup::default());
        let reader: Arc<CacheReader> = Arc::new(CacheReader(caches.clone()));
        let authorizer = Arc::new(Authorizer::new(reader.clone()));
        let SecurityConfig { oidc, audit, flow, request_timeout } = config.security;
        let authenticator = Arc::new(Authenticator::new(config.pki.clone(), reader, authorizer.clone(), oidc)?);
        authenticator.start(&stop);
        let audit = audit.map(open_log).transpose()?;
        let flow = Flow::new(flow);
        tokio::spawn(flow.clone().follow(caches.clone(), startup.clone(), stop.clone()));
        let registry = Arc::new(Registry::builtin());
        let extensions = crate::extension::plugins(registry.clone(), authorizer.clone());
        let engine = Engine::new(Parts {
            store,
            caches,
            registry,
            admission: Arc::new(Chain::with_extensions(&config.admission, &authorizer, extensions)),
            authorizer: authorizer.clone(),
            authenticator: authenticator.clone(),
        });
        engine.registry.refresh(&engine.reader);
        tokio::spawn(crate::custom::controller::run(engine.clone(), startup.clone(), stop.clone()));
        let agents = Agents::new(plain, config.pki.clone());
        let gate = Gate { authenticator, authorizer, audit, flow };
        let aggregator = Aggregator::new(&config.pki)?;
        let rest = Rest::new(engine.clone(), gate, agents.clone(), aggregator, startup, request_timeout, stop.clone());
        tokio::spawn(rest.startup.clone().follow(engine.caches().clone(), stop.clone()));
        tokio::spawn(aggregator::run(rest.clone(), stop.clone()));
        tokio::spawn(agents.clone().report_forever(stop.clone()));
        let grpc = crate::grpc::routes(&rest, &agents, &config.pki);
        let dispatch = Dispatch { rest, grpc };
        Ok(Self { engine, dispatch, agents, pki: config.pki, stop })
    }

    /// Serves REST and gRPC on a listener until [`Self::shutdown`].
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub async fn serve(&self, listener: TcpListener) -> Result<(), ServerError> {
        let tls = pki::server_config(self.pki.serving.clone())?;
        server::serve(listener, tls, self.dispatch.clone(), self.stop.clone()).await;
        Ok(())
    }

    /// Both faces for a caller in this process, through the same filters as any other.
    pub fn in_process(&self, identity: UserInfo) -> InProcess {
        InProcess::new(self.dispatch.clone(), identity)
    }

    /// What the masters hear of the nodes' agents; complete on the leader.
    pub fn node_liveness(&self) -> NodeLiveness {
        self.agents.handle()
    }

    /// The verb engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes the objects that every cluster has, trying until it is done or the server stops. For the leader.
    ///
    /// # Errors
    /// A refusal that will not pass by itself.
    pub async fn bootstrap(&self, masters: &[MasterEndpoint]) -> ApiResult<()> {
        let target = BootstrapTarget { engine: self.engine.clone() };
        loop {
            match bootstrap::ensure(&target, &self.engine.reader, masters).await {
                Err(status) if bootstrap::is_transient(&status) && !self.stop.is_cancelled() => {
                    tracing::info!(error = %status.message, "bootstrap is tried again");
                    tokio::time::sleep(BOOTSTRAP_RETRY).await;
                }
                done => return done,
            }
        }
    }

    /// Ends watches, lets open requests finish, stops the caches.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }
}

fn open_log(config: AuditConfig) -> Result<Arc<Audit>, ServerError> {
    let path = config.log.path.clone();
    Audit::open(config).map_err(|source| ServerError::Audit { path, source })
}

/// The bootstrap's way to the engine: as the cluster itself.
struct BootstrapTarget {
    engine: Engine,
}

impl BootstrapTarget {
    fn target(&self, object: &Value) -> ApiResult<Target> {
        let (group, version) = meta::split_api_version(meta::api_version(object)).unwrap_or_default();
        let row = self.engine.registry.by_kind(group, version, meta::kind(object));
        let row = row.ok_or_else(|| {
            Status::internal(format!("{} {} is not served", group_version(group, version), meta::kind(object)))
        })?;
        Ok(Target {
            row,
            namespace: meta::namespace(object).to_owned(),
            name: meta::name(object).to_owned(),
            subresource: String::new(),
        })
    }

    fn call() -> Call {
        Call::new(UserInfo::master("apiserver"), crate::engine::SERVER, None)
    }
}

#[async_trait]
impl bootstrap::Target for BootstrapTarget {
    async fn create(&self, object: Value) -> ApiResult<()> {
        let target = Target { name: String::new(), ..self.target(&object)? };
        let body = Body::Json(object.to_string().into());
        self.engine.create(&mut Self::call(), &target, body, &WriteOptions::default()).await.map(drop)
    }

    async fn write_status(&self, mut object: Value) -> ApiResult<()> {
        meta::remove_field(&mut object, "resourceVersion");
        let target = Target { subresource: "status".into(), ..self.target(&object)? };
        self.engine
            .modify(&mut Self::call(), &target, &Change::Replace(object), &WriteOptions::default())
            .await
            .map(drop)
    }

    async fn replace(&self, mut object: Value) -> ApiResult<()> {
        meta::remove_field(&mut object, "resourceVersion");
        let target = self.target(&object)?;
        self.engine
            .modify(&mut Self::call(), &target, &Change::Replace(object), &WriteOptions::default())
            .await
            .map(drop)
    }
}
