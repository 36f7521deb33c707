//! Property: nothing is left over. Once the workload's objects are gone, what machines hold (processes of containers, mounts,
//! control groups, network namespaces, rules of faults) is again what it was before, and so is what masters and agents hold
//! (open files, memory), but for what their caches fill up with in any run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::Violation;
use crate::cluster::Cluster;
use crate::cluster_file::ClusterFile;
use crate::undo::TABLE;

/// Open files that a process may have gained, whatever it had.
const FILES_SLACK: u64 = 200;
/// Megabytes of memory that it may have gained, however little was written: the store's buffers and caches fill up in a run.
const MEMORY_SLACK: u64 = 300;

/// What was there at one moment, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Things that have to go with the workload.
    pub things: BTreeMap<String, u64>,
    /// Open files and megabytes of each process.
    pub processes: BTreeMap<String, (u64, u64)>,
}

impl Holdings {
    /// What the cluster holds now. What cannot be read counts as nothing.
    #[must_use]
    pub fn of(cluster: &Cluster, file: &ClusterFile) -> Self {
        let mut things = BTreeMap::new();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let marks: Vec<String> = file.nodes().filter_map(|node| node.netns.clone()).collect();
        let own =
            |text: &str| text.contains(&*cluster.dir().to_string_lossy()) || marks.iter().any(|m| text.contains(m));
        things.insert("mounts".to_owned(), mounts.lines().filter(|line| own(line)).count() as u64);
        things.insert("shims of containers".to_owned(), shims(&marks));
        things.insert("control groups of pods".to_owned(), marks.iter().map(|mark| pod_groups(mark)).sum());
        let machines = file.masters.iter().filter_map(|master| master.netns.clone()).chain(marks.clone());
        things.insert("rules of faults".to_owned(), machines.filter(|netns| has_rules(netns)).count() as u64);
        let masters = file.masters.iter().map(|master| (master.name.clone(), master.pid));
        let agents = file.nodes().map(|node| (node.name.clone(), node.pid));
        let processes = masters.chain(agents).map(|(name, pid)| (name, (open_files(pid), megabytes(pid)))).collect();
        Self { things, processes }
    }
}

/// What is left over, and what has grown.
#[must_use]
pub fn check(before: &Holdings, after: &Holdings) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, count) in &after.things {
        let was = before.things.get(name).copied().unwrap_or(0);
        if *count > was {
            found.push(format!("{count} {name} at the end, {was} before"));
        }
    }
    for (name, (files, memory)) in &after.processes {
        let (files_before, memory_before) = before.processes.get(name).copied().unwrap_or_default();
        if *files > files_before * 2 + FILES_SLACK {
            found.push(format!("{name} has {files} open files, {files_before} before"));
        }
        if *memory > memory_before * 2 + MEMORY_SLACK {
            found.push(format!("{name} takes {memory} MB, {memory_before} before"));
        }
    }
    found.into_iter().map(|seen| Violation { property: "nothing is left over", seen }).collect()
}

fn shims(marks: &[String]) -> u64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let words = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let ours = words.filter(|words| {
        let text = String::from_utf8_lossy(words);
        text.contains("containerd-shim") && marks.iter().any(|mark| text.contains(mark))
    });
    ours.count() as u64
}

/// In whichever hierarchy they are.
fn pod_groups(mark: &str) -> u64 {
    let roots = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let most = roots.map(|root| pods_below(&root.join(mark), 0)).max();
    most.unwrap_or(0).max(pods_below(&Path::new("/sys/fs/cgroup").join(mark), 0))
}

fn pods_below(path: &Path, depth: u32) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let count = |entry: std::fs::DirEntry| {
        let pod = entry.file_name().to_string_lossy().starts_with("pod");
        u64::from(pod) + if depth < 4 && !pod { pods_below(&entry.path(), depth + 1) } else { 0 }
    };
    folders.map(count).sum()
}

fn has_rules(netns: &str) -> bool {
    let netns = format!("--net=/run/netns/{netns}");
    let list = Command::new("nsenter").args([&netns, "nft", "list", "table", "inet", TABLE]).output();
    list.is_ok_and(|output| output.status.success())
}

fn open_files(pid: i32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64)
}

fn megabytes(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings(mounts: u64, files: u64, memory: u64) -> Holdings {
        let things = [("mounts".to_owned(), mounts)].into();
        Holdings { things, processes: [("master-1".to_owned(), (files, memory))].into() }
    }

    #[test]
    fn what_is_left_and_what_grows_is_named() {
        let before = holdings(3, 100, 100);
        assert_eq!(check(&before, &holdings(3, 350, 100)), []);
        assert_eq!(check(&before, &holdings(2, 0, 0)), []);
        let found = check(&before, &holdings(4, 500, 100));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn memory_goes_back_with_the_objects() {
        let before = holdings(3, 100, 80);
        assert_eq!(check(&before, &holdings(3, 100, 440)), []);
        assert_eq!(check(&before, &holdings(3, 100, 700)).len(), 1);
    }
}
