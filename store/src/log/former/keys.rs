//! Keys of the log's database.

/// The vote.
pub(super) const VOTE: &[u8] = b"v";
/// The id up to which the log was cut off at its beginning.
pub(super) const PURGED: &[u8] = b"p";
/// A recent committed id; a hint for restarts, not synced.
pub(super) const COMMITTED: &[u8] = b"c";
/// Entries: `e`, then the index, big endian.
pub(super) const ENTRIES: &[u8] = b"e";
/// After all entries.
pub(super) const ENTRIES_END: &[u8] = b"f";

/// The key of entry `index`.
#[cfg(test)]
pub(super) fn entry(index: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.extend_from_slice(ENTRIES);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The index in an entry's key.
pub(super) fn index_of(key: &[u8]) -> Option<u64> {
    let index = key.strip_prefix(ENTRIES)?;
    Some(u64::from_be_bytes(index.try_into().ok()?))
}
