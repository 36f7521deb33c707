//! Processes that outlive whoever started them, known by pid and start time, so that a reused pid is never hit.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process as it is remembered in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Process id; 0 for none.
    pub(crate) pid: i32,
    /// Its start, in clock ticks since boot.
    #[serde(default)]
    pub(crate) started: u64,
}

impl Remembered {
    /// The process with this id, as it is now.
    pub(crate) fn of(pid: u32) -> Self {
        let pid = i32::try_from(pid).unwrap_or(0);
        Self { pid, started: stat(pid).map_or(0, |(_, started)| started) }
    }

    /// Whether it still runs (a zombie does not).
    pub(crate) fn is_alive(self) -> bool {
        self.pid > 1
            && stat(self.pid).is_some_and(|(state, started)| state != 'Z' && state != 'X' && started == self.started)
    }

    /// Sends a signal if it still runs.
    pub(crate) fn signal(self, signal: Signal) {
        if self.is_alive()
            && let Err(error) = kill(Pid::from_raw(self.pid), signal)
        {
            tracing::debug!(pid = self.pid, %error, "the signal did not arrive");
        }
    }
}

/// State and start time of a process.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(')')?.1.trim_start();
    let fields: Vec<&str> = rest.split(' ').collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// Asks all of them to end, then makes them, and returns once they are gone.
pub(crate) fn stop_all(processes: &[Remembered], patience: Duration) {
    for process in processes {
        process.signal(Signal::SIGTERM);
        // A stopped process handles its signal only once it runs again.
        process.signal(Signal::SIGCONT);
    }
    if !wait_gone(processes, patience) {
        for process in processes {
            process.signal(Signal::SIGKILL);
        }
        wait_gone(processes, Duration::from_secs(5));
    }
}

fn wait_gone(processes: &[Remembered], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while processes.iter().any(|process| process.is_alive()) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// A command line to run in the background, with its output in a file.
#[derive(Clone, Debug)]
pub(crate) struct Background {
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
    /// Where stdout and stderr go, appended.
    pub(crate) log: PathBuf,
}

impl Background {
    /// Starts it in a session of its own, so that a terminal's signals do not reach it.
    pub(crate) fn spawn(&self) -> Result<tokio::process::Child> {
        let (program, arguments) = self.command.split_first().context("an empty command line")?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log)
            .process_group(0);
        command.spawn().with_context(|| format!("cannot start {}", Path::new(program).display()))
    }

    /// The last line that it wrote, which is what went wrong when it ended early.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        line.trim_start_matches("error: ").to_owned()
    }
}
