//! All masters, followers first, and then all agents are restarted one after the other, with the program that they have or
//! with a new one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;

use super::active::Active;
use super::kind::Kind;
use super::process::{self, Victim};
use crate::cluster::Cluster;
use crate::undo::{Guard, Journal, Undo};

/// How long one of them may take to be well again.
const LIMIT: Duration = Duration::from_secs(60);

/// A restart of everything, which is over when it has begun.
pub(super) struct Rolled {
    what: String,
    /// New programs go when the run ends; what was started from them goes on.
    _guards: Vec<Guard>,
}

pub(super) async fn start(kind: Kind, cluster: &Cluster, journal: &Arc<Journal>) -> Result<Rolled> {
    let mut guards = Vec::new();
    let (masters, agents) = process::in_order(cluster).await?;
    let count = masters.len() + agents.len();
    for victim in masters.iter().chain(&agents) {
        if kind == Kind::Upgrade {
            guards.push(replace(cluster, victim.slot()?, journal)?);
        }
        victim.terminate()?;
        replaced(cluster, victim).await?;
    }
    let what = match kind {
        Kind::Upgrade => format!("upgrade {count} processes to {}", cluster.new_binary().display()),
        _ => format!("restart {count} processes one after the other"),
    };
    Ok(Rolled { what, _guards: guards })
}

/// The supervisor takes the program from this link.
fn replace(cluster: &Cluster, name: &str, journal: &Arc<Journal>) -> Result<Guard> {
    let file = cluster.program(name);
    let folder = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let guard = journal.before(Undo::Remove { file: file.clone() })?;
    std::os::unix::fs::symlink(cluster.new_binary(), &file).with_context(|| format!("making {}", file.display()))?;
    Ok(guard)
}

/// Waits until another process has taken its place and all masters are well.
async fn replaced(cluster: &Cluster, victim: &Victim) -> Result<()> {
    let until = Instant::now() + LIMIT;
    loop {
        let gone = !cluster.file()?.pids().any(|pid| pid == victim.pid());
        if gone && cluster.all_healthy().await.unwrap_or(false) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("{} was not replaced and well within {LIMIT:?}", victim.machine);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[async_trait]
impl Active for Rolled {
    fn what(&self) -> String {
        self.what.clone()
    }
}
