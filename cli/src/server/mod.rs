//! `mainstay server`: store, API, and while this master leads, scheduler and controllers, in one process.

mod keys;
mod leading;
mod listen;
mod running;
mod security;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use mainstay_apiserver::pki::JoinToken;
use mainstay_store::{Store, StoreConfig, StoreError, Tuning};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::join::TokenOption;
use crate::logging;
use keys::Keys;

/// `mainstay server`
#[derive(Args, Clone)]
pub(crate) struct ServerArgs {
    /// The master's name, unique in the cluster
    #[arg(long, value_name = "N")]
    name: String,
    /// Folder for keys and data
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// Address of the API
    #[arg(long, value_name = "A:P")]
    listen: SocketAddr,
    /// Address for the other masters
    #[arg(long, value_name = "A:P")]
    peer_listen: SocketAddr,
    /// Host or address by which others reach this master, if it listens on all addresses
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Found a new cluster, unless the data folder already holds one
    #[arg(long, conflicts_with = "join")]
    bootstrap: bool,
    /// Join the cluster of a running master, unless the data folder already belongs to one
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    join: Vec<String>,
    #[command(flatten)]
    token: TokenOption,
    /// Parts that do not run here even while this master leads
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    disable: Vec<Part>,
    /// How long pods stay on a node that is not ready or unreachable, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    default_toleration_seconds: i64,
    /// How long the certificates that this master issues are good for
    #[arg(long, hide = true, value_name = "DURATION", value_parser = crate::verbs::wait::seconds)]
    certificate_lifetime: Option<u64>,
    #[command(flatten)]
    security: security::SecurityArgs,
}

/// A part of the leader's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Assigns pods to nodes.
    Scheduler,
    /// Everything that reconciles.
    Controllers,
}

impl ServerArgs {
    /// Host by which others reach this master.
    fn host(&self) -> String {
        self.advertise.clone().unwrap_or_else(|| self.listen.ip().to_string())
    }

    fn lifetime(&self) -> Duration {
        self.certificate_lifetime.map_or(mainstay_apiserver::pki::LEAF_LIFETIME, Duration::from_secs)
    }

    fn api_url(&self) -> String {
        format!("https://{}", joined(&self.host(), self.listen.port()))
    }

    fn peer_address(&self) -> String {
        let host = self.advertise.clone().unwrap_or_else(|| self.peer_listen.ip().to_string());
        joined(&host, self.peer_listen.port())
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Exit status of a master that was removed from its cluster: it does not help to start it again (`EX_CONFIG` of
/// sysexits(3); for systemd, `RestartPreventExitStatus=78`).
pub(crate) const REMOVED: u8 = 78;

/// Runs the master until it is told to stop or cannot go on.
pub(crate) fn run(args: ServerArgs) -> Result<ExitCode> {
    logging::daemon();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let code = runtime.block_on(serve(args))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(code)
}

async fn serve(args: ServerArgs) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    // First of all, so that a port that is taken is known before anything is written.
    let listener = listen::bind(args.listen).await?;
    let token = args.token.read()?;
    if let Some(aside) = mainstay_store::set_aside_diverged(&store_dir(&args.data_dir)).map_err(explain)? {
        tracing::warn!(aside = %aside.display(), "this master differed from the others; it joins again without its data");
    }
    let keys = keys::obtain(&args, token.as_ref()).await?;
    let store = open_store(&args, &keys).await?;
    let stop = CancellationToken::new();
    let server = running::Running::start(&args, &keys, &store, listener).await?;
    let leading = tokio::spawn(leading::follow(
        leading::Leading::new(&args, &store, &server, first_token(&args, token)),
        stop.clone(),
    ));
    let renewal = tokio::spawn(keys::renew_forever(args.clone(), keys.pki.clone(), store.clone(), stop.clone()));
    tracing::info!(name = args.name, url = args.api_url(), "the master is up");
    let outcome = tokio::select! {
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        error = store.fatal() => match error {
            StoreError::Removed { .. } => {
                tracing::error!(%error, "this master ends");
                Ok(ExitCode::from(REMOVED))
            }
            error => Err(anyhow!("{error}")),
        },
    };
    stop.cancel();
    leading.await.context("the leader's tasks ended badly")?;
    renewal.await.context("the renewal of certificates ended badly")?;
    store.shutdown().await;
    server.stop().await;
    outcome
}

/// The founder makes its token known to the cluster; a joiner's token is known already.
fn first_token(args: &ServerArgs, token: Option<JoinToken>) -> Option<JoinToken> {
    if args.bootstrap { token } else { None }
}

async fn open_store(args: &ServerArgs, keys: &Keys) -> Result<Store> {
    let config = StoreConfig {
        name: args.name.clone(),
        id: 0,
        data_dir: store_dir(&args.data_dir),
        peer_listen: args.peer_listen,
        peer_address: args.peer_address(),
        api_url: args.api_url(),
        tls: keys::peer_tls(&keys.pki),
        start: keys.start.clone(),
        tuning: Tuning::default(),
    };
    Store::open(config).await.map_err(explain)
}

/// The store's part of a master's data folder.
pub(crate) fn store_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

/// The store's errors already say what to do.
fn explain(error: StoreError) -> anyhow::Error {
    anyhow!("{error}")
}
