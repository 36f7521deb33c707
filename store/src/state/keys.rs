//! Keys and fixed-size records of the state's database; [`super`] has the layout.

use bytes::Bytes;

use crate::types::Revision;

/// Current values.
pub(super) const DATA: u8 = b'd';
/// Events by revision.
pub(super) const HISTORY: u8 = b'h';
/// Revision by time.
pub(super) const TIME: u8 = b't';
/// What has been applied.
pub(super) const APPLIED: &[u8] = b"m/applied";
/// The last applied membership, as JSON.
pub(super) const MEMBERSHIP: &[u8] = b"m/membership";
/// The revision up to which history is gone.
pub(super) const FLOOR: &[u8] = b"m/floor";

/// The key under which a value lives.
pub(super) fn data(key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(DATA);
    full.extend_from_slice(key);
    full
}

/// The first key after all that begin with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    Vec::new()
}

/// The key of a block of events that ends with those of `revision`.
pub(super) fn history(revision: Revision) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(HISTORY);
    key.extend_from_slice(&revision.0.to_be_bytes());
    key
}

/// The key of the mark made at `millis` since 1970.
pub(super) fn time(millis: u64) -> Vec<u8> {
    let mut key = vec![TIME];
    key.extend_from_slice(&millis.to_be_bytes());
    key
}

/// The number in an 8-byte record.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// A value with the revisions of its making and last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) created: Revision,
    pub(crate) modified: Revision,
    pub(crate) value: Bytes,
}

/// The last change in a value's record.
pub(super) fn modified(record: &[u8]) -> Option<Revision> {
    number(record.get(8..16)?).map(Revision)
}

impl Stored {
    /// Both revisions, then the value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.value.len());
        bytes.extend_from_slice(&self.created.0.to_be_bytes());
        bytes.extend_from_slice(&self.modified.0.to_be_bytes());
        bytes.extend_from_slice(&self.value);
        bytes
    }

    /// `None` if the record is too short.
    pub(super) fn decode(bytes: Bytes) -> Option<Self> {
        let created = number(bytes.get(..8)?)?;
        let modified = number(bytes.get(8..16)?)?;
        Some(Self { created: Revision(created), modified: Revision(modified), value: bytes.slice(16..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_prefix_is_after_it_and_before_the_next() {
        assert_eq!(end_of(b"ab"), b"ac");
        assert_eq!(end_of(b"a\xff"), b"b");
        assert!(end_of(b"\xff\xff").is_empty());
    }

    #[test]
    fn records_survive() {
        let stored = Stored { created: Revision(1), modified: Revision(2), value: Bytes::from_static(b"v") };
        assert_eq!(Stored::decode(stored.encode().into()), Some(stored));
        assert_eq!(Stored::decode(Bytes::from_static(b"short")), None);
        assert_eq!(modified(b"short"), None);
    }
}
