//! The supervisor: starts the cluster, keeps it running, and takes it all down when told to.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::args::UpArgs;
use super::file::ClusterFile;
use super::keeper::Keeper;
use super::progress::Progress;
use super::{layout, lock, network, start, teardown};
use crate::process::Remembered;

/// Runs the cluster until told to stop.
pub(super) async fn run(up: &UpArgs, progress: &Progress) -> Result<()> {
    let _lock = lock::take(&up.dir)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let keeper = Arc::new(take_up(up)?);
    let outcome = tokio::select! {
        outcome = start::cluster(&keeper, progress) => outcome,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    if let Err(error) = outcome {
        take_down(&keeper, &Progress::Lines).await?;
        return Err(error);
    }
    keeper.complete();
    progress.ready(&start::farewell(&up.dir, &keeper.file(), up.detach));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    take_down(&keeper, progress).await
}

/// Takes up the cluster of the folder, or lays out a new one.
fn take_up(up: &UpArgs) -> Result<Keeper> {
    let mut file = match ClusterFile::read_if_there(&up.dir)? {
        Some(file) if file.is_running() => {
            bail!("a cluster already runs in {0}; stop it with: mainstay down --dir {0}", up.dir.display())
        }
        Some(file) => file,
        None => {
            let network = if up.has_containers() || up.isolates() { Some(network::free_network()?) } else { None };
            layout::new_cluster(up, network)?
        }
    };
    file.supervisor = Remembered::of(std::process::id());
    file.write(&up.dir)?;
    Ok(Keeper::new(&up.dir, file))
}

async fn take_down(keeper: &Keeper, progress: &Progress) -> Result<()> {
    keeper.let_go().await;
    let mut file = keeper.file();
    file.supervisor = Remembered::default();
    teardown::everything(&file, keeper.dir(), progress)?;
    file.write(keeper.dir())
}
