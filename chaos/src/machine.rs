//! Masters and workers as machines of a network.

use std::process::Command;

use anyhow::{Context, Result};

use crate::cluster_file::ClusterFile;

/// A master or a worker, with what its network is.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub name: String,
    pub is_worker: bool,
    netns: Option<String>,
}

impl Machine {
    /// Its network namespace.
    pub fn netns(&self) -> Result<&str> {
        let advice = "has no network of its own; start the cluster with: mainstay up --isolate";
        self.netns.as_deref().with_context(|| format!("{} {advice}", self.name))
    }

    /// Its address between the machines.
    pub fn address(&self) -> Result<String> {
        let netns = self.netns()?;
        let output = Command::new("ip").args(["-n", netns, "-4", "-o", "addr", "show", "dev", "eth0"]).output();
        let text = String::from_utf8_lossy(&output.context("running ip")?.stdout).into_owned();
        let address = text.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        let address = address.and_then(|address| address.split('/').next());
        Ok(address.with_context(|| format!("{} has no address in {netns}", self.name))?.to_owned())
    }
}

/// All machines of the cluster.
pub(crate) fn machines(file: &ClusterFile) -> Vec<Machine> {
    let masters =
        file.masters.iter().map(|m| Machine { name: m.name.clone(), is_worker: false, netns: m.netns.clone() });
    let workers =
        file.workers.iter().map(|w| Machine { name: w.name.clone(), is_worker: true, netns: w.netns.clone() });
    masters.chain(workers).collect()
}
