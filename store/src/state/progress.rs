//! How far the state has come, as the database remembers it.

use super::keys;
use crate::raft_types::{LogId, StoredMembership, log_id};
use crate::types::Revision;

/// How far the state has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) applied: Option<LogId>,
    pub(crate) revision: Revision,
    /// Over everything applied; see [`super::apply::Applier`].
    pub(crate) checksum: u32,
    pub(crate) membership: StoredMembership,
}

impl Progress {
    /// What [`encode_applied`] made; without the membership, which has a record of its own.
    pub(super) fn decode_applied(bytes: &[u8]) -> Option<Self> {
        let term = keys::number(bytes.get(..8)?)?;
        let next = keys::number(bytes.get(8..16)?)?;
        let revision = Revision(keys::number(bytes.get(16..24)?)?);
        let checksum = u32::from_be_bytes(bytes.get(24..28)?.try_into().ok()?);
        let applied = next.checked_sub(1).map(|index| log_id(term, index));
        Some(Self { applied, revision, checksum, membership: StoredMembership::default() })
    }
}

/// The record of what has been applied: term, index + 1 (0: nothing), revision, checksum.
pub(super) fn encode_applied(applied: Option<LogId>, revision: Revision, checksum: u32) -> [u8; 28] {
    let (term, next) = applied.map_or((0, 0), |id| (id.committed_leader_id().term, id.index + 1));
    let mut bytes = [0; 28];
    bytes[..8].copy_from_slice(&term.to_be_bytes());
    bytes[8..16].copy_from_slice(&next.to_be_bytes());
    bytes[16..24].copy_from_slice(&revision.0.to_be_bytes());
    bytes[24..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}
