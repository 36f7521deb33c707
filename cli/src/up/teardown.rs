//! Taking a cluster down so that nothing of it is left: processes, containers, mounts, namespaces, control groups, files.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use super::file::{ClusterFile, Worker};
use super::progress::Progress;
use super::{naming, network};
use crate::process::{Remembered, stop_all};

/// A leader hands over before it ends, so masters get some time.
const PATIENCE: Duration = Duration::from_secs(15);
/// The supervisor takes everything down, so it gets more.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(90);
/// What `up` makes in a cluster's folder.
const OWN_FILES: [&str; 12] = [
    "masters",
    "workers",
    "logs",
    "registry",
    "programs",
    "hold",
    "kubeconfig",
    "ca.crt",
    "join-token",
    "master-token",
    "up.log",
    "lock",
];

/// Ends the supervisor, which takes the cluster down.
pub(super) fn stop_supervisor(file: &ClusterFile, progress: &Progress) {
    if file.supervisor.is_alive() {
        progress.step("Stopping the cluster");
        stop_all(&[file.supervisor], SUPERVISOR_PATIENCE);
    }
}

/// Ends what still runs and removes what is outside of the folder.
pub(super) fn everything(file: &ClusterFile, dir: &Path, progress: &Progress) -> Result<()> {
    progress.step("Stopping agents and masters");
    let agents: Vec<Remembered> = file.nodes().map(|node| node.process).collect();
    stop_all(&agents, PATIENCE);
    let masters: Vec<Remembered> = file.masters.iter().map(|master| master.process).collect();
    stop_all(&masters, PATIENCE);
    if file.has_containers() {
        progress.step("Removing containers and networks");
        for worker in file.nodes() {
            containers_of(file, worker);
        }
        stop_all(file.registry_process.as_slice(), PATIENCE);
    }
    unmount_below(dir)?;
    network::tear_down(file);
    for worker in file.nodes().filter(|_| file.has_containers()) {
        remove_run_dir(file, worker)?;
    }
    Ok(())
}

/// Kills a worker's containers through its containerd, then containerd, then whatever is left of either.
fn containers_of(file: &ClusterFile, worker: &Worker) {
    let socket = naming::socket(file.network, worker.node_name()).display().to_string();
    let runtime = worker.runtime();
    if runtime.is_alive() {
        runtime.signal(Signal::SIGCONT);
        let ctr = |arguments: &[&str]| -> Vec<String> {
            let base = ["-a", socket.as_str(), "--timeout", "10s", "-n", "k8s.io"];
            let output = Command::new("ctr").args(base).args(arguments).output();
            let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        for task in ctr(&["tasks", "list", "-q"]) {
            ctr(&["tasks", "delete", "-f", &task]);
        }
    }
    stop_all(&[runtime], PATIENCE);
    stop_all(&left_over(&socket, &naming::cgroup(file.network, worker.node_name())), Duration::from_millis(100));
    remove_cgroups(&naming::cgroup(file.network, worker.node_name()));
}

/// Shims of this containerd, and processes in the worker's control groups.
fn left_over(socket: &str, cgroup: &str) -> Vec<Remembered> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let shim = String::from_utf8_lossy(&read("cmdline")).split('\0').any(|word| word == socket);
        let contained =
            String::from_utf8_lossy(&read("cgroup")).lines().any(|line| line.contains(&format!(":{cgroup}/")));
        shim || contained
    })
    .map(Remembered::of)
    .collect()
}

/// Removes the worker's groups in every hierarchy, innermost first.
fn remove_cgroups(cgroup: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let name = cgroup.trim_start_matches('/');
    let Ok(hierarchies) = std::fs::read_dir(root) else { return };
    let roots = hierarchies.filter_map(Result::ok).map(|entry| entry.path().join(name));
    for path in roots.chain([root.join(name)]).filter(|path| path.is_dir()) {
        let deadline = Instant::now() + Duration::from_secs(2);
        // A group whose last process has just died may be busy for a moment.
        while path.exists() && Instant::now() < deadline {
            remove_groups_below(&path);
            if path.exists() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn remove_groups_below(path: &Path) {
    for entry in std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups_below(&entry.path());
        }
    }
    if let Err(error) = std::fs::remove_dir(path) {
        tracing::debug!(path = %path.display(), %error, "a control group is still in use");
    }
}

/// Unmounts what agents and containerd left mounted in a folder, innermost first.
fn unmount_below(dir: &Path) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mounts").context("cannot read the mount table")?;
    let below = |place: &&str| Path::new(place) != dir && Path::new(place).starts_with(dir);
    let mut places: Vec<&str> = table.lines().filter_map(|line| line.split(' ').nth(1)).filter(below).collect();
    places.sort_unstable();
    for place in places.into_iter().rev() {
        if let Err(error) = umount2(place, MntFlags::MNT_DETACH) {
            tracing::warn!(place, %error, "a mount stays");
        }
    }
    Ok(())
}

fn remove_run_dir(file: &ClusterFile, worker: &Worker) -> Result<()> {
    let path = naming::run_dir(file.network, worker.node_name());
    unmount_below(&path)?;
    remove(&path)
}

/// Removes the files of a cluster, and its folder if nothing else is in it.
pub(super) fn remove_files(dir: &Path) -> Result<()> {
    for name in OWN_FILES {
        remove(&dir.join(name))?;
    }
    // Last, so that a `down` that was interrupted can be repeated.
    remove(&ClusterFile::path(dir))?;
    match std::fs::remove_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::DirectoryNotEmpty => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
