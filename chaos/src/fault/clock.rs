//! Clocks that jump, of masters whose clocks can be set ([`crate::clocks`]).

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use super::active::Active;
use super::dice::Dice;
use super::process::{self, Victim};
use super::target::Target;
use crate::clocks;
use crate::cluster::Cluster;
use crate::undo::{Guard, Journal, Undo};

/// Clocks that are wrong.
pub(super) struct Wrong {
    what: String,
    guards: Vec<Guard>,
}

pub(super) async fn start(
    target: Target,
    seconds: i64,
    cluster: &Cluster,
    journal: &Arc<Journal>,
    dice: &mut Dice,
) -> Result<Wrong> {
    let victims = process::victims(target, cluster, dice).await?;
    let names: Vec<&str> = victims.iter().map(|victim| victim.machine.as_str()).collect();
    let what = format!("clock of {} off by {seconds} s", names.join(", "));
    let mut guards = Vec::new();
    for victim in &victims {
        let file = file(cluster, victim)?;
        guards.push(journal.before(Undo::Clock { file: file.clone() })?);
        clocks::set(&file, seconds)?;
    }
    Ok(Wrong { what, guards })
}

fn file(cluster: &Cluster, victim: &Victim) -> Result<PathBuf> {
    let file = cluster.clocks().join(&victim.machine);
    anyhow::ensure!(file.exists(), "the clock of {} cannot jump; the scenario wants clocks: true", victim.machine);
    Ok(file)
}

#[async_trait]
impl Active for Wrong {
    fn what(&self) -> String {
        self.what.clone()
    }

    async fn undo(&mut self, _cluster: &Cluster) -> Result<()> {
        self.guards.iter_mut().try_for_each(Guard::undo)
    }
}
