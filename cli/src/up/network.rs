//! Workers, and masters that are isolated, in network namespaces joined by a bridge: 10.89.N.0/24 for the machines,
//! 10.(100+N).I.0/24 for the pods of node I.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::file::ClusterFile;
use super::keeper::Keeper;
use super::naming::{address_of, master_address, netns, node_address, pod_cidr};

/// The first N whose network this machine does not use.
pub(super) fn free_network() -> Result<u8> {
    let taken = output("ip", &["-o", "-4", "addr"])?;
    let links = output("ip", &["-o", "link"])?;
    (1..100)
        .find(|n| !taken.contains(&format!("10.89.{n}.")) && !links.contains(&format!("mainstay{n}:")))
        .context("all networks 10.89.N.0/24 are in use; take down clusters that you no longer need")
}

/// What namespaces need of a machine.
pub(super) fn check_machine() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("network namespaces want root; run as root, or without --isolate");
    }
    output("ip", &["-V"]).context("namespaces want iproute2; install: apt-get install iproute2")?;
    Ok(())
}

/// Makes bridge, namespaces, links and routes. What an earlier start left is made anew.
pub(super) async fn set_up(keeper: &Arc<Keeper>) -> Result<()> {
    let file = keeper.file();
    tear_down(&file);
    let bridge = file.bridge.as_deref().context("a cluster without containers has no bridge")?;
    ip(&["link", "add", bridge, "type", "bridge"])?;
    ip(&["addr", "add", &format!("10.89.{}.1/24", file.network), "dev", bridge])?;
    ip(&["link", "set", bridge, "up"])?;
    forward(None)?;
    for place in places(&file) {
        lay(&place, file.network, bridge)?;
    }
    keeper.change(|file| {
        let network = file.network;
        for worker in &mut file.workers {
            worker.netns = Some(netns(network, &worker.name));
        }
    })?;
    let file = keeper.file();
    (0..file.nodes().count()).try_for_each(|index| routes(&file, index))
}

/// A machine's namespace, and its link to the bridge.
struct Place {
    netns: String,
    link: String,
    address: Ipv4Addr,
}

fn places(file: &ClusterFile) -> Vec<Place> {
    let network = file.network;
    let workers = file.workers.iter().enumerate().map(|(index, worker)| Place {
        netns: netns(network, &worker.name),
        link: format!("ms{network}w{}", index + 1),
        address: node_address(network, index),
    });
    let isolated = file.masters.iter().enumerate().filter_map(|(index, master)| Some((index, master.netns.clone()?)));
    let masters = isolated.map(|(index, netns)| Place {
        netns,
        link: format!("ms{network}m{}", index + 1),
        address: master_address(network, index),
    });
    workers.chain(masters).collect()
}

fn lay(place: &Place, network: u8, bridge: &str) -> Result<()> {
    let Place { netns: name, link, address } = place;
    ip(&["netns", "add", name])?;
    ip(&["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name])?;
    ip(&["link", "set", link, "master", bridge, "up"])?;
    ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
    ip(&["-n", name, "link", "set", "lo", "up"])?;
    ip(&["-n", name, "link", "set", "eth0", "up"])?;
    ip(&["-n", name, "route", "add", "default", "via", &format!("10.89.{network}.1")])?;
    forward(Some(name))
}

/// From this node and from the host to every other node's pods.
fn routes(file: &ClusterFile, index: usize) -> Result<()> {
    let (cidr, via) = (pod_cidr(file.network, index), address_of(file, index).to_string());
    ip(&["route", "replace", &cidr, "via", &via])?;
    let others = file.nodes().enumerate().filter(|(other, _)| *other != index);
    for netns in others.filter_map(|(_, node)| node.netns.as_deref()) {
        ip(&["-n", netns, "route", "replace", &cidr, "via", &via])?;
    }
    Ok(())
}

fn forward(netns: Option<&str>) -> Result<()> {
    const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
    match netns {
        None => std::fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}")),
        Some(name) => run("nsenter", &[&format!("--net=/run/netns/{name}"), "sh", "-c", &format!("echo 1 > {SWITCH}")]),
    }
}

/// Removes namespaces and bridge; links and routes go with them. Nothing that is missing is an error.
pub(super) fn tear_down(file: &ClusterFile) {
    let Some(bridge) = &file.bridge else { return };
    for place in places(file) {
        quietly(&["link", "del", &place.link]);
        quietly(&["netns", "del", &place.netns]);
    }
    quietly(&["link", "del", bridge]);
}

fn quietly(arguments: &[&str]) {
    match Command::new("ip").args(arguments).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            tracing::debug!(?arguments, error = %String::from_utf8_lossy(&output.stderr).trim(), "nothing to remove")
        }
        Err(error) => tracing::debug!(%error, "ip does not run"),
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments)
}

/// Runs a tool; its own words are the error.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    output(program, arguments).map(|_| ())
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
