//! Damage in a write-ahead log that RocksDB would take for its end.
//!
//! When a record does not fit into what is left of the file, or is all zeros, RocksDB takes it for a write that a crash cut
//! off, and forgets what comes after it in the block. That is right for the last write only. Here every write is synced
//! before the next one begins, so a record that begins a write proves that everything before it had been on disk: damage
//! before it is a loss, and has to be refused.

use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Records do not cross its boundaries.
const BLOCK: usize = 32 << 10;
/// Checksum (4 bytes), length (2), kind (1).
const HEADER: usize = 7;
/// A whole write, or the first piece of one.
const BEGINS: [u8; 2] = [1, 2];
/// Records of files that are used again carry more, and stale ones follow them.
const RECYCLED: std::ops::RangeInclusive<u8> = 5..=8;

/// Looks through all write-ahead logs of the database in `dir`; none is fine.
pub(super) fn check(dir: &Path, data_dir: &Path) -> Result<(), StoreError> {
    for path in files(dir) {
        let bytes = std::fs::read(&path).map_err(|error| StoreError::io(&path, &error))?;
        if let Some(offset) = damage(&bytes) {
            let detail = format!("a record at byte {offset} is damaged, and was synced: later ones follow it");
            return Err(StoreError::Corrupt { path, data_dir: data_dir.to_path_buf(), detail });
        }
    }
    Ok(())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

/// The offset of the first record that is damaged although it was complete once.
fn damage(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at + HEADER <= bytes.len() {
        if filler(at) > 0 {
            at += filler(at);
            continue;
        }
        if RECYCLED.contains(&bytes[at + HEADER - 1]) {
            return None;
        }
        match record(bytes, at) {
            Some(end) => at = end,
            None => return was_complete(bytes, at).then_some(at),
        }
    }
    None
}

/// Bytes that are left of the block at `at` if no record fits into them: zeros, which belong to the next record's write.
fn filler(at: usize) -> usize {
    let left = BLOCK - at % BLOCK;
    if left < HEADER { left } else { 0 }
}

/// The end of the record at `at`, if it is whole.
fn record(bytes: &[u8], at: usize) -> Option<usize> {
    let header = bytes.get(at..at + HEADER)?;
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let end = at + HEADER + length;
    let fits = end <= at - at % BLOCK + BLOCK;
    // The kind and what follows are what the checksum is of.
    let content = bytes.get(at + HEADER - 1..end).filter(|_| fits)?;
    (stored_checksum(header) == masked(crc32c::crc32c(content))).then_some(end)
}

fn stored_checksum(header: &[u8]) -> u32 {
    u32::from_le_bytes([header[0], header[1], header[2], header[3]])
}

/// RocksDB's disguise for checksums of data that holds checksums.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Whether a later write follows the bad record at `bad`, or only its length is wrong.
fn was_complete(bytes: &[u8], bad: usize) -> bool {
    let begins = |at: &usize| bytes.get(at + HEADER - 1).is_some_and(|kind| BEGINS.contains(kind));
    let room = |at: &usize| filler(*at) == 0;
    // A write of nothing does not exist; zeros would look like one.
    let later = (bad + 1..bytes.len()).filter(begins).filter(room);
    later.into_iter().any(|at| record(bytes, at).is_some_and(|end| end > at + HEADER))
        || fits_with_another_length(bytes, bad)
}

fn fits_with_another_length(bytes: &[u8], at: usize) -> bool {
    let Some(header) = bytes.get(at..at + HEADER) else {
        return false;
    };
    let end = bytes.len().min(at - at % BLOCK + BLOCK);
    let mut crc = crc32c::crc32c(&header[HEADER - 1..]);
    bytes[at + HEADER..end].iter().any(|byte| {
        crc = crc32c::crc32c_append(crc, &[*byte]);
        masked(crc) == stored_checksum(header)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Vec<u8>, kind: u8, content: &[u8]) {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), content);
        log.extend_from_slice(&masked(crc).to_le_bytes());
        log.extend_from_slice(&u16::try_from(content.len()).unwrap().to_le_bytes());
        log.push(kind);
        log.extend_from_slice(content);
    }

    fn three() -> Vec<u8> {
        let mut log = Vec::new();
        (0..3).for_each(|number| append(&mut log, 1, &[number + 40; 30]));
        log
    }

    #[test]
    fn a_whole_log_and_one_with_a_torn_end_pass() {
        let log = three();
        for length in 0..=log.len() {
            assert_eq!(damage(&log[..length]), None, "{length}");
        }
        assert_eq!(damage(&[&log[..], &[0; 100]].concat()), None);
    }

    #[test]
    fn any_changed_byte_before_the_last_record_is_found() {
        let log = three();
        for at in 0..2 * 37 {
            let mut spoilt = log.clone();
            spoilt[at] ^= 0x5a;
            assert_eq!(damage(&spoilt), Some(at / 37 * 37), "{at}");
        }
        let mut zeroed = log.clone();
        zeroed[10..60].fill(0);
        assert_eq!(damage(&zeroed), Some(0));
    }

    #[test]
    fn a_wrong_length_of_the_last_record_is_found() {
        let mut log = three();
        log[2 * 37 + 4] = 200;
        assert_eq!(damage(&log), Some(2 * 37));
    }

    #[test]
    fn the_pieces_of_a_torn_write_prove_nothing() {
        let mut log = three();
        let torn = log.len();
        append(&mut log, 2, &[1; 50]);
        append(&mut log, 3, &[2; 50]);
        append(&mut log, 4, &[3; 50]);
        log[torn + 20] ^= 1;
        assert_eq!(damage(&log), None);
    }

    /// Why this is here.
    #[test]
    fn rocksdb_alone_takes_a_wrong_length_for_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let db = rocksdb::DB::open_default(dir).unwrap();
        (0..20u32).for_each(|number| db.put(number.to_be_bytes(), [7; 100]).unwrap());
        drop(db);
        let path = files(dir).pop().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let mut at = 0;
        (0..5).for_each(|_| at = record(&bytes, at).unwrap());
        bytes[at + 5] = 0x40;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(damage(&bytes), Some(at));
        let mut options = rocksdb::Options::default();
        options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
        let db = rocksdb::DB::open(&options, dir).unwrap();
        assert_eq!(db.get(19u32.to_be_bytes()).unwrap(), None);
    }

    #[test]
    fn what_rocksdb_writes_is_read_and_its_blocks_too() {
        let temp = tempfile::tempdir().unwrap();
        let db = rocksdb::DB::open_default(temp.path()).unwrap();
        (0..400u32).for_each(|number| db.put(number.to_be_bytes(), vec![7; 1000]).unwrap());
        let path = files(temp.path()).pop().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > 10 * BLOCK);
        assert_eq!(damage(&bytes), None);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(damage(&bytes).is_some_and(|at| at <= middle && at + 2000 > middle));
    }
}
