//! containerd's shims: a process for each sandbox, which outlives containerd. One that was just started when containerd
//! died is in no list of the next one, and nobody would ever end it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What CRI's sandboxes are in, to containerd.
const NAMESPACE: &str = "k8s.io";

/// The shims of one containerd, by the socket it listens on.
pub(super) struct Shims {
    socket: PathBuf,
    /// When each call began that makes a sandbox and has not ended.
    making: Arc<Mutex<Vec<Instant>>>,
    /// When each shim was first found that was in no list.
    unlisted: Mutex<BTreeMap<Shim, Instant>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shim {
    sandbox: String,
    pid: i32,
}

/// A sandbox is being made as long as this lives.
pub(super) struct Making {
    began: Instant,
    making: Arc<Mutex<Vec<Instant>>>,
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut making = self.making.lock();
        if let Some(at) = making.iter().position(|began| *began == self.began) {
            making.swap_remove(at);
        }
    }
}

impl Shims {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, making: Arc::default(), unlisted: Mutex::default() }
    }

    /// To be called before a sandbox is asked for.
    pub(super) fn making(&self) -> Making {
        let began = Instant::now();
        self.making.lock().push(began);
        Making { began, making: Arc::clone(&self.making) }
    }

    /// Since when every sandbox is listed that is not being made; to be asked before the list is.
    pub(super) fn settled(&self) -> Instant {
        self.making.lock().iter().min().copied().unwrap_or_else(Instant::now)
    }

    /// Ends the shims that were in no list before `settled` and are not among `sandboxes` now: they are nobody's.
    pub(super) fn end_strays(&self, sandboxes: &[String], settled: Instant) {
        let mut unlisted = self.unlisted.lock();
        let now = Instant::now();
        let found = shims_of(&self.socket).into_iter().filter(|shim| !sandboxes.contains(&shim.sandbox));
        *unlisted = found.map(|shim| (shim.clone(), unlisted.get(&shim).copied().unwrap_or(now))).collect();
        for (shim, _) in unlisted.iter().filter(|(_, since)| **since < settled.min(now)) {
            tracing::warn!(shim.sandbox, shim.pid, "ending a shim that its runtime does not know");
            if let Err(error) = kill(Pid::from_raw(shim.pid), Signal::SIGKILL) {
                tracing::debug!(%error, shim.pid, "not ended");
            }
        }
    }
}

fn shims_of(socket: &Path) -> Vec<Shim> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let shim = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some(Shim { sandbox: sandbox_of(&words, socket)?, pid })
    };
    entries.filter_map(shim).collect()
}

/// The sandbox that a shim of `socket` was started for, by its command line.
fn sandbox_of(words: &str, socket: &Path) -> Option<String> {
    let mut words = words.split('\0');
    let program = Path::new(words.next()?).file_name()?.to_str()?;
    let flags: Vec<&str> = words.collect();
    let flag = |name: &str| flags.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
    let own = program.starts_with("containerd-shim")
        && flag("-namespace") == Some(NAMESPACE)
        && flag("-address").map(Path::new) == Some(socket);
    flag("-id").filter(|_| own).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    const SOCKET: &str = "/run/of-a-test/containerd.sock";

    /// A process with a shim's command line, which waits.
    fn shim(sandbox: &str) -> Child {
        let words = ["-c", "read never", "-namespace", NAMESPACE, "-id", sandbox, "-address", SOCKET];
        Command::new("sh").arg0("/bin/containerd-shim-runc-v2").args(words).stdin(Stdio::piped()).spawn().unwrap()
    }

    fn ended(child: &mut Child) -> bool {
        child.try_wait().unwrap().is_some()
    }

    #[tokio::test]
    async fn a_shim_that_stays_unlisted_is_ended_and_no_other() {
        let shims = Shims::new(SOCKET.into());
        let (mut stray, mut listed) = (shim("stray"), shim("listed"));
        let listing = ["listed".to_owned()];
        while shims_of(Path::new(SOCKET)).len() < 2 {
            tokio::task::yield_now().await;
        }
        shims.end_strays(&listing, shims.settled());
        assert!(!ended(&mut stray), "it may be one that is listed soon");
        shims.end_strays(&listing, shims.settled());
        assert!(!stray.wait().unwrap().success());
        assert!(!ended(&mut listed));
        listed.kill().unwrap();
        listed.wait().unwrap();
    }

    #[tokio::test]
    async fn the_shim_of_a_sandbox_that_takes_its_time_is_left_alone() {
        let shims = Shims::new("/run/of-another-test/containerd.sock".into());
        let making = shims.making();
        let first_seen = Instant::now();
        assert!(shims.settled() <= first_seen);
        drop(making);
        assert!(shims.settled() >= first_seen);
    }

    #[test]
    fn only_shims_of_the_runtime_count() {
        let of = |program: &str, namespace: &str, socket: &str| {
            let words = [program, "-namespace", namespace, "-id", "s1", "-address", socket, ""].join("\0");
            sandbox_of(&words, Path::new(SOCKET))
        };
        assert_eq!(of("/usr/bin/containerd-shim-runc-v2", NAMESPACE, SOCKET).as_deref(), Some("s1"));
        assert_eq!(of("/usr/bin/containerd-shim-runc-v2", "moby", SOCKET), None);
        assert_eq!(of("/usr/bin/containerd-shim-runc-v2", NAMESPACE, "/run/containerd/containerd.sock"), None);
        assert_eq!(of("/usr/bin/less", NAMESPACE, SOCKET), None);
    }
}
