//! A cluster of real processes for a test, removed again when the test ends, however it ends.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub(crate) const MAINSTAY: &str = env!("CARGO_BIN_EXE_mainstay");

/// Three masters and their workers, with the hollow runtime.
pub(crate) struct TestCluster {
    folder: tempfile::TempDir,
}

impl TestCluster {
    /// Starts it; `more` are further arguments of `mainstay up`.
    pub(crate) fn up(workers: u32, more: &[&str]) -> Self {
        let cluster = Self { folder: tempfile::tempdir().unwrap() };
        let workers = workers.to_string();
        let mut arguments = vec!["up", "--masters", "3", "--workers", &workers, "--runtime", "hollow", "--detach"];
        arguments.extend_from_slice(more);
        let output = cluster.in_dir(&arguments);
        assert!(output.status.success(), "mainstay up: {}", text(&output.stderr));
        cluster
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir().join("kubeconfig")
    }

    /// `cluster.json` as it is now.
    pub(crate) fn file(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.dir().join("cluster.json")).unwrap()).unwrap()
    }

    /// `up` or `down` with this cluster's folder.
    pub(crate) fn in_dir(&self, arguments: &[&str]) -> Output {
        run(Command::new(MAINSTAY).args(arguments).arg("--dir").arg(self.dir()))
    }

    /// A client command of ours that must succeed; gives what it printed.
    pub(crate) fn mainstay(&self, arguments: &[&str]) -> String {
        self.succeed(MAINSTAY.as_ref(), arguments, "")
    }

    /// A client program that must succeed, with something on its standard input.
    pub(crate) fn succeed(&self, program: &OsStr, arguments: &[&str], input: &str) -> String {
        let output = self.client(program, arguments, input);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{} {arguments:?}: {said}", program.to_string_lossy());
        text(&output.stdout)
    }

    /// A client program with this cluster's kubeconfig.
    pub(crate) fn client(&self, program: &OsStr, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut child = Command::new(program)
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        let output = self.in_dir(&["down"]);
        if !output.status.success() && !std::thread::panicking() {
            panic!("mainstay down: {}", text(&output.stderr));
        }
    }
}

/// Runs a command without standard input.
pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// What a program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
