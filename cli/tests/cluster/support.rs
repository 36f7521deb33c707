//! A cluster of real processes for a test, removed again when the test ends, however it ends.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
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
        Self::up_in(&std::env::temp_dir(), workers, more)
    }

    /// Starts it in a folder of its own under `parent`.
    pub(crate) fn up_in(parent: &Path, workers: u32, more: &[&str]) -> Self {
        let mut arguments = vec!["--runtime", "hollow"];
        arguments.extend_from_slice(more);
        Self::start(parent, workers, &arguments)
    }

    /// Starts it with real containers.
    pub(crate) fn on_containerd(workers: u32) -> Self {
        Self::start(&std::env::temp_dir(), workers, &["--runtime", "containerd"])
    }

    fn start(parent: &Path, workers: u32, more: &[&str]) -> Self {
        let cluster = Self { folder: tempfile::tempdir_in(parent).unwrap() };
        let workers = workers.to_string();
        let mut arguments = vec!["up", "--masters", "3", "--workers", &workers, "--detach"];
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

    /// `mainstay cluster status` as JSON, if a master answers.
    fn status(&self) -> Option<Value> {
        let output = self.client(MAINSTAY.as_ref(), &["cluster", "status", "-o", "json"], "");
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The leading master's name, if there is one.
    pub(crate) fn try_leader(&self) -> Option<String> {
        let status = self.status()?;
        let leader = status["members"].as_array()?.iter().find(|member| member["role"] == "leader")?;
        Some(leader["name"].as_str()?.to_owned())
    }

    /// The leading master's name; there has to be one.
    pub(crate) fn leader(&self) -> String {
        self.try_leader().expect("no master leads")
    }

    /// The leadership's term.
    pub(crate) fn term(&self) -> u64 {
        self.status().and_then(|status| status["term"].as_u64()).expect("no master tells the term")
    }

    /// How many masters are in good health.
    pub(crate) fn healthy(&self) -> usize {
        let status = self.status().unwrap_or_default();
        let members = status["members"].as_array().map_or(&[][..], Vec::as_slice);
        members.iter().filter(|member| member["healthy"] == true).count()
    }

    /// Sends a signal to a master's process.
    pub(crate) fn signal_master(&self, name: &str, signal: &str) {
        let file = self.file();
        let master = file["masters"].as_array().unwrap().iter().find(|master| master["name"] == name).unwrap();
        let pid = master["pid"].to_string();
        assert!(run(Command::new("kill").args(["-s", signal, &pid])).status.success(), "no process {pid} of {name}");
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
/// A file of the checkout that is tested, by its path from this crate. It need not be the checkout that was compiled: a
/// target directory may be shared between several.
pub(crate) fn beside(path: &str) -> String {
    format!("{}/{path}", std::env::var("CARGO_MANIFEST_DIR").unwrap())
}

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

/// Waits until something holds that is asked for asynchronously.
pub(crate) async fn eventually_async(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
