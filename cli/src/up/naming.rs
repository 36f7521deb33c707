//! What things of a cluster are called on this machine: addresses, namespaces, sockets, control groups.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::file::ClusterFile;

/// The address of the node at a position of [`ClusterFile::nodes`].
pub(super) fn address_of(file: &ClusterFile, index: usize) -> Ipv4Addr {
    match index.checked_sub(file.workers.len()) {
        Some(master) => master_address(file.network, master),
        None => node_address(file.network, index),
    }
}

/// The address of a worker.
pub(super) fn node_address(network: u8, index: usize) -> Ipv4Addr {
    let host = u8::try_from(index + 11).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 89, network, host)
}

/// The address of a master in a namespace of its own, above all workers.
pub(super) fn master_address(network: u8, index: usize) -> Ipv4Addr {
    let host = u8::try_from(index + 240).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 89, network, host)
}

/// The network of the pods of a node.
pub(super) fn pod_cidr(network: u8, index: usize) -> String {
    format!("10.{}.{}.0/24", u16::from(network) + 100, index + 1)
}

/// The name of a worker's namespace.
pub(super) fn netns(network: u8, worker: &str) -> String {
    format!("mainstay{network}-{worker}")
}

/// Folder of a node's sockets and state; short, since socket names are limited, and gone after a reboot.
pub(super) fn run_dir(network: u8, node: &str) -> PathBuf {
    Path::new("/run/mainstay").join(netns(network, node))
}

/// A node's containerd.
pub(super) fn socket(network: u8, node: &str) -> PathBuf {
    run_dir(network, node).join("containerd.sock")
}

/// The control group above everything of a node.
pub(super) fn cgroup(network: u8, node: &str) -> String {
    format!("/{}", netns(network, node))
}
