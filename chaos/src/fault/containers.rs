//! Processes of containers, found by the container's id in their cgroup.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

/// The ids of a pod's running containers, without the runtime's name. Hollow containers have none.
pub(super) fn ids(pod: &Pod) -> Vec<String> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let ids = statuses.into_iter().flatten().filter_map(|status| status.container_id.as_deref());
    ids.filter_map(|id| id.strip_prefix("containerd://")).map(str::to_owned).collect()
}

/// The first process of each container of these pods.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn processes(pods: &[Pod]) -> Result<BTreeSet<i32>> {
    let wanted: Vec<String> = pods.iter().flat_map(ids).collect();
    let mut first: Vec<Option<i32>> = vec![None; wanted.len()];
    if wanted.is_empty() {
        return Ok(BTreeSet::new());
    }
    for entry in std::fs::read_dir("/proc").context("reading /proc")? {
        let path = entry.context("reading /proc")?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok()) else { continue };
        // A process that has ended meanwhile is none of ours.
        let Ok(cgroup) = std::fs::read_to_string(path.join("cgroup")) else { continue };
        for (index, _) in wanted.iter().enumerate().filter(|(_, id)| cgroup.contains(id.as_str())) {
            first[index] = Some(first[index].map_or(pid, |known| known.min(pid)));
        }
    }
    Ok(first.into_iter().flatten().collect())
}

/// Whether none of these processes has ended.
#[must_use]
pub fn all_alive(processes: &BTreeSet<i32>) -> bool {
    processes.iter().all(|pid| Path::new("/proc").join(pid.to_string()).exists())
}

/// Whether any of them is still there.
#[must_use]
pub fn any_alive(processes: &BTreeSet<i32>) -> bool {
    processes.iter().any(|pid| Path::new("/proc").join(pid.to_string()).exists())
}
