//! Damage anywhere in the files of a log is refused, or changes nothing.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::storage::{RaftLogReader as _, RaftLogStorage as _, RaftLogStorageExt as _};
use tempfile::TempDir;

use super::{LogStore, Writing};
use crate::error::StoreError;
use crate::raft_types::{Command, RaftEntry, Vote, log_id};

const LAST: u64 = 40;

fn entry(index: u64) -> RaftEntry {
    let payload = EntryPayload::Normal(Command(format!("entry {index} {}", "x".repeat(40)).into()));
    RaftEntry { log_id: log_id(2, index), payload }
}

fn open(dir: &Path) -> Result<LogStore, StoreError> {
    LogStore::open(&dir.join("log"), dir, 0, 1, Writing::Thread)
}

/// Entries 5 to 40 and a vote; the older ones in a table, the newer ones in the write-ahead log.
async fn written(dir: &Path) {
    let mut log = open(dir).unwrap();
    log.blocking_append((0..20).map(entry)).await.unwrap();
    log.purge(log_id(2, 4)).await.unwrap();
    log.db.flush().unwrap();
    log.save_vote(&Vote::new(2, 1)).await.unwrap();
    for index in 20..=LAST {
        log.blocking_append([entry(index)]).await.unwrap();
    }
    // The writer's thread lets go a moment later.
    let db = log.db.clone();
    drop(log);
    while Arc::strong_count(&db) > 1 {
        tokio::task::yield_now().await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Files whose content matters; the others are notes of RocksDB for people.
fn files(dir: &Path) -> Vec<PathBuf> {
    let matters = |name: &str| {
        name == "CURRENT" || name.starts_with("MANIFEST") || name.ends_with(".log") || name.ends_with(".sst")
    };
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| matters(&path.file_name().unwrap().to_string_lossy())).collect()
}

/// What is read after a start. Of the last write it cannot be told from a torn one that it had been complete.
async fn check(dir: &Path, what: &str) -> bool {
    let mut log = match open(dir) {
        Err(error) => {
            assert!(error.to_string().contains(&dir.display().to_string()), "{what}: {error} names no place");
            return false;
        }
        Ok(log) => log,
    };
    let last = log.get_log_state().await.unwrap().last_log_id.unwrap().index;
    assert!((LAST - 1..=LAST).contains(&last), "{what}: the log ends at {last}");
    let entries = log.try_get_log_entries(5..=last).await.unwrap();
    assert_eq!(entries, (5..=last).map(entry).collect::<Vec<_>>(), "{what}");
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(2, 1)), "{what}: another vote");
    true
}

#[tokio::test]
async fn damage_anywhere_is_refused_or_changes_nothing() {
    let original = TempDir::new().unwrap();
    written(original.path()).await;
    assert!(check(original.path(), "untouched").await);
    let original = {
        let temp = TempDir::new().unwrap();
        written(temp.path()).await;
        temp
    };
    let (mut refused, mut harmless) = (0, 0);
    for path in files(&original.path().join("log")) {
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len().div_ceil(60).max(1)) {
            for length in [1, 100] {
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
                if check(temp.path(), &what).await { harmless += 1 } else { refused += 1 }
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 200, "only {refused} refused, {harmless} harmless");
}

#[tokio::test]
async fn a_missing_file_is_refused_unless_it_is_all_that_came_last() {
    let original = TempDir::new().unwrap();
    written(original.path()).await;
    for path in files(&original.path().join("log")) {
        // RocksDB knows of a write-ahead log that is closed. One that is in use cannot be told from one that never was.
        if path.extension().is_some_and(|end| end == "log") {
            continue;
        }
        let temp = TempDir::new().unwrap();
        copy(&original.path().join("log"), &temp.path().join("log"));
        fs::remove_file(temp.path().join("log").join(path.file_name().unwrap())).unwrap();
        assert!(!check(temp.path(), &format!("without {}", path.display())).await, "without {}", path.display());
    }
}

#[tokio::test]
async fn a_log_as_large_as_it_gets_is_checked_in_a_moment() {
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let mut log = open(temp.path()).unwrap();
    let large = |index| {
        let payload = EntryPayload::Normal(Command(vec![7; 64 << 10].into()));
        RaftEntry { log_id: log_id(2, index), payload }
    };
    for start in (0..1_200).step_by(100) {
        log.blocking_append((start..start + 100).map(large)).await.unwrap();
    }
    let db = log.db.clone();
    drop(log);
    while Arc::strong_count(&db) > 1 {
        tokio::task::yield_now().await;
    }
    drop(db);
    let began = std::time::Instant::now();
    open(temp.path()).unwrap();
    let opened = began.elapsed();
    println!("75 MiB of log opened and checked in {} ms", opened.as_millis());
    assert!(opened < std::time::Duration::from_secs(10), "{opened:?}");
}
