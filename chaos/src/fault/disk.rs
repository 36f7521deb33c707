//! Faults of masters' disks. Each master of a scenario with `disks: true` has a file system of its own, in a file on a loop
//! device: ballast fills it, `fsfreeze` holds up every write and fsync as long as wanted, and the kernel's own trigger
//! for an error makes it fail. So nothing is put between the master and its disk that would make ordinary work slower or
//! different, as a FUSE layer or a preloaded library would; device mapper is not there on every machine.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::active::Active;
use super::dice::Dice;
use super::kind::Kind;
use super::process::{self, Victim};
use super::target::Target;
use crate::cluster::Cluster;
use crate::mounts::is_mounted;
use crate::tool::run;
use crate::undo::{Guard, Journal, Undo};

/// So much stays free on a full disk.
const LEFT_FREE: u64 = 8 << 20;
/// A slow disk takes writes for this long, again and again.
const BREATH: Duration = Duration::from_millis(5);

/// The device of a mount, and the file behind it.
fn device(mount: &Path) -> Result<(String, PathBuf)> {
    let table = std::fs::read_to_string("/proc/self/mounts").context("reading the mount table")?;
    let line = table.lines().find(|line| line.split(' ').nth(1).is_some_and(|place| Path::new(place) == mount));
    let name = line.and_then(|line| line.split(' ').next()?.strip_prefix("/dev/")).map(str::to_owned);
    let name = name.with_context(|| format!("{} is no disk of its own", mount.display()))?;
    let backing = format!("/sys/block/{name}/loop/backing_file");
    let image = std::fs::read_to_string(&backing).with_context(|| format!("reading {backing}"))?;
    Ok((name, PathBuf::from(image.trim_end())))
}

/// A disk in trouble.
pub(super) struct Sick {
    what: String,
    kind: Kind,
    victims: Vec<Victim>,
    guards: Vec<Guard>,
    /// What makes a disk slow.
    slow: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

pub(super) async fn start(
    kind: Kind,
    target: Target,
    pace: Duration,
    cluster: &Cluster,
    journal: &Arc<Journal>,
    dice: &mut Dice,
) -> Result<Sick> {
    let victims = process::victims(target, cluster, dice).await?;
    let names: Vec<&str> = victims.iter().map(|victim| victim.machine.as_str()).collect();
    let verb = match kind {
        Kind::FillDisk => "fill the disk of",
        Kind::StallDisk => "stall the disk of",
        Kind::SlowDisk => "slow down the disk of",
        _ => "break the disk of",
    };
    let what = format!("{verb} {}", names.join(", "));
    let stop = CancellationToken::new();
    let mut sick = Sick { what, kind, victims, guards: Vec::new(), slow: Vec::new(), stop };
    for victim in sick.victims.clone() {
        sick.hit(&victim, pace, journal)?;
    }
    Ok(sick)
}

impl Sick {
    fn hit(&mut self, victim: &Victim, pace: Duration, journal: &Arc<Journal>) -> Result<()> {
        let mount = victim.disk()?;
        anyhow::ensure!(
            is_mounted(&mount)?,
            "{} has no disk of its own; the scenario wants disks: true",
            victim.machine
        );
        match self.kind {
            Kind::FillDisk => {
                let file = mount.join("ballast");
                self.guards.push(journal.before(Undo::Remove { file: file.clone() })?);
                fill(&mount, &file)
            }
            Kind::StallDisk => {
                self.guards.push(journal.before(Undo::Thaw { mount: mount.clone() })?);
                freeze(&mount, true)
            }
            Kind::SlowDisk => {
                self.guards.push(journal.before(Undo::Thaw { mount: mount.clone() })?);
                self.slow.push(tokio::spawn(slowly(mount, pace, self.stop.clone())));
                Ok(())
            }
            _ => {
                let (device, image) = device(&mount)?;
                self.guards.push(journal.before(Undo::Remount { image, mount })?);
                let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
                std::fs::write(&trigger, "mainstay chaos").with_context(|| format!("writing {trigger}"))
            }
        }
    }

    async fn repair(&mut self, cluster: &Cluster) -> Result<()> {
        // Held back, so that no master starts on the folder below the mount.
        for victim in &self.victims {
            let hold = cluster.hold(&victim.machine);
            process::write(&hold)?;
            self.guards.insert(0, cluster.journal().before(Undo::Remove { file: hold })?);
            victim.signal_if_alive(Signal::SIGKILL)?;
        }
        let mut guards = std::mem::take(&mut self.guards);
        tokio::task::spawn_blocking(move || guards.iter_mut().rev().try_for_each(Guard::undo))
            .await
            .context("mounting a disk anew")?
    }
}

/// Alternates between stalled and not.
async fn slowly(mount: PathBuf, pace: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        for (frozen, time) in [(true, pace), (false, BREATH)] {
            let place = mount.clone();
            let done = tokio::task::spawn_blocking(move || freeze(&place, frozen)).await;
            if !matches!(done, Ok(Ok(()))) {
                tracing::debug!(?done, "the disk did not follow");
            }
            tokio::time::sleep(time).await;
        }
    }
}

fn freeze(mount: &Path, frozen: bool) -> Result<()> {
    let word = if frozen { "--freeze" } else { "--unfreeze" };
    run(Command::new("fsfreeze").arg(word).arg(mount))
}

fn fill(mount: &Path, file: &Path) -> Result<()> {
    let stat = nix::sys::statvfs::statvfs(mount).with_context(|| format!("asking for room on {}", mount.display()))?;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    let length = i64::try_from(free.saturating_sub(LEFT_FREE)).context("a disk out of range")?;
    let ballast = OpenOptions::new().create(true).write(true).truncate(true).open(file);
    let ballast = ballast.with_context(|| format!("writing {}", file.display()))?;
    nix::fcntl::posix_fallocate(&ballast, 0, length).with_context(|| format!("filling {}", mount.display()))
}

#[async_trait]
impl Active for Sick {
    fn what(&self) -> String {
        self.what.clone()
    }

    async fn undo(&mut self, cluster: &Cluster) -> Result<()> {
        self.stop.cancel();
        for slow in self.slow.drain(..) {
            slow.await.context("ending what slows a disk")?;
        }
        if self.kind == Kind::BreakDisk {
            return self.repair(cluster).await;
        }
        self.guards.iter_mut().try_for_each(Guard::undo)
    }
}

impl Drop for Sick {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
