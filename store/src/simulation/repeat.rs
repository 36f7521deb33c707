//! A seed in a process of its own, whose random numbers repeat: those that libraries draw from the operating system come
//! from a small library that is preloaded, and counters of the process begin anew.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCE: &str = include_str!("random.c");

/// What the run of one seed printed: a line about it, and each violation.
pub(super) fn run(seed: u64, bug: &str) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", "simulation::tests::one_seed", "--ignored", "--nocapture"])
        .env("MAINSTAY_SIM_SEED", seed.to_string())
        .env("MAINSTAY_SIM_BUG", bug)
        .env("LD_PRELOAD", library())
        .output()
        .expect("this program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return text;
    }
    format!("{text}  the process failed: {}\n", String::from_utf8_lossy(&output.stderr))
}

/// Built once, with the C compiler that has built RocksDB.
fn library() -> PathBuf {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (source, library) = (dir.path().join("random.c"), dir.path().join("random.so"));
        std::fs::write(&source, SOURCE).expect("a file in a temporary directory");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
        assert!(built.expect("cc runs").success(), "cc");
        dir
    });
    dir.path().join("random.so")
}
