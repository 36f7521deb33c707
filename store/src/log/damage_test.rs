//! Damage anywhere in the files of a log is refused, or changes nothing.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use openraft::EntryPayload;
use openraft::storage::{RaftLogReader as _, RaftLogStorage as _, RaftLogStorageExt as _};
use tempfile::TempDir;

use super::{LogStore, Sizes, Writing};
use crate::error::StoreError;
use crate::raft_types::{Command, RaftEntry, Vote, log_id};

const LAST: u64 = 40;

fn entry(index: u64) -> RaftEntry {
    let payload = EntryPayload::Normal(Command(format!("entry {index} {}", "x".repeat(250)).into()));
    RaftEntry { log_id: log_id(2, index), payload }
}

/// Small enough for the entries to fill several.
const SEGMENT: usize = 4 << 10;

fn open_with(dir: &Path, segment: usize) -> Result<LogStore, StoreError> {
    LogStore::open(&dir.join("log"), dir, Sizes { cache: 0, segment }, 1, Writing::Thread)
}

fn open(dir: &Path) -> Result<LogStore, StoreError> {
    open_with(dir, SEGMENT)
}

/// Waits until the log's threads are done with it.
async fn close(log: LogStore, dir: &Path) {
    drop(log);
    let lock = fs::File::open(dir.join("log/lock")).unwrap();
    while lock.try_lock().is_err() {
        tokio::task::yield_now().await;
    }
}

/// Entries 5 to 40 and a vote, over several segments, the first of them used a second time.
async fn written(dir: &Path) {
    let mut log = open(dir).unwrap();
    log.blocking_append((0..10).map(entry)).await.unwrap();
    log.blocking_append((10..20).map(entry)).await.unwrap();
    log.purge(log_id(2, 4)).await.unwrap();
    log.save_vote(&Vote::new(2, 1)).await.unwrap();
    for index in 20..=LAST {
        log.blocking_append([entry(index)]).await.unwrap();
    }
    close(log, dir).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// The segments, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "segment")).collect();
    segments.sort();
    segments
}

/// What is read after a start. Of the last `lost` writes it cannot be told from torn ones that they had been complete.
async fn check(dir: &Path, lost: u64, what: &str) -> bool {
    let mut log = match open(dir) {
        Err(error) => {
            assert!(error.to_string().contains(&dir.display().to_string()), "{what}: {error} names no place");
            return false;
        }
        Ok(log) => log,
    };
    let last = log.get_log_state().await.unwrap().last_log_id.unwrap().index;
    assert!((LAST - lost..=LAST).contains(&last), "{what}: the log ends at {last}");
    let entries = log.try_get_log_entries(5..=last).await.unwrap();
    assert_eq!(entries, (5..=last).map(entry).collect::<Vec<_>>(), "{what}");
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(2, 1)), "{what}: another vote");
    close(log, dir).await;
    true
}

#[tokio::test]
async fn damage_anywhere_is_refused_or_changes_nothing() {
    let original = TempDir::new().unwrap();
    written(original.path()).await;
    let original_files = files(&original.path().join("log"));
    assert!(original_files.len() > 4, "{original_files:?}");
    let (mut refused, mut harmless) = (0, 0);
    for path in original_files {
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(101) {
            // A hundred bytes may be of two writes.
            for (length, lost) in [(1, 1), (100, 2)] {
                let mut spoilt = bytes.clone();
                let end = (at + length).min(bytes.len());
                if length == 1 {
                    spoilt[at] ^= 0x5a
                } else {
                    spoilt[at..end].fill(0)
                }
                let temp = TempDir::new().unwrap();
                copy(&original.path().join("log"), &temp.path().join("log"));
                fs::write(temp.path().join("log").join(path.file_name().unwrap()), spoilt).unwrap();
                let what = format!("{length} bytes at {at} of {}", path.display());
                if check(temp.path(), lost, &what).await { harmless += 1 } else { refused += 1 }
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 200, "only {refused} refused, {harmless} harmless");
}

#[tokio::test]
async fn a_missing_segment_is_refused_unless_it_is_the_spare_one() {
    let original = TempDir::new().unwrap();
    written(original.path()).await;
    let files = files(&original.path().join("log"));
    let (_spare, used) = files.split_last().unwrap();
    for path in used {
        let temp = TempDir::new().unwrap();
        copy(&original.path().join("log"), &temp.path().join("log"));
        fs::remove_file(temp.path().join("log").join(path.file_name().unwrap())).unwrap();
        assert!(!check(temp.path(), 0, &format!("without {}", path.display())).await, "without {}", path.display());
    }
}

#[tokio::test]
async fn a_log_as_large_as_it_gets_is_checked_in_a_moment() {
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let mut log = open_with(temp.path(), 4 << 20).unwrap();
    let large = |index| {
        let payload = EntryPayload::Normal(Command(vec![7; 64 << 10].into()));
        RaftEntry { log_id: log_id(2, index), payload }
    };
    for start in (0..1_200).step_by(100) {
        log.blocking_append((start..start + 100).map(large)).await.unwrap();
    }
    close(log, temp.path()).await;
    let began = std::time::Instant::now();
    open_with(temp.path(), 4 << 20).unwrap();
    let opened = began.elapsed();
    println!("75 MiB of log opened and checked in {} ms", opened.as_millis());
    assert!(opened < std::time::Duration::from_secs(10), "{opened:?}");
}
