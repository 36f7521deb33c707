//! A seed in a process of its own, whose random numbers repeat: those that libraries draw from the operating system come
//! from a small library that is preloaded, and counters of the process begin anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

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

/// Built once, with the C compiler that has built RocksDB; beside this program, where the next run replaces it.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let source = dir.path().join("random.c");
        std::fs::write(&source, SOURCE).expect("a file in a temporary directory");
        let program = std::env::current_exe().expect("this program");
        let (made, library) =
            (program.with_extension(format!("{}.so", std::process::id())), program.with_extension("so"));
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).arg(&source).status();
        assert!(built.expect("cc runs").success(), "cc");
        // Others may be running with the one that there is.
        std::fs::rename(&made, &library).expect("a file beside this program");
        library
    })
}
