//! Log files that have grown long are moved aside, and containers go on in new ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::runtime::{Runtime, State};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// Bytes of a file that is moved.
const LONG: u64 = 10 << 20;
/// Files that are kept of one run, with the one that is written.
const KEEP: usize = 5;

/// A log that has grown long.
#[derive(Debug, PartialEq, Eq)]
struct Long {
    uid: String,
    container: String,
    attempt: u32,
    path: PathBuf,
}

/// Looks after the logs until the agent stops.
pub(crate) async fn rotate(runtime: Arc<dyn Runtime>, logs: PathBuf, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for long in find(&logs, LONG) {
            turn(&*runtime, &long).await;
        }
    }
}

/// `NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log`, where they are long.
fn find(logs: &Path, bytes: u64) -> Vec<Long> {
    let mut all = Vec::new();
    for pod in children(logs) {
        let uid = text(&pod).rsplit('_').next().unwrap_or_default().to_owned();
        for container in children(&pod) {
            for path in children(&container) {
                let attempt = text(&path).strip_suffix(".log").and_then(|n| n.parse().ok());
                let long = std::fs::metadata(&path).is_ok_and(|m| m.len() > bytes);
                if let Some(attempt) = attempt.filter(|_| long) {
                    all.push(Long { uid: uid.clone(), container: text(&container), attempt, path });
                }
            }
        }
    }
    all
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn text(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

async fn turn(runtime: &dyn Runtime, long: &Long) {
    let Ok(pod) = runtime.pod(&long.uid).await else { return };
    let of = |c: &&crate::runtime::Container| c.attempt == long.attempt && c.state == State::Running;
    let Some(id) = pod.named(&long.container).find(of).map(|c| c.id.clone()) else { return };
    let aside = PathBuf::from(format!("{}.{}", long.path.display(), Timestamp::now().strftime("%Y%m%d-%H%M%S")));
    if let Err(error) = std::fs::rename(&long.path, &aside) {
        return tracing::warn!(%error, path = ?long.path, "a log cannot be moved aside");
    }
    if let Err(error) = runtime.reopen_log(&id).await {
        tracing::warn!(%error, path = ?long.path, "a container does not go on in a new log");
        // It still writes to the old one, so that is put back.
        if let Err(error) = std::fs::rename(&aside, &long.path) {
            tracing::warn!(%error, path = ?long.path, "a log cannot be put back");
        }
        return;
    }
    forget_old(&long.path);
}

fn forget_old(path: &Path) {
    let prefix = format!("{}.", text(path));
    let mut old: Vec<PathBuf> =
        path.parent().into_iter().flat_map(children).filter(|p| text(p).starts_with(&prefix)).collect();
    old.sort();
    for path in old.iter().take(old.len().saturating_sub(KEEP - 1)) {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(%error, ?path, "an old log cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_are_found_and_old_ones_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let container = dir.path().join("d_p_1-2/c");
        std::fs::create_dir_all(&container).unwrap();
        std::fs::write(container.join("3.log"), "long enough").unwrap();
        std::fs::write(container.join("4.log"), "").unwrap();
        let found = find(dir.path(), 5);
        let path = container.join("3.log");
        assert_eq!(found, [Long { uid: "1-2".into(), container: "c".into(), attempt: 3, path: path.clone() }]);
        for number in 0..6 {
            std::fs::write(container.join(format!("3.log.{number}")), "").unwrap();
        }
        forget_old(&path);
        let mut left: Vec<_> = children(&container).map(|p| text(&p)).collect();
        left.sort();
        assert_eq!(left, ["3.log", "3.log.2", "3.log.3", "3.log.4", "3.log.5", "4.log"]);
    }
}
