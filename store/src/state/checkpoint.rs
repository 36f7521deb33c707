//! Copies of the state on disk: made of hard links, sent to other masters, and swapped in when received.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::StoreError;

/// Removes a directory when dropped, once told to.
#[derive(Debug)]
pub(crate) struct Removal {
    dir: PathBuf,
    armed: AtomicBool,
}

impl Removal {
    /// Of `dir`, at once armed or not.
    pub(crate) fn new(dir: PathBuf, armed: bool) -> Self {
        Self { dir, armed: AtomicBool::new(armed) }
    }

    pub(crate) fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::Relaxed);
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        if self.armed.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot remove an old copy of the state");
        }
    }
}

/// A copy of the state, gone with its last handle.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    /// `None`: the state itself was flushed and nothing was copied.
    removal: Option<Arc<Removal>>,
}

impl Checkpoint {
    /// The files in `dir`, removed when no longer needed.
    pub(crate) fn owning(dir: PathBuf) -> Self {
        Self { removal: Some(Arc::new(Removal::new(dir, true))) }
    }

    /// No copy; says that everything applied is on disk.
    pub(crate) fn flushed() -> Self {
        Self { removal: None }
    }

    /// Where the files are.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.removal.as_ref().map(|removal| removal.dir.as_path())
    }

    /// The files' names, in order.
    pub(crate) fn files(&self) -> std::io::Result<Vec<String>> {
        let Some(dir) = self.dir() else {
            return Err(std::io::Error::other("nothing was copied"));
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Moves the files to `target`, which then belongs to the caller.
    pub(super) fn move_to(self, target: &Path) -> std::io::Result<()> {
        let Some(removal) = self.removal else {
            return Err(std::io::Error::other("nothing was copied"));
        };
        fs::rename(&removal.dir, target)?;
        removal.arm(false);
        Ok(())
    }
}

/// The directories of a master's state: `state/<n>` holds the database in use, `state/CURRENT` names it, `incoming/` and
/// `checkpoints/` hold copies on their way.
#[derive(Debug)]
pub(crate) struct Dirs {
    data_dir: PathBuf,
    next: AtomicU64,
}

const CURRENT: &str = "CURRENT";

impl Dirs {
    /// Creates what is missing and removes what a crash left.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let dirs = Self { data_dir: data_dir.to_path_buf(), next: AtomicU64::new(1) };
        for name in ["incoming", "checkpoints"] {
            let dir = data_dir.join(name);
            if dir.exists() {
                fs::remove_dir_all(&dir).map_err(|error| StoreError::io(&dir, &error))?;
            }
            fs::create_dir_all(&dir).map_err(|error| StoreError::io(&dir, &error))?;
        }
        let state = dirs.state();
        fs::create_dir_all(&state).map_err(|error| StoreError::io(&state, &error))?;
        dirs.remove_unused()?;
        Ok(dirs)
    }

    fn state(&self) -> PathBuf {
        self.data_dir.join("state")
    }

    /// The master's directory.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The database in use; its place for a new master.
    pub(crate) fn current(&self) -> Result<PathBuf, StoreError> {
        let pointer = self.state().join(CURRENT);
        match fs::read_to_string(&pointer) {
            Ok(name) => Ok(self.state().join(name.trim())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let dir = self.state().join("0");
                self.set_current(&dir).map_err(|error| StoreError::io(&pointer, &error))?;
                Ok(dir)
            }
            Err(error) => Err(StoreError::io(&pointer, &error)),
        }
    }

    /// Makes `dir` the database of the next start, durably.
    pub(crate) fn set_current(&self, dir: &Path) -> std::io::Result<()> {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        write_durably(&self.state().join(CURRENT), name.as_bytes())
    }

    fn remove_unused(&self) -> Result<(), StoreError> {
        let current = self.current()?;
        let state = self.state();
        let entries = fs::read_dir(&state).map_err(|error| StoreError::io(&state, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| StoreError::io(&state, &error))?.path();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
            if let Some(number) = number {
                self.next.fetch_max(number + 1, Ordering::Relaxed);
                if path != current {
                    fs::remove_dir_all(&path).map_err(|error| StoreError::io(&path, &error))?;
                }
            }
        }
        Ok(())
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A place for the next database.
    pub(crate) fn new_state(&self) -> PathBuf {
        self.state().join(self.number().to_string())
    }

    /// A place for a copy to send.
    pub(crate) fn new_checkpoint(&self) -> PathBuf {
        self.data_dir.join("checkpoints").join(self.number().to_string())
    }

    /// A place for a backup to send.
    pub(crate) fn new_backup(&self) -> PathBuf {
        self.data_dir.join("checkpoints").join(format!("{}.backup", self.number()))
    }

    /// A new directory for a copy to receive.
    pub(crate) fn new_incoming(&self) -> std::io::Result<PathBuf> {
        let dir = self.data_dir.join("incoming").join(self.number().to_string());
        fs::create_dir(&dir)?;
        Ok(dir)
    }
}

/// Replaces a small file so that after a crash it is either the old or the new one.
pub(crate) fn write_durably(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and new files of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_the_state_in_use_stays() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = Dirs::open(temp.path()).unwrap();
        let used = dirs.new_state();
        let unused = dirs.new_state();
        fs::create_dir(&used).unwrap();
        fs::create_dir(&unused).unwrap();
        dirs.set_current(&used).unwrap();
        let again = Dirs::open(temp.path()).unwrap();
        assert_eq!(again.current().unwrap(), used);
        assert!(used.exists() && !unused.exists());
        assert_ne!(again.new_state(), used);
    }

    #[test]
    fn a_copy_goes_with_its_last_handle_unless_it_was_moved() {
        let temp = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| temp.path().join(name));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        drop(Checkpoint::owning(a.clone()));
        Checkpoint::owning(b.clone()).move_to(&c).unwrap();
        assert!(!a.exists() && !b.exists() && c.exists());
    }
}
