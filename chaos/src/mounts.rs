//! File systems in files: mounting them, and making good what was done to them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool::run;

/// Errors make it read-only, as on most machines.
pub(crate) fn mount_image(image: &Path, mount: &Path) -> Result<()> {
    run(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(image).arg(mount))
}

/// A file system that was frozen takes writes again. Done twice, it does no harm.
pub(crate) fn thaw(mount: &Path) -> Result<()> {
    if !is_mounted(mount)? {
        return Ok(());
    }
    let output = Command::new("fsfreeze").arg("--unfreeze").arg(mount).output().context("running fsfreeze")?;
    let words = String::from_utf8_lossy(&output.stderr);
    // What is not frozen cannot be thawed.
    anyhow::ensure!(output.status.success() || words.contains("Invalid argument"), "thawing: {}", words.trim());
    Ok(())
}

/// Takes a file system away. Done twice, it does no harm.
pub(crate) fn unmount(mount: &Path) -> Result<()> {
    if is_mounted(mount)? {
        run(Command::new("umount").arg("--lazy").arg(mount))?;
    }
    Ok(())
}

/// Mounts a file system that has failed anew. Done twice, it does no harm.
pub(crate) fn remount(image: &Path, mount: &Path) -> Result<()> {
    if !image.exists() || !mount.exists() {
        return Ok(());
    }
    if is_mounted(mount)? {
        // Whoever still uses it cannot go on with it anyway; with nobody there, fuser fails.
        Command::new("fuser").args(["-s", "-k", "-M", "-m"]).arg(mount).output().context("running fuser")?;
        unmounted(mount)?;
    }
    // It corrects what it can; whether that was enough, the mount tells.
    Command::new("e2fsck").arg("-p").arg(image).output().context("running e2fsck")?;
    mount_image(image, mount)
}

/// A process that was killed keeps the file system for a moment.
fn unmounted(mount: &Path) -> Result<()> {
    for _ in 0..50 {
        if Command::new("umount").arg(mount).output().context("running umount")?.status.success() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    run(Command::new("umount").arg(mount))
}

/// Whether something is mounted exactly there.
pub(crate) fn is_mounted(mount: &Path) -> Result<bool> {
    let table = std::fs::read_to_string("/proc/self/mounts").context("reading the mount table")?;
    Ok(table.lines().filter_map(|line| line.split(' ').nth(1)).any(|place| Path::new(place) == mount))
}
