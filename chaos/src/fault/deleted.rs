//! Faults of objects: a pod is deleted.

use anyhow::{Context, Result};
use async_trait::async_trait;
use rand::seq::IndexedRandom;

use super::active::Active;
use super::dice::Dice;
use super::process;
use super::target::Target;
use crate::cluster::Cluster;
use crate::workload::namespace::NAMESPACE;
use crate::workload::steady;

/// A pod that was deleted; nothing is to be undone.
pub(super) struct Deleted {
    what: String,
}

pub(super) async fn start(target: Target, cluster: &Cluster, dice: &mut Dice) -> Result<Deleted> {
    let selector = if target == Target::LonePod { steady::LONE_SELECTOR } else { steady::SELECTOR };
    let pods = process::pods(cluster, selector).await?;
    let names: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
    let name = names.choose(&mut dice.random).with_context(|| format!("there is no pod with {selector} to delete"))?;
    cluster.run(&["delete", "pod", "-n", NAMESPACE, name, "--wait=false"]).await?;
    Ok(Deleted { what: format!("delete pod {name}") })
}

#[async_trait]
impl Active for Deleted {
    fn what(&self) -> String {
        self.what.clone()
    }
}
