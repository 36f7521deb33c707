//! One supervisor a folder.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// Held by the supervisor as long as it lives; the kernel lets go of it when it dies.
pub(super) struct FolderLock {
    _lock: Flock<File>,
}

/// Takes the folder for this process.
pub(super) fn take(dir: &Path) -> Result<FolderLock> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(FolderLock { _lock: lock }),
        Err(_) => bail!("a cluster already runs in {0}; stop it with: mainstay down --dir {0}", dir.display()),
    }
}
