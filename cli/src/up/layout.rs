//! Who there will be and where: names, ports, folders, command lines.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use mainstay_apiserver::pki::JoinToken;

use super::file::{ClusterFile, Master, Worker};
use super::{Runtime, UpArgs, ports};
use crate::process::{Background, Remembered};

/// A new cluster's layout. `network` is the free 10.89.N.0/24 for real containers.
pub(super) fn new_cluster(up: &UpArgs, network: Option<u8>) -> Result<ClusterFile> {
    let address: IpAddr = network.map_or([127, 0, 0, 1], |n| [10, 89, n, 1]).into();
    let count = up.masters as usize;
    // Taken at the loopback: a bridge's address is not there yet, and a port that is free here is hardly ever taken there.
    let ports = ports::free([127, 0, 0, 1].into(), count * 2)?;
    let masters = (0..count).map(|index| master(up, index, address, ports[index], ports[count + index])).collect();
    let workers = (0..up.workers).map(|index| worker(up, index + 1)).collect();
    Ok(ClusterFile {
        masters,
        workers,
        ca: up.dir.join("ca.crt"),
        token: String::new(),
        join_token: String::new(),
        master_token: JoinToken::generate().to_string(),
        runtime: up.runtime,
        registry: None,
        registry_process: None,
        bridge: network.map(|n| format!("mainstay{n}")),
        network: network.unwrap_or(0),
        supervisor: Remembered::default(),
    })
}

fn master(up: &UpArgs, index: usize, address: IpAddr, port: u16, peer_port: u16) -> Master {
    let name = format!("master-{}", index + 1);
    Master {
        url: format!("https://{address}:{port}"),
        process: Remembered::default(),
        data_dir: up.dir.join("masters").join(&name),
        listen: format!("{address}:{port}"),
        peer_listen: format!("{address}:{peer_port}"),
        args: up.server_args.clone(),
        name,
    }
}

fn worker(up: &UpArgs, number: u32) -> Worker {
    let name = format!("worker-{number}");
    Worker {
        process: Remembered::default(),
        runtime_pid: None,
        runtime_started: 0,
        netns: None,
        data_dir: up.dir.join("workers").join(&name),
        args: up.agent_args.clone(),
        name,
    }
}

/// How a master is started: as the founder of a new cluster, or as a member of one that is there. A founder that lost its
/// data must not found a second cluster, so it is a founder only once.
pub(super) fn master_command(file: &ClusterFile, index: usize, dir: &Path, founding: bool) -> Result<Background> {
    let master = &file.masters[index];
    let mut command = own_program()?;
    let mut add = |words: &[&str]| command.extend(words.iter().map(OsString::from));
    add(&["server", "--name", &master.name, "--listen", &master.listen, "--peer-listen", &master.peer_listen]);
    // While the cluster is founded, the later masters are not there yet.
    let known = if founding { &file.masters[..index] } else { &file.masters[..] };
    let others: Vec<String> = known.iter().map(|other| other.url.clone()).filter(|url| *url != master.url).collect();
    if (founding && index == 0) || others.is_empty() {
        add(&["--bootstrap"]);
    } else {
        add(&["--join", &others.join(",")]);
    }
    add(&["--token-file", &path_text(&dir.join("master-token"))]);
    command.push("--data-dir".into());
    command.push(master.data_dir.clone().into());
    command.extend(master.args.iter().map(OsString::from));
    Ok(Background { command, log: dir.join("logs").join(format!("{}.log", master.name)) })
}

/// How a worker's agent is started, inside its network namespace if it has one.
pub(super) fn agent_command(file: &ClusterFile, index: usize, dir: &Path) -> Result<Background> {
    let worker = &file.workers[index];
    let mut command: Vec<OsString> = Vec::new();
    if let Some(netns) = &worker.netns {
        command.extend(["nsenter".to_owned(), format!("--net=/run/netns/{netns}")].map(OsString::from));
    }
    command.extend(own_program()?);
    let mut add = |words: &[&str]| command.extend(words.iter().map(OsString::from));
    add(&["agent", "--server", &file.urls().join(","), "--node-name", &worker.name]);
    add(&["--token-file", &path_text(&dir.join("join-token"))]);
    match file.runtime {
        Runtime::Hollow => add(&["--runtime", "hollow"]),
        Runtime::Containerd => {
            let socket = super::containers::socket(file.network, &worker.name);
            add(&["--runtime-endpoint", &format!("unix://{}", socket.display())]);
            let address = super::network::node_address(file.network, index).to_string();
            add(&["--node-ip", &address, "--pod-cidr", &super::network::pod_cidr(file.network, index)]);
            add(&["--cgroup-parent", &super::containers::cgroup(file.network, &worker.name)]);
        }
    }
    command.push("--data-dir".into());
    command.push(worker.data_dir.join("agent").into());
    command.extend(worker.args.iter().map(OsString::from));
    Ok(Background { command, log: dir.join("logs").join(format!("{}.log", worker.name)) })
}

fn own_program() -> Result<Vec<OsString>> {
    Ok(vec![std::env::current_exe().context("cannot tell where this program is")?.into()])
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
