//! containerd's shims: a process for each sandbox, which outlives containerd. One that was just started when containerd
//! died is unknown to the next one, and nobody would ever end it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;

/// What CRI's sandboxes are in, to containerd.
pub(super) const NAMESPACE: &str = "k8s.io";

/// The shims of one containerd, by the socket it listens on.
pub(super) struct Shims {
    socket: PathBuf,
    /// Those that containerd did not know at the last look.
    unknown: Mutex<BTreeSet<Shim>>,
}

/// A shim, and the container it was started for: a sandbox, or what somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shim {
    pub container: String,
    pid: i32,
}

impl Shims {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, unknown: Mutex::default() }
    }

    /// Those that run. containerd knows a container before it starts its shim: what it does not know afterwards is on
    /// its way out, or nobody's.
    pub(super) fn running(&self) -> Vec<Shim> {
        shims_of(&self.socket)
    }

    /// Ends the shims that containerd knows neither now nor knew at the last look.
    pub(super) fn end_strays(&self, unknown: BTreeSet<Shim>) {
        let mut before = self.unknown.lock();
        for shim in unknown.intersection(&before) {
            tracing::warn!(shim.container, shim.pid, "ending a shim that its runtime does not know");
            if let Err(error) = kill(Pid::from_raw(shim.pid), Signal::SIGKILL) {
                tracing::debug!(%error, shim.pid, "not ended");
            }
        }
        *before = unknown;
    }
}

fn shims_of(socket: &Path) -> Vec<Shim> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let shim = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some(Shim { container: container_of(&words, socket)?, pid })
    };
    entries.filter_map(shim).collect()
}

/// The container that a shim of `socket` was started for, by its command line.
fn container_of(words: &str, socket: &Path) -> Option<String> {
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

    #[test]
    fn a_shim_that_stays_unknown_is_ended_and_no_other() {
        let shims = Shims::new(SOCKET.into());
        let (mut stray, mut known) = (shim("stray"), shim("known"));
        while shims.running().len() < 2 {
            std::thread::yield_now();
        }
        let unknown: BTreeSet<Shim> = shims.running().into_iter().filter(|shim| shim.container == "stray").collect();
        shims.end_strays(unknown.clone());
        assert!(!ended(&mut stray), "it may be on its way out");
        shims.end_strays(unknown);
        assert!(!stray.wait().unwrap().success());
        assert!(!ended(&mut known));
        known.kill().unwrap();
        known.wait().unwrap();
    }

    #[test]
    fn only_shims_of_the_runtime_count() {
        let of = |program: &str, namespace: &str, socket: &str| {
            let words = [program, "-namespace", namespace, "-id", "s1", "-address", socket, ""].join("\0");
            container_of(&words, Path::new(SOCKET))
        };
        assert_eq!(of("/usr/bin/containerd-shim-runc-v2", NAMESPACE, SOCKET).as_deref(), Some("s1"));
        assert_eq!(of("/usr/bin/containerd-shim-runc-v2", "moby", SOCKET), None);
        assert_eq!(of("/usr/bin/containerd-shim-runc-v2", NAMESPACE, "/run/containerd/containerd.sock"), None);
        assert_eq!(of("/usr/bin/less", NAMESPACE, SOCKET), None);
    }
}
