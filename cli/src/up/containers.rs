//! A containerd per node, each with its own root, state, socket, CNI configuration and registry mirror.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::file::{ClusterFile, Worker};
use super::keeper::{Keeper, Slot};
use super::naming::{pod_cidr, run_dir, socket};
use super::network::run;
use crate::process::Background;

mod pause;

const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAMS: [&str; 8] =
    ["containerd", "containerd-shim-runc-v2", "ctr", "runc", "ip", "nft", "nsenter", "docker-registry"];
const CONFIG: &str = include_str!("templates/containerd.toml");
const CNI: &str = include_str!("templates/cni.conflist");
const HOSTS: &str = include_str!("templates/hosts.toml");

/// What real containers need of a machine.
pub(super) fn check_machine() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("containers and network namespaces want root; run as root, or use --runtime hollow");
    }
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_installed(program)).collect();
    let cni = Path::new("/usr/lib/cni/bridge").exists();
    if missing.is_empty() && cni {
        return Ok(());
    }
    let missing = if cni { missing } else { [missing, vec!["the CNI plugins"]].concat() };
    bail!(
        "{} missing; install: apt-get install containerd runc containernetworking-plugins iproute2 nftables conntrack docker-registry, or use --runtime hollow",
        missing.join(", ")
    )
}

fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| {
        folder.join(program).metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Starts a node's containerd and waits until it answers and has the pause image.
pub(super) async fn start(keeper: &Arc<Keeper>, index: usize) -> Result<()> {
    let file = keeper.file();
    let worker = file.node(index);
    configure(&file, index)?;
    let namespace = worker.netns.as_deref().context("a node without a network has no containers")?;
    let config = worker.data_dir.join("containerd.toml");
    let mut command: Vec<OsString> = vec!["nsenter".into(), format!("--net=/run/netns/{namespace}").into()];
    command.extend(["containerd".into(), "--config".into(), config.into_os_string()]);
    let log = keeper.logs().join(format!("{}-containerd.log", worker.name));
    keeper.keep(Slot::Containerd(index), Background { command, log })?;
    wait(keeper, &socket(file.network, worker.node_name())).await?;
    import_pause(&file, worker)
}

async fn wait(keeper: &Keeper, socket: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::UnixStream::connect(socket).await.is_err() {
        keeper.check()?;
        if Instant::now() > deadline {
            bail!("containerd does not answer at {}; see its log in {}", socket.display(), keeper.logs().display());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn import_pause(file: &ClusterFile, worker: &Worker) -> Result<()> {
    let archive = worker.data_dir.join("pause.tar");
    write(&archive, &pause::image())?;
    let socket = socket(file.network, worker.node_name()).display().to_string();
    run("ctr", &["-a", &socket, "-n", "k8s.io", "images", "import", &archive.display().to_string()])
        .with_context(|| format!("{} cannot load the pause image", worker.node_name()))
}

fn configure(file: &ClusterFile, index: usize) -> Result<()> {
    let worker = file.node(index);
    let run_dir = run_dir(file.network, worker.node_name());
    let registry = file.registry.as_deref().unwrap_or("127.0.0.1:1");
    let fill = |template: &str| {
        template
            .replace("@DATA@", &worker.data_dir.display().to_string())
            .replace("@RUN@", &run_dir.display().to_string())
            .replace("@PAUSE@", pause::NAME)
            .replace("@SNAPSHOTTER@", snapshotter(&worker.data_dir))
            .replace("@POD_CIDR@", &pod_cidr(file.network, index))
            .replace("@REGISTRY@", registry)
    };
    std::fs::create_dir_all(&run_dir).with_context(|| format!("cannot make {}", run_dir.display()))?;
    write(&worker.data_dir.join("containerd.toml"), fill(CONFIG).as_bytes())?;
    write(&worker.data_dir.join("cni/10-mainstay.conflist"), fill(CNI).as_bytes())?;
    write(&worker.data_dir.join("certs.d/_default/hosts.toml"), fill(HOSTS).as_bytes())
}

/// Overlays cannot lie on an overlay.
fn snapshotter(data_dir: &Path) -> &'static str {
    let on_overlay = nix::sys::statfs::statfs(data_dir)
        .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC);
    if on_overlay { "native" } else { "overlayfs" }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
