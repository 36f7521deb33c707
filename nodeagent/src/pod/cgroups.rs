//! The control groups of pods: the runtime makes them but leaves them behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const BASE: &str = "/sys/fs/cgroup";
/// Where in the root pods are, by their class.
const CLASSES: [&str; 3] = ["", "burstable", "besteffort"];

/// The control groups below a root, by their pods' uids; several with the first version of control groups, which has a
/// hierarchy for each controller.
pub(crate) fn of_pods(root: &str) -> BTreeMap<String, Vec<PathBuf>> {
    of_pods_in(Path::new(BASE), root)
}

fn of_pods_in(base: &Path, root: &str) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for hierarchy in folders(base).chain([base.to_owned()]) {
        for class in CLASSES {
            for dir in folders(&hierarchy.join(root.trim_start_matches('/')).join(class)) {
                let uid = dir.file_name().and_then(|name| name.to_str()?.strip_prefix("pod")).map(str::to_owned);
                if let Some(uid) = uid {
                    found.entry(uid).or_default().push(dir);
                }
            }
        }
    }
    found
}

/// Removes a pod's control groups. Whatever still runs keeps its own.
pub(crate) fn remove(root: &str, uid: &str) {
    of_pods(root).remove(uid).iter().flatten().for_each(|dir| remove_tree(dir));
}

/// Ends what runs in control groups that no pod and nothing in the runtime asks for, and removes them: so a crash of the
/// runtime leaves them.
pub(crate) fn end(uid: &str, dirs: &[PathBuf]) {
    for dir in dirs {
        for pid in processes(dir) {
            tracing::warn!(uid, pid, "ending a process of a pod that is gone");
            if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
                tracing::debug!(%error, pid, "not ended");
            }
        }
        remove_tree(dir);
    }
}

/// The innermost first. One that is in use stays, and is tried again with the next look.
fn remove_tree(dir: &Path) {
    folders(dir).for_each(|inner| remove_tree(&inner));
    if let Err(error) = std::fs::remove_dir(dir) {
        tracing::debug!(%error, ?dir, "control group not removed");
    }
}

fn processes(dir: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let own = text.lines().filter_map(|line| line.trim().parse().ok());
    // 0 is a process of another namespace, and would be this process's group to the kernel.
    own.filter(|pid| *pid > 0).chain(folders(dir).flat_map(|inner| processes(&inner))).collect()
}

fn folders(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_found_in_every_hierarchy_and_ended_with_what_runs_in_them() {
        let temp = tempfile::tempdir().unwrap();
        for path in ["cpu/n/kubepods/podu1", "memory/n/kubepods/burstable/podu2/c1", "cpu/n/kubepods/burstable/podu2"] {
            std::fs::create_dir_all(temp.path().join(path)).unwrap();
        }
        let mut left = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let procs = temp.path().join("memory/n/kubepods/burstable/podu2/c1/cgroup.procs");
        std::fs::write(procs, format!("0\n{}\n", left.id())).unwrap();
        let found = of_pods_in(temp.path(), "/n/kubepods");
        assert_eq!(
            found.iter().map(|(uid, dirs)| (uid.as_str(), dirs.len())).collect::<Vec<_>>(),
            [("u1", 1), ("u2", 2)]
        );
        found.iter().for_each(|(uid, dirs)| end(uid, dirs));
        assert!(!left.wait().unwrap().success(), "it was ended");
        assert!(!temp.path().join("cpu/n/kubepods/burstable/podu2").exists());
        assert!(!temp.path().join("cpu/n/kubepods/podu1").exists());
    }
}
