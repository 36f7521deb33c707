//! Which cluster this master belongs to: the one in its data folder, else a new one, else one that it joins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use mainstay_apiserver::encryption::RootKeys;
use mainstay_apiserver::pki::{self, ClusterCa, JoinToken, MasterNames, MasterPki, ServiceAccountKey};
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::{EnrollKind, StatusRequest};
use mainstay_store::{PeerTls, Start, Store};
use tokio_util::sync::CancellationToken;

use super::ServerArgs;
use crate::join::{Joiner, channel_to_any};

/// How long a joining master waits for one that answers.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// Between looks at the clock, which may be set while certificates wait for their renewal.
const LONGEST_SLEEP: Duration = Duration::from_secs(12 * 3600);
/// After a renewal that failed, and between those of certificates that live for moments only.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// Keys, and how the store begins if it is empty.
pub(super) struct Keys {
    /// All keys and certificates.
    pub(super) pki: Arc<MasterPki>,
    /// For an empty store.
    pub(super) start: Start,
}

/// Finds or makes the keys.
pub(super) async fn obtain(args: &ServerArgs, token: Option<&JoinToken>) -> Result<Keys> {
    let dir = folder(args);
    let names = names(args);
    // A master that lost its store but not its keys joins again, as one that lost both.
    let lost_store = !super::store_dir(&args.data_dir).join("identity.json").exists();
    if MasterPki::exists(&dir) && !(lost_store && !args.join.is_empty() && token.is_some()) {
        let pki = MasterPki::load_for(&dir, &names, args.lifetime())?;
        return Ok(Keys { pki: Arc::new(pki), start: remembered(args)? });
    }
    std::fs::create_dir_all(&args.data_dir).with_context(|| format!("cannot make {}", args.data_dir.display()))?;
    if args.bootstrap {
        let pki = MasterPki::create_for(&dir, &names, args.lifetime())?;
        return Ok(Keys { pki: Arc::new(pki), start: Start::Bootstrap });
    }
    if args.join.is_empty() {
        bail!(
            "{} holds no cluster; found a new one with --bootstrap, or join one with --join URL --token TOKEN",
            args.data_dir.display()
        );
    }
    let Some(token) = token else { bail!("joining wants a token: --token TOKEN, from `mainstay token create`") };
    let (pki, peers) = join(args, token, &dir, &names).await?;
    Ok(Keys { pki: Arc::new(pki), start: Start::Join(peers) })
}

fn folder(args: &ServerArgs) -> PathBuf {
    args.data_dir.join("pki")
}

/// What this master shows to the others.
pub(super) fn peer_tls(pki: &MasterPki) -> PeerTls {
    let peer = pki.peer();
    PeerTls { ca_pem: pki.ca.cert_pem().to_owned(), cert_pem: peer.cert_pem.clone(), key_pem: peer.key_pem.clone() }
}

/// Makes certificates anew before they end, and shows them without a restart.
pub(super) async fn renew_forever(args: ServerArgs, pki: Arc<MasterPki>, store: Store, stop: CancellationToken) {
    loop {
        let due = MasterPki::next_renewal(&folder(&args)).unwrap_or(jiff::Timestamp::MIN);
        let wait = Duration::try_from(due.duration_since(jiff::Timestamp::now())).unwrap_or_default();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait.clamp(RENEWAL_PAUSE, LONGEST_SLEEP)) => {}
        }
        let renewed = pki.renew(&folder(&args), &names(&args), jiff::Timestamp::now()).map_err(anyhow::Error::from);
        let shown = renewed.and_then(|changed| match changed {
            true => store.renew(&peer_tls(&pki)).map(|()| true).map_err(|error| anyhow!("{error}")),
            false => Ok(false),
        });
        match shown {
            Ok(true) => tracing::info!("certificates were renewed"),
            Ok(false) => {}
            Err(error) => tracing::error!(error = format!("{error:#}"), "certificates cannot be renewed"),
        }
    }
}

fn names(args: &ServerArgs) -> MasterNames {
    let mut addresses = vec![args.host(), args.listen.ip().to_string(), args.peer_listen.ip().to_string()];
    addresses.extend(std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()));
    addresses.sort();
    addresses.dedup();
    MasterNames { name: args.name.clone(), addresses }
}

async fn join(
    args: &ServerArgs,
    token: &JoinToken,
    dir: &Path,
    names: &MasterNames,
) -> Result<(MasterPki, Vec<String>)> {
    let joiner =
        Joiner { servers: &args.join, token, kind: EnrollKind::Master, name: &args.name, patience: JOIN_PATIENCE };
    let answer = joiner.enrol().await?.answer;
    let ca = ClusterCa::from_pem(answer.ca_pem, answer.ca_key_pem)?.with_leaf_lifetime(args.lifetime());
    let service_account = ServiceAccountKey::from_pem(answer.service_account_key_pem)?;
    let encryption = RootKeys::parse(answer.encryption_keys)?;
    let pki = MasterPki::install(dir, names, ca, service_account, encryption)?;
    let peers = peers(args, &pki).await?;
    let path = peers_path(args);
    std::fs::write(&path, peers.join("\n")).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((pki, peers))
}

/// The masters' addresses for each other; they are told to masters, which this one is by its new certificate.
async fn peers(args: &ServerArgs, pki: &MasterPki) -> Result<Vec<String>> {
    let config = pki::client_config(pki.ca.cert_pem(), Some(&pki.peer()))?;
    let mut client = ClusterClient::new(channel_to_any(&args.join, config)?);
    let answer = client
        .status(StatusRequest {})
        .await
        .map_err(|status| anyhow!("{}", status.message()))
        .context("asking for the members")?;
    let members = answer.into_inner().members.into_iter();
    Ok(members.filter(|member| member.name != args.name).map(|member| member.peer_address).collect())
}

/// How the store would have begun, for a master that was stopped before it had.
fn remembered(args: &ServerArgs) -> Result<Start> {
    let path = peers_path(args);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Start::Join(text.lines().map(str::to_owned).collect())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && args.bootstrap => Ok(Start::Bootstrap),
        // Nobody to ask: fine for a store with data, and for an empty one the store says so.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Start::Join(Vec::new())),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn peers_path(args: &ServerArgs) -> PathBuf {
    args.data_dir.join("peers")
}
