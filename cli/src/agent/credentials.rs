//! The agent's certificate: what an earlier start left, what a join token gets, and a new one in time while the agent
//! runs. Certificate and key are in one file, so that a crash leaves the old pair or the new one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use mainstay_apiserver::pki;
use mainstay_client::{Auth, Client, Config};
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::{EnrollKind, EnrollRequest};
use tokio_util::sync::CancellationToken;

use super::{AgentArgs, node_name};
use crate::join::Joiner;
use crate::kubeconfig::write_private;

/// An agent waits this long for a master that lets it in.
const JOIN_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// For one try to renew.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);
/// Between tries at first; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Between looks at the clock, which may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(12 * 3600);

/// The certificate of an earlier start, or a new one for the join token.
pub(super) async fn obtain(args: &AgentArgs) -> Result<Config> {
    let dir = folder(args);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    if let Some(config) = stored(args) {
        return Ok(config);
    }
    let Some(token) = args.token.read()? else {
        bail!(
            "this agent has no certificate that is good now and wants a join token: --token TOKEN, from `mainstay token create`"
        );
    };
    let name = node_name(args)?;
    let joiner =
        Joiner { servers: &args.server, token: &token, kind: EnrollKind::Agent, name: &name, patience: JOIN_PATIENCE };
    let enrolled = joiner.enrol().await?;
    write_private(&dir.join("ca.crt"), enrolled.answer.ca_pem.as_bytes())?;
    store(args, &enrolled.answer.certificate_pem, &enrolled.key_pem)?;
    stored(args).context("the certificate that the cluster gave is not usable")
}

fn folder(args: &AgentArgs) -> PathBuf {
    args.data_dir.join("pki")
}

fn pair(dir: &Path) -> PathBuf {
    dir.join("agent.pem")
}

fn store(args: &AgentArgs, cert_pem: &str, key_pem: &str) -> Result<()> {
    write_private(&pair(&folder(args)), format!("{}\n{}\n", cert_pem.trim(), key_pem.trim()).as_bytes())
}

/// What an earlier start left, if it is still good.
fn stored(args: &AgentArgs) -> Option<Config> {
    let dir = folder(args);
    let ca_pem = std::fs::read_to_string(dir.join("ca.crt")).ok()?;
    let pair = std::fs::read_to_string(pair(&dir)).ok()?;
    if pki::expiry(&pair).ok()? <= Timestamp::now() {
        return None;
    }
    let mut config = Config::new(args.server.clone());
    config.ca_pem = Some(ca_pem);
    config.auth = Auth::Certificate { cert_pem: pair.clone(), key_pem: pair };
    config.user_agent = "mainstay-agent".into();
    Some(config)
}

/// Renews the certificate whenever most of its life is over, and shows the new one without a restart, until `stop`.
pub(super) async fn renew_forever(args: AgentArgs, client: Client, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = left(&args).min(LONGEST_SLEEP);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        if !left(&args).is_zero() {
            continue;
        }
        let renewed = tokio::time::timeout(RENEWAL_PATIENCE, renew(&args, &client)).await;
        match renewed.unwrap_or_else(|_| Err(anyhow!("no answer within {} seconds", RENEWAL_PATIENCE.as_secs()))) {
            Ok(()) => {
                tracing::info!("the agent's certificate was renewed");
                pause = FIRST_PAUSE;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the agent's certificate cannot be renewed yet");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Until the present certificate is to be renewed; nothing if it cannot be read.
fn left(args: &AgentArgs) -> Duration {
    let due = std::fs::read_to_string(pair(&folder(args))).ok().and_then(|pem| pki::renewal(&pem).ok());
    let due = due.unwrap_or(Timestamp::MIN);
    Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()
}

/// Asks for a certificate for a new key, as the node that the present certificate names.
async fn renew(args: &AgentArgs, client: &Client) -> Result<()> {
    let name = node_name(args)?;
    let (key_pem, csr) = pki::new_request(&name)?;
    let request = EnrollRequest { kind: EnrollKind::Agent.into(), name, csr: csr.into(), ..EnrollRequest::default() };
    let mut cluster = ClusterClient::new(client.transport().service());
    let answer = cluster.enroll(request).await.map_err(|status| anyhow!("{}", status.message()))?.into_inner();
    store(args, &answer.certificate_pem, &key_pem)?;
    client.transport().set_auth(Auth::Certificate { cert_pem: answer.certificate_pem, key_pem })?;
    Ok(())
}
