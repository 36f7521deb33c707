//! Processes that are remembered by id and start, so that a reused id is never hit.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process as it is remembered in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Known {
    /// Its id.
    pub pid: i32,
    /// Its start, in clock ticks since boot.
    pub started: u64,
}

impl Known {
    /// The process that has this id now; `None` if there is none.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        (pid > 1).then(|| started(pid).map(|started| Self { pid, started })).flatten()
    }

    /// This process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Sends a signal, if it still runs.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(self, signal: Signal) -> Result<(), Errno> {
        match self.is_alive() {
            true => kill(Pid::from_raw(self.pid), signal).or_else(|error| match error {
                Errno::ESRCH => Ok(()),
                other => Err(other),
            }),
            false => Ok(()),
        }
    }
}

/// When a process that is no zombie started.
fn started(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let gone = matches!(*fields.first()?, "Z" | "X");
    (!gone).then(|| fields.get(19)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_id_and_its_start() {
        let own = Known::own().unwrap();
        assert!(own.is_alive());
        assert!(!Known { started: own.started + 1, ..own }.is_alive());
        assert_eq!(Known::of(0), None);
    }
}
