//! The pods of this node on its disk, so that an agent that starts while no master answers knows what it is to keep.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::Object;

use crate::sources::Sources;

/// A directory with a file a pod.
pub(crate) struct Checkpoint {
    dir: PathBuf,
}

impl Checkpoint {
    /// Below the agent's directory.
    pub fn new(root: &Path) -> Checkpoint {
        Checkpoint { dir: root.join("checkpoint") }
    }

    fn path(&self, uid: &str) -> Option<PathBuf> {
        let plain = !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then(|| self.dir.join(format!("{uid}.json")))
    }

    /// All pods that were noted. What cannot be read is left out: the masters will tell.
    pub fn load(&self) -> Vec<Pod> {
        let files = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let pods = files.filter(|f| f.path().extension().is_some_and(|e| e == "json")).filter_map(|file| {
            let read = std::fs::read(file.path()).map_err(|e| e.to_string());
            let parsed = read.and_then(|bytes| Pod::from_json(&bytes).map_err(|e| e.to_string()));
            parsed.inspect_err(|error| tracing::warn!(error, file = ?file.path(), "a noted pod cannot be read")).ok()
        });
        pods.collect()
    }

    /// Notes a pod.
    pub fn put(&self, pod: &Pod) {
        if let Err(error) = self.try_put(pod) {
            tracing::warn!(%error, pod = ?pod.metadata.name, "a pod cannot be noted");
        }
    }

    fn try_put(&self, pod: &Pod) -> std::io::Result<()> {
        let Some(path) = self.path(pod.metadata.uid.as_deref().unwrap_or("")) else { return Ok(()) };
        std::fs::create_dir_all(&self.dir)?;
        write(&path, &pod.to_json().map_err(std::io::Error::other)?)
    }

    /// Notes what a pod's environment and volumes were made of, for nobody else to read.
    pub fn put_sources(&self, uid: &str, sources: &Sources) {
        let Some(path) = self.sources_path(uid) else { return };
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| write(&path, &serde_json::to_vec(sources)?));
        if let Err(error) = written {
            tracing::warn!(%error, uid, "what a pod is made of cannot be noted");
        }
    }

    /// What was noted of that.
    pub fn sources(&self, uid: &str) -> Option<Sources> {
        serde_json::from_slice(&std::fs::read(self.sources_path(uid)?).ok()?).ok()
    }

    fn sources_path(&self, uid: &str) -> Option<PathBuf> {
        Some(self.path(uid)?.with_extension("sources"))
    }

    /// Forgets a pod.
    pub fn remove(&self, uid: &str) {
        for path in self.path(uid).into_iter().chain(self.sources_path(uid)) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%error, ?path, "a noted pod cannot be forgotten");
                }
                _ => {}
            }
        }
    }
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let fresh = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    std::fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_noted_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(dir.path());
        assert!(checkpoint.load().is_empty());
        let mut pod = Pod::default();
        pod.metadata.uid = Some("1-a".into());
        checkpoint.put(&pod);
        checkpoint.put_sources("1-a", &Sources::default());
        assert_eq!(checkpoint.sources("1-a"), Some(Sources::default()));
        std::fs::write(dir.path().join("checkpoint/broken.json"), "{").unwrap();
        assert_eq!(checkpoint.load(), [pod]);
        checkpoint.remove("1-a");
        assert!(checkpoint.load().is_empty() && checkpoint.sources("1-a").is_none());
    }
}
