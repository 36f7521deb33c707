//! The disk under a simulated master: slow, and cut off by crashes. The databases are real files; a crash leaves what the
//! files hold at that moment, and a loss of power what was synced of the log, with the beginning of a write after it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng;
use tokio::sync::mpsc::UnboundedReceiver;

thread_local! {
    /// Of each file of a write-ahead log, how much is synced.
    static SYNCED: RefCell<HashMap<PathBuf, u64>> = RefCell::default();
}

/// Does jobs in order, as many at once as there are, each time after a pause.
pub(crate) async fn write<T>(mut queue: UnboundedReceiver<T>, work: impl Fn(Vec<T>)) {
    while let Some(first) = queue.recv().await {
        let slow = rand::random_bool(0.02);
        let micros = rand::random_range(100..if slow { 60_000 } else { 3_000 });
        let mut jobs = vec![first];
        while let Ok(job) = queue.try_recv() {
            jobs.push(job);
        }
        tokio::time::sleep(Duration::from_micros(micros)).await;
        work(jobs);
    }
}

fn write_ahead_logs(log: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(log).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// The log's database in `dir` has just been synced.
pub(crate) fn note_synced(dir: &Path) {
    if !turmoil::in_simulation() || crate::planted::planted(crate::planted::Bug::AckBeforeSync) {
        return;
    }
    let lengths = write_ahead_logs(dir).into_iter().map(|path| (path.clone(), length(&path)));
    SYNCED.with_borrow_mut(|synced| synced.extend(lengths));
}

/// What a crash leaves of the data directory `from`, in the new directory `to`.
pub(super) fn crash(from: &Path, to: &Path, power_lost: bool, random: &mut impl Rng) {
    // A database's files may come and go while they are copied.
    while copy(from, to).is_err() {
        fs::remove_dir_all(to).ok();
    }
    if power_lost {
        lose_unsynced(&from.join("log"), &to.join("log"), random).expect("the copy's files can be written");
    }
    // What a start finds is there to stay.
    let found = write_ahead_logs(&to.join("log")).into_iter().map(|path| (path.clone(), length(&path)));
    SYNCED.with_borrow_mut(|synced| {
        synced.retain(|path, _| !path.starts_with(from));
        synced.extend(found);
    });
    fs::remove_file(to.join("log/LOCK")).ok();
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
    // What names other files goes first: those that it names appear before it does.
    entries.sort_by_key(|entry| !entry.file_name().to_string_lossy().starts_with(['C', 'M']));
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() { copy(&path, &target)? } else { fs::copy(&path, &target).map(drop)? }
    }
    Ok(())
}

fn lose_unsynced(from: &Path, to: &Path, random: &mut impl Rng) -> std::io::Result<()> {
    let mut logs = write_ahead_logs(to);
    logs.sort();
    for path in &logs {
        let original = from.join(path.file_name().unwrap_or_default());
        let synced = SYNCED.with_borrow(|synced| synced.get(&original).copied().unwrap_or(0));
        fs::OpenOptions::new().write(true).open(path)?.set_len(synced.min(length(path)))?;
    }
    let Some(last) = logs.last().filter(|_| random.random_bool(0.5)) else {
        return Ok(());
    };
    // The write that was under way had begun as an earlier one did.
    let bytes = fs::read(last)?;
    let mut torn = vec![0; crate::log::filler(bytes.len())];
    torn.extend_from_slice(&bytes[..bytes.len().min(15)]);
    torn.truncate(random.random_range(0..=torn.len()));
    fs::OpenOptions::new().append(true).open(last)?.write_all(&torn)
}
