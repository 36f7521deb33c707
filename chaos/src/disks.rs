//! Disks of their own for masters, so that they can be broken: each a file system in a file on a loop device.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::mounts::mount_image;
use crate::tool::run;
use crate::undo::{Guard, Journal, Undo};

/// Room on a master's own disk; the file takes only what is used of it.
const SIZE: &str = "2G";

/// The disks of a scenario's masters, before the cluster starts.
///
/// # Errors
/// When they cannot be made; that wants root.
pub(crate) fn make(folder: &Path, masters: &[PathBuf], journal: &Arc<Journal>) -> Result<Vec<Guard>> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut guards = Vec::new();
    for (number, mount) in masters.iter().enumerate() {
        let image = folder.join(format!("{}.img", number + 1));
        run(Command::new("truncate").args(["-s", SIZE]).arg(&image))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        std::fs::create_dir_all(mount).with_context(|| format!("making {}", mount.display()))?;
        guards.push(journal.before(Undo::Unmount { mount: mount.clone() })?);
        mount_image(&image, mount)?;
    }
    Ok(guards)
}
