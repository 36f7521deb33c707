//! How every fault is put right, also when the harness itself is killed: what has to be done is written to a journal
//! before the fault begins. A run puts its own faults right; what a dead one left, the next run or `mainstay chaos undo`
//! plays back, the newest first.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::process::Known;
use crate::tool::run;
use crate::{clocks, mounts};

/// The nftables table of all network faults.
pub(crate) const TABLE: &str = "mainstay_chaos";

/// One thing to put right. Playing it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "kebab-case")]
pub enum Undo {
    /// A process that was stopped goes on.
    Resume {
        /// Which.
        process: Known,
    },
    /// A helper of the harness ends.
    End {
        /// Which.
        process: Known,
    },
    /// A file goes away: ballast on a disk, or a word to the cluster's supervisor.
    Remove {
        /// Which.
        file: PathBuf,
    },
    /// A clock is right again.
    Clock {
        /// Where it is written how wrong it is.
        file: PathBuf,
    },
    /// The rules of network faults go.
    Rules {
        /// The network namespace in which they are.
        netns: String,
    },
    /// A file system that was frozen takes writes again.
    Thaw {
        /// Where it is mounted.
        mount: PathBuf,
    },
    /// A file system goes.
    Unmount {
        /// Where it is mounted.
        mount: PathBuf,
    },
    /// A file system that has failed is mounted anew.
    Remount {
        /// The file that holds it.
        image: PathBuf,
        /// Where it is mounted.
        mount: PathBuf,
    },
    /// A cluster that was started for a run goes.
    Down {
        /// The program that started it.
        binary: PathBuf,
        /// Its folder.
        dir: PathBuf,
    },
}

impl Undo {
    /// Puts it right.
    ///
    /// # Errors
    /// When that fails; what is right already is none.
    pub fn play(&self) -> Result<()> {
        match self {
            Undo::Resume { process } => process.signal(Signal::SIGCONT).context("resuming a process"),
            Undo::End { process } => process.signal(Signal::SIGKILL).context("ending a helper"),
            Undo::Remove { file } => match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("removing {}", file.display()))
                }
                _ => Ok(()),
            },
            Undo::Clock { file } if file.exists() => clocks::set(file, 0),
            Undo::Clock { .. } => Ok(()),
            Undo::Rules { netns } => remove_rules(netns),
            Undo::Thaw { mount } => mounts::thaw(mount),
            Undo::Unmount { mount } => mounts::unmount(mount),
            Undo::Remount { image, mount } => mounts::remount(image, mount),
            Undo::Down { binary, dir } if dir.join("cluster.json").exists() => {
                run(Command::new(binary).args(["down", "--dir"]).arg(dir))
            }
            Undo::Down { .. } => Ok(()),
        }
    }
}

/// The namespace may be gone, and the table with it.
fn remove_rules(netns: &str) -> Result<()> {
    let place = Path::new("/run/netns").join(netns);
    if !place.exists() {
        return Ok(());
    }
    // To add it first makes the deletion succeed in any case.
    let table = format!("add table inet {TABLE}; delete table inet {TABLE};");
    run(Command::new("nsenter").arg(format!("--net={}", place.display())).args(["nft", &table]))
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Done { done: u64 },
    Begun { number: u64, undo: Undo },
}

/// What this run has to put right, on disk.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: std::fs::File,
    next: u64,
    open: u64,
}

impl Journal {
    /// Begins this run's journal.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin() -> Result<Arc<Self>> {
        Self::begin_in(&folder())
    }

    fn begin_in(folder: &Path) -> Result<Arc<Self>> {
        let own = Known::own().context("this process is not in /proc")?;
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{}-{}.jsonl", own.pid, own.started));
        let file = std::fs::File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        Ok(Arc::new(Self { path, state: Mutex::new(State { file, next: 0, open: 0 }) }))
    }

    /// Notes what has to be put right, before it is broken.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn before(self: &Arc<Self>, undo: Undo) -> Result<Guard> {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.write(&Line::Begun { number, undo: undo.clone() })?;
        state.open += 1;
        Ok(Guard { journal: self.clone(), number, undo: Some(undo) })
    }

    fn done(&self, number: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.open -= 1;
        state.write(&Line::Done { done: number })
    }
}

impl State {
    fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text).context("writing the journal of faults")
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.state.lock().open == 0
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the journal stays");
        }
    }
}

/// Puts one thing right when it is told to, or goes out of scope.
#[derive(Debug)]
#[must_use = "what is dropped is put right at once"]
pub struct Guard {
    journal: Arc<Journal>,
    number: u64,
    undo: Option<Undo>,
}

impl Guard {
    /// Puts it right. What fails stays in the journal.
    ///
    /// # Errors
    /// When that fails.
    pub fn undo(&mut self) -> Result<()> {
        match &self.undo {
            Some(undo) => undo.play()?,
            None => return Ok(()),
        }
        self.undo = None;
        self.journal.done(self.number)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            tracing::error!(error = format!("{error:#}"), "a fault is not undone; try: mainstay chaos undo");
        }
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join("mainstay-chaos")
}

/// Puts right what dead runs left; says in words what that was.
///
/// # Errors
/// When a journal cannot be read or something cannot be put right; the rest is done all the same, and what failed is
/// tried again next time.
pub fn play_back() -> Result<Vec<String>> {
    play_back_in(&folder())
}

fn play_back_in(folder: &Path) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(done),
        other => other.with_context(|| format!("reading {}", folder.display()))?,
    };
    let mut failure = None;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_of_a_dead_run(path)) {
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut whole = true;
        for undo in left(&text) {
            match undo.play() {
                Ok(()) => done.push(serde_json::to_string(&undo)?),
                Err(error) => {
                    whole = false;
                    failure = Some(error);
                }
            }
        }
        if whole {
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    failure.map_or(Ok(done), Err)
}

fn is_of_a_dead_run(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
    let known = name.and_then(|(pid, started)| Some(Known { pid: pid.parse().ok()?, started: started.parse().ok()? }));
    known.is_some_and(|known| !known.is_alive())
}

/// What a journal begins and does not end, the newest first. A last line that is torn was never acted on.
fn left(text: &str) -> Vec<Undo> {
    let mut open = std::collections::BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match line {
            Line::Begun { number, undo } => drop(open.insert(number, undo)),
            Line::Done { done } => drop(open.remove(&done)),
        }
    }
    open.into_values().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remove(dir: &Path, name: &str) -> Undo {
        let file = dir.join(name);
        std::fs::write(&file, "x").unwrap();
        Undo::Remove { file }
    }

    #[test]
    fn a_run_undoes_its_faults_also_when_it_forgets_to() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("journal");
        let journal = Journal::begin_in(&folder).unwrap();
        let mut told = journal.before(remove(dir.path(), "a")).unwrap();
        told.undo().unwrap();
        told.undo().unwrap();
        drop(journal.before(remove(dir.path(), "b")).unwrap());
        assert!(!dir.path().join("a").exists() && !dir.path().join("b").exists());
        drop((told, journal));
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "an empty journal goes");
    }

    #[test]
    fn what_a_dead_run_left_is_played_back_and_a_living_one_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("journal");
        let journal = Journal::begin_in(&folder).unwrap();
        let guard = journal.before(remove(dir.path(), "left")).unwrap();
        assert_eq!(play_back_in(&folder).unwrap(), Vec::<String>::new());
        std::mem::forget(guard);
        // As if this process had been another one that is dead by now.
        std::fs::rename(&journal.path, folder.join("1999999999-1.jsonl")).unwrap();
        assert_eq!(play_back_in(&folder).unwrap().len(), 1);
        assert!(!dir.path().join("left").exists());
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn the_newest_is_undone_first_and_a_torn_line_is_no_obstacle() {
        let line = |number, netns: &str| {
            serde_json::to_string(&Line::Begun { number, undo: Undo::Rules { netns: netns.into() } }).unwrap()
        };
        let text = format!("{}\n{}\n{{\"done\":0}}\n{}\n{{\"num", line(0, "a"), line(1, "b"), line(2, "c"));
        assert_eq!(left(&text), [Undo::Rules { netns: "c".into() }, Undo::Rules { netns: "b".into() }]);
    }
}
