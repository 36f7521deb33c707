//! The disk under a simulated master: slow, and cut off by crashes. The databases are real files; a crash leaves what the
//! files hold at that moment, and a loss of power what was synced of the log, with the beginning of a write after it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng;
use tokio::sync::mpsc::UnboundedReceiver;

/// How far a file of a log was written, and how much of that is synced.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    written: usize,
    synced: usize,
}

thread_local! {
    /// Of each file of a log.
    static EXTENTS: RefCell<HashMap<PathBuf, Extent>> = RefCell::default();
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

fn segments(log: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(log).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "segment")).collect();
    segments.sort();
    segments
}

/// This segment of a log has just been written up to `end`, and synced or not.
pub(crate) fn note_written(segment: &Path, end: usize, synced: bool) {
    if !turmoil::in_simulation() {
        return;
    }
    EXTENTS.with_borrow_mut(|extents| {
        let extent = extents.entry(segment.to_path_buf()).or_default();
        extent.written = end;
        if synced {
            extent.synced = end;
        }
    });
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
    EXTENTS.with_borrow_mut(|extents| extents.retain(|path, _| !path.starts_with(from)));
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

/// Zeros where nothing was synced, or the beginning of a write that was under way. What lies behind that stays: a segment
/// that is used again holds what it was.
fn lose_unsynced(from: &Path, to: &Path, random: &mut impl Rng) -> std::io::Result<()> {
    for path in segments(to) {
        let original = from.join(path.file_name().unwrap_or_default());
        let Some(extent) = EXTENTS.with_borrow(|extents| extents.get(&original).copied()) else { continue };
        let mut bytes = fs::read(&path)?;
        let lost = extent.synced.min(bytes.len());
        let torn = bytes.len().min(lost + random.random_range(0..100)) - lost;
        let kept = if random.random_bool(0.5) { torn } else { 0 };
        let written = extent.written.clamp(lost + kept, bytes.len());
        bytes[lost + kept..written].fill(0);
        // Of a write that had begun, what had come to the disk; any other one looks like it.
        if kept > 0 && bytes[lost..lost + kept].iter().all(|byte| *byte == 0) {
            bytes.copy_within(..kept.min(lost), lost);
        }
        fs::write(&path, bytes)?;
    }
    Ok(())
}
