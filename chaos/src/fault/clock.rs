//! Clocks that jump. Namespaces do not cover the time of day, so masters of a scenario with `clocks: true` are started with
//! libfaketime, which reads from a file how far they are off; time that only moves forward stays as it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::process::{self, Victim};
use super::{Active, Dice, Target};
use crate::cluster::Cluster;
use crate::undo::{Guard, Journal, Undo};

const PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
/// Not off at all.
const RIGHT: &str = "+0";

/// What `mainstay up` is told for clocks that can jump.
pub(crate) fn environment(folder: &Path, masters: &[String]) -> Result<Vec<String>> {
    let library = PLACES.iter().find(|place| Path::new(place).exists());
    let library = library.context("clocks want libfaketime; install: apt-get install libfaketime")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut words = Vec::new();
    for name in masters {
        let file = folder.join(name);
        std::fs::write(&file, RIGHT).with_context(|| format!("writing {}", file.display()))?;
        let settings = [
            format!("LD_PRELOAD={library}"),
            format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        words.extend(settings.into_iter().flat_map(|setting| ["--env".to_owned(), format!("{name}:{setting}")]));
    }
    Ok(words)
}

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
        guards.push(journal.before(Undo::Write { file: file.clone(), text: RIGHT.to_owned() })?);
        std::fs::write(&file, format!("{seconds:+}")).with_context(|| format!("writing {}", file.display()))?;
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

    fn node(&self) -> Option<&str> {
        None
    }

    async fn undo(&mut self, _cluster: &Cluster) -> Result<()> {
        self.guards.iter_mut().try_for_each(Guard::undo)
    }
}
