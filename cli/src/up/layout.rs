//! Who there will be and where: names, ports, folders, command lines.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use mainstay_apiserver::pki::JoinToken;

use super::args::{Runtime, UpArgs};
use super::file::{ClusterFile, Master, Worker};
use super::naming;
use crate::ports;
use crate::process::{Background, Remembered};

/// Label and taint of nodes that are masters, as `kubeadm` sets them.
pub(super) const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// A new cluster's layout. `network` is the free 10.89.N.0/24 for real containers.
pub(super) fn new_cluster(up: &UpArgs, network: Option<u8>) -> Result<ClusterFile> {
    let count = up.masters as usize;
    // Taken at the loopback: a bridge's address is not there yet, and a port that is free here is hardly ever taken there.
    let ports = ports::free([127, 0, 0, 1].into(), count * 2)?;
    let address = |index| match network {
        Some(n) if up.isolates() => naming::master_address(n, index).into(),
        other => IpAddr::from(other.map_or([127, 0, 0, 1], |n| [10, 89, n, 1])),
    };
    let masters: Vec<Master> =
        (0..count).map(|i| master(up, i, address(i), network, [ports[i], ports[count + i]])).collect();
    let master_agents = masters.iter().filter(|_| up.master_agents).map(|master| master_agent(up, master)).collect();
    let workers = (0..up.workers).map(|index| node(up, &format!("worker-{}", index + 1))).collect();
    Ok(ClusterFile {
        masters,
        workers,
        master_agents,
        ca: up.dir.join("ca.crt"),
        token: String::new(),
        join_token: String::new(),
        master_token: JoinToken::generate().to_string(),
        runtime: up.runtime,
        registry: None,
        registry_process: None,
        bridge: network.map(|n| format!("mainstay{n}")),
        network: network.unwrap_or(0),
        env: up.env.clone(),
        supervisor: Remembered::default(),
    })
}

fn master(up: &UpArgs, index: usize, address: IpAddr, network: Option<u8>, ports: [u16; 2]) -> Master {
    let [port, peer_port] = ports;
    let name = format!("master-{}", index + 1);
    Master {
        url: format!("https://{address}:{port}"),
        process: Remembered::default(),
        data_dir: up.dir.join("masters").join(&name),
        listen: format!("{address}:{port}"),
        peer_listen: format!("{address}:{peer_port}"),
        args: up.server_args.clone(),
        netns: network.filter(|_| up.isolates()).map(|n| naming::netns(n, &name)),
        name,
    }
}

fn node(up: &UpArgs, name: &str) -> Worker {
    Worker {
        name: name.to_owned(),
        node: None,
        process: Remembered::default(),
        runtime_pid: None,
        runtime_started: 0,
        netns: None,
        data_dir: up.dir.join("workers").join(name),
        args: up.agent_args.clone(),
    }
}

/// The node that a master is, in the master's network. The taint keeps pods away that do not ask for it.
fn master_agent(up: &UpArgs, master: &Master) -> Worker {
    let mut agent = node(up, &format!("{}-agent", master.name));
    agent.args.extend(["--register-with-taints".to_owned(), format!("{CONTROL_PLANE}:NoSchedule")]);
    Worker { node: Some(master.name.clone()), netns: master.netns.clone(), ..agent }
}

/// How a master is started: as the founder of a new cluster, or as a member of one that is there. A founder that lost its
/// data must not found a second cluster, so it is a founder only once.
pub(super) fn master_command(file: &ClusterFile, index: usize, dir: &Path, founding: bool) -> Result<Background> {
    let master = &file.masters[index];
    let mut command = program(file, dir, &master.name, master.netns.as_deref())?;
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

/// How a node's agent is started, inside its network namespace if it has one.
pub(super) fn agent_command(file: &ClusterFile, index: usize, dir: &Path) -> Result<Background> {
    let worker = file.node(index);
    let mut command = program(file, dir, &worker.name, worker.netns.as_deref())?;
    let mut add = |words: &[&str]| command.extend(words.iter().map(OsString::from));
    add(&["agent", "--server", &file.urls().join(","), "--node-name", worker.node_name()]);
    add(&["--token-file", &path_text(&dir.join("join-token"))]);
    match file.runtime {
        Runtime::Hollow if file.bridge.is_some() => {
            let address = naming::address_of(file, index).to_string();
            add(&["--runtime", "hollow", "--node-ip", &address]);
        }
        Runtime::Hollow => add(&["--runtime", "hollow"]),
        Runtime::Containerd => {
            let socket = naming::socket(file.network, worker.node_name());
            add(&["--runtime-endpoint", &format!("unix://{}", socket.display())]);
            let address = naming::address_of(file, index).to_string();
            add(&["--node-ip", &address, "--pod-cidr", &naming::pod_cidr(file.network, index)]);
            add(&["--cgroup-parent", &naming::cgroup(file.network, worker.node_name())]);
        }
    }
    command.push("--data-dir".into());
    command.push(worker.data_dir.join("agent").into());
    command.extend(worker.args.iter().map(OsString::from));
    Ok(Background { command, log: dir.join("logs").join(format!("{}.log", worker.name)) })
}

/// How a process of this name is called: in its namespace, with its environment, and from `programs/NAME` in the
/// cluster's folder if that is there, so that single processes can be upgraded; otherwise it is this program.
fn program(file: &ClusterFile, dir: &Path, name: &str, netns: Option<&str>) -> Result<Vec<OsString>> {
    let mut command: Vec<OsString> = Vec::new();
    if let Some(netns) = netns {
        command.extend(["nsenter".to_owned(), format!("--net=/run/netns/{netns}")].map(OsString::from));
    }
    let env: Vec<_> = file.env.iter().filter_map(|env| env.strip_prefix(name)?.strip_prefix(':')).collect();
    if !env.is_empty() {
        command.push("env".into());
        command.extend(env.into_iter().map(OsString::from));
    }
    let own = dir.join("programs").join(name);
    command.push(if own.exists() {
        own.into_os_string()
    } else {
        std::env::current_exe().context("cannot tell where this program is")?.into()
    });
    Ok(command)
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
