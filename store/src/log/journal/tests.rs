//! What a crash may leave of a journal, and what it must not.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use openraft::EntryPayload;
use tempfile::TempDir;

use super::*;
use crate::raft_types::{Command, log_id};

const SEGMENT: usize = tail::BLOCK;

fn entry(index: u64, length: usize) -> RaftEntry {
    RaftEntry { log_id: log_id(1, index), payload: EntryPayload::Normal(Command(vec![9; length].into())) }
}

fn open_with(dir: &Path, segment: usize) -> Result<(Journal, Option<LogId>), StoreError> {
    Journal::open(dir, dir, segment, Making::Inline)
}

fn open(dir: &Path) -> Result<(Journal, Option<LogId>), StoreError> {
    open_with(dir, SEGMENT)
}

fn append(journal: &mut Journal, index: u64, length: usize) {
    journal.entry(&entry(index, length)).unwrap();
    journal.write().unwrap();
}

/// The indexes that are there, each read from disk.
fn indexes(journal: &Journal) -> Vec<u64> {
    let range = journal.contents().lock().range();
    let entries = read(journal.contents(), range.clone(), usize::MAX).unwrap();
    assert_eq!(entries.len() as u64, range.end - range.start);
    entries.iter().map(|entry| entry.log_id.index).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::numbers(dir).unwrap().into_iter().map(|number| segment::place(dir, number)).collect()
}

#[test]
fn entries_marks_and_cuts_survive_a_start() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    (0..10).for_each(|index| append(&mut journal, index, 800));
    journal.vote(Vote::new(4, 2)).unwrap();
    journal.truncate(8).unwrap();
    journal.purge(log_id(1, 2)).unwrap();
    journal.committed(log_id(1, 6)).unwrap();
    journal.write().unwrap();
    let marks = journal.contents().lock().marks().clone();
    drop(journal);
    let (journal, last) = open(temp.path()).unwrap();
    assert_eq!(last, Some(log_id(1, 7)));
    assert_eq!(indexes(&journal), [3, 4, 5, 6, 7]);
    assert_eq!(*journal.contents().lock().marks(), marks);
}

#[test]
fn segments_that_are_cut_off_are_used_again() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    for index in 0..200 {
        append(&mut journal, index, 800);
        if index % 10 == 9 {
            journal.purge(log_id(1, index - 5)).unwrap();
            journal.write().unwrap();
        }
    }
    let files = segments(temp.path());
    assert!(files.len() < 12, "{files:?}");
    assert!(files.iter().all(|path| fs::metadata(path).unwrap().len() == SEGMENT as u64));
    drop(journal);
    let (mut journal, _) = open(temp.path()).unwrap();
    assert_eq!(indexes(&journal), (195..200).collect::<Vec<_>>());
    (200..220).for_each(|index| append(&mut journal, index, 800));
    drop(journal);
    assert_eq!(indexes(&open(temp.path()).unwrap().0), (195..220).collect::<Vec<_>>());
}

#[test]
fn an_entry_larger_than_a_segment_has_one_of_its_own_size() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    append(&mut journal, 0, 400);
    append(&mut journal, 1, 5 * SEGMENT);
    append(&mut journal, 2, 400);
    drop(journal);
    let (mut journal, _) = open(temp.path()).unwrap();
    assert_eq!(indexes(&journal), [0, 1, 2]);
    journal.purge(log_id(1, 2)).unwrap();
    journal.write().unwrap();
    (3..40).for_each(|index| append(&mut journal, index, 1200));
    assert!(segments(temp.path()).iter().all(|path| fs::metadata(path).unwrap().len() == SEGMENT as u64));
}

/// A journal with `whole` acknowledged entries, and of one more only what `keep` makes of the bytes of its frame.
fn torn(whole: u64, length: usize, keep: impl Fn(&mut [u8])) -> TempDir {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    (0..whole).for_each(|index| append(&mut journal, index, length));
    let (before, at) = (journal.active.number, journal.at);
    append(&mut journal, whole, length);
    let at = if journal.active.number == before { at } else { journal.begun };
    let path = journal.active.path.clone();
    let mut bytes = fs::read(&path).unwrap();
    keep(&mut bytes[at..journal.at]);
    fs::write(path, bytes).unwrap();
    temp
}

#[test]
fn a_write_cut_off_anywhere_is_dropped_and_written_over() {
    for whole in 0..8 {
        for kept in (0..820).step_by(23) {
            let temp = torn(whole, 800, |frame| frame[kept..].fill(0));
            let (mut journal, last) = open(temp.path()).unwrap();
            assert_eq!(last.map(|id| id.index + 1).unwrap_or(0), whole, "{kept} bytes kept");
            // Another length, and one that needs another segment.
            append(&mut journal, whole, 30);
            append(&mut journal, whole + 1, 2800);
            drop(journal);
            assert_eq!(indexes(&open(temp.path()).unwrap().0), (0..whole + 2).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_write_whose_end_came_to_the_disk_first_is_dropped() {
    for lost in (1..820).step_by(23) {
        let temp = torn(3, 800, |frame| frame[..lost].fill(0));
        let (journal, last) = open(temp.path()).unwrap();
        assert_eq!(last, Some(log_id(1, 2)), "{lost} bytes lost");
        drop(journal);
    }
}

/// Spoils the bytes of the active segment from `at` on.
fn spoil(journal: Journal, at: usize, what: impl Fn(&mut [u8])) {
    let path = journal.active.path.clone();
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    what(&mut bytes[at..]);
    fs::write(path, bytes).unwrap();
}

#[test]
fn pieces_of_a_torn_write_behind_a_shorter_one_are_nothing() {
    const LARGE: usize = 8 * SEGMENT;
    for lost in 0..4 {
        let temp = TempDir::new().unwrap();
        let (mut journal, _) = open_with(temp.path(), LARGE).unwrap();
        append(&mut journal, 0, 100);
        let begun = journal.at;
        append(&mut journal, 1, 4 * SEGMENT);
        // One of its sectors did not come to the disk.
        spoil(journal, begun.next_multiple_of(512) + lost * SEGMENT, |rest| rest[..512].fill(0));
        for index in 1..12 {
            let (mut journal, last) = open_with(temp.path(), LARGE).unwrap();
            assert_eq!(last, Some(log_id(1, index - 1)));
            append(&mut journal, index, 1000 + 37 * usize::try_from(index).unwrap());
            let at = journal.at;
            append(&mut journal, index + 1, 700);
            spoil(journal, at, |rest| rest[40] ^= 1);
        }
        assert_eq!(indexes(&open_with(temp.path(), LARGE).unwrap().0), (0..12).collect::<Vec<_>>());
    }
}

#[test]
fn what_a_segment_held_before_it_was_used_again_is_nothing() {
    const LARGE: usize = 4 * SEGMENT;
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open_with(temp.path(), LARGE).unwrap();
    let mut index = 0;
    while journal.active.number < 9 {
        append(&mut journal, index, 800);
        journal.purge(log_id(1, index.saturating_sub(3))).unwrap();
        journal.write().unwrap();
        index += 1;
    }
    let begun = journal.at;
    append(&mut journal, index, 800);
    let behind = fs::read(&journal.active.path).unwrap().split_off(journal.at.next_multiple_of(SEGMENT));
    assert!(behind.iter().any(|byte| *byte != 0), "it is as good as new");
    spoil(journal, begun, |rest| rest[..512].fill(0));
    let (mut journal, last) = open_with(temp.path(), LARGE).unwrap();
    assert_eq!(last, Some(log_id(1, index - 1)));
    append(&mut journal, index, 30);
    drop(journal);
    assert_eq!(open_with(temp.path(), LARGE).unwrap().1, Some(log_id(1, index)));
}

#[test]
fn a_crash_before_a_spare_segment_is_cut_to_size_does_not_matter() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    append(&mut journal, 0, 400);
    append(&mut journal, 1, 5 * SEGMENT);
    append(&mut journal, 2, 400);
    journal.purge(log_id(1, 1)).unwrap();
    journal.write().unwrap();
    let active = journal.active.number;
    drop(journal);
    fs::remove_file(segment::place(temp.path(), active - 2)).unwrap();
    fs::rename(segment::place(temp.path(), active - 1), segment::place(temp.path(), active + 1)).unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    (3..20).for_each(|index| append(&mut journal, index, 1200));
    drop(journal);
    assert_eq!(indexes(&open(temp.path()).unwrap().0), (2..20).collect::<Vec<_>>());
}

#[test]
fn what_does_not_follow_is_not_written() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    (0..3).for_each(|index| append(&mut journal, index, 10));
    journal.entry(&entry(5, 10)).unwrap();
    assert_eq!(journal.write().unwrap_err().to_string(), "entry 5 is there where 3 should be");
    drop(journal);
    assert_eq!(indexes(&open(temp.path()).unwrap().0), [0, 1, 2]);
}

#[test]
fn after_something_could_not_be_added_nothing_is_written() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    journal.entry(&entry(0, 10)).unwrap();
    journal.give_up();
    journal.entry(&entry(1, 10)).unwrap();
    assert!(journal.write().is_err());
    drop(journal);
    assert_eq!(open(temp.path()).unwrap().1, None);
}

#[test]
fn a_first_write_that_was_cut_off_leaves_a_new_journal() {
    let temp = TempDir::new().unwrap();
    drop(open(temp.path()).unwrap());
    let path = &segments(temp.path())[0];
    fs::write(path, vec![0; SEGMENT]).unwrap();
    let (mut journal, last) = open(temp.path()).unwrap();
    assert_eq!(last, None);
    append(&mut journal, 0, 10);
}

#[test]
fn a_lost_write_before_the_last_is_refused_also_at_the_end_of_a_segment() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    (0..12).for_each(|index| append(&mut journal, index, 800));
    drop(journal);
    let files = segments(temp.path());
    for path in &files[..files.len() - 1] {
        let bytes = fs::read(path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let mut spoilt = bytes.clone();
        spoilt[end - 10] ^= 1;
        fs::write(path, spoilt).unwrap();
        let error = open(temp.path()).err().expect("damage is noticed");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_directory_is_open_once() {
    let temp = TempDir::new().unwrap();
    let (journal, _) = open(temp.path()).unwrap();
    assert!(matches!(open(temp.path()), Err(StoreError::InUse { .. })));
    drop(journal);
    open(temp.path()).unwrap();
}

#[test]
fn after_a_failed_write_nothing_is_written() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    append(&mut journal, 0, 10);
    // Where it would go there is something that is no file.
    fs::create_dir(segment::place(temp.path(), 2)).unwrap();
    journal.entry(&entry(1, 2 * SEGMENT)).unwrap();
    assert!(journal.write().is_err());
    journal.entry(&entry(1, 10)).unwrap();
    assert_eq!(journal.write().unwrap_err().to_string(), "an earlier write failed");
}

#[test]
fn entries_that_were_all_in_a_missing_segment_are_missed() {
    let temp = TempDir::new().unwrap();
    let (mut journal, _) = open(temp.path()).unwrap();
    (0..3).for_each(|index| append(&mut journal, index, 100));
    journal.active = Arc::new(journal.spares.take(2).unwrap());
    journal.begin_segment().unwrap();
    drop(journal);
    fs::remove_file(segment::place(temp.path(), 1)).unwrap();
    let error = open(temp.path()).err().expect("a loss is noticed").to_string();
    assert!(error.contains("entry 0 and what follows it are missing"), "{error}");
}
