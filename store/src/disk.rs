//! Free space on the data disk. Below a mark, puts are refused before the disk is full, so that what was acknowledged can
//! always be written.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The last measurement.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    low_mark: u64,
    free: AtomicU64,
    /// Known to a leader: another master's disk is low. What is written here is written there too.
    others_low: AtomicBool,
}

impl Disk {
    /// Watches the file system of `dir`; low when less than `low_mark` bytes are free.
    pub(crate) fn new(dir: &Path, low_mark: u64) -> Self {
        let disk = Self {
            dir: dir.to_path_buf(),
            low_mark,
            free: AtomicU64::new(u64::MAX),
            others_low: AtomicBool::new(false),
        };
        disk.measure();
        disk
    }

    /// Asks the file system again.
    pub(crate) fn measure(&self) {
        match nix::sys::statvfs::statvfs(&self.dir) {
            Ok(stat) => {
                let free = stat.blocks_available().saturating_mul(stat.fragment_size());
                self.record(free);
            }
            Err(error) => tracing::warn!(dir = %self.dir.display(), %error, "cannot measure free space"),
        }
    }

    fn record(&self, free: u64) {
        let before = self.free.swap(free, Ordering::Relaxed);
        let (was_low, is_low) = (before < self.low_mark, free < self.low_mark);
        if is_low && !was_low {
            tracing::error!(free, low_mark = self.low_mark, "the disk is nearly full; puts are refused");
        } else if was_low && !is_low {
            tracing::info!(free, "there is space on the disk again");
        }
    }

    /// Free bytes.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether this master's disk is nearly full.
    pub(crate) fn is_low(&self) -> bool {
        self.free() < self.low_mark
    }

    /// What a leader has heard from the others.
    pub(crate) fn record_others(&self, low: bool) {
        if self.others_low.swap(low, Ordering::Relaxed) != low {
            tracing::warn!(low, "whether the disk of another master is nearly full; puts are refused while it is");
        }
    }

    /// Whether puts are to be refused.
    pub(crate) fn refuses_puts(&self) -> bool {
        self.is_low() || self.others_low.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_below_the_mark_and_fine_again_above() {
        let temp = tempfile::tempdir().unwrap();
        let disk = Disk::new(temp.path(), 1);
        assert!(!disk.is_low());
        disk.record(0);
        assert!(disk.is_low());
        disk.measure();
        assert!(!disk.is_low());
    }
}
