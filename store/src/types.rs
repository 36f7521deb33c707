//! The words of the store's interface: revisions, terms, transactions, events.

use bytes::Bytes;

/// A point in the store's history. Every transaction that changes something gets the next one; 0 is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Revision(pub u64);

/// A Raft term: one leader at the most acts in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Term(pub u64);

/// What must hold when a transaction is applied; all of its guards, or nothing happens.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Guard {
    /// No value under this key.
    Absent(Bytes),
    /// Some value under this key.
    Present(Bytes),
    /// The key's last change is this revision.
    At(Bytes, Revision),
    /// The entry is applied in the term in which it was proposed by a leader of this term.
    InTerm(Term),
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Op {
    /// Set a value. With `splice`, the decimal digits of the transaction's revision are inserted at that byte
    /// offset of the value when it is applied (that is how `metadata.resourceVersion` comes to be).
    Put {
        /// Where.
        key: Bytes,
        /// What, without the revision.
        value: Bytes,
        /// Offset at which the revision's digits go.
        splice: Option<u32>,
    },
    /// Remove a value. `last` is what watchers get as the deleted state (spliced likewise); the stored value if `None`.
    Delete {
        /// Where.
        key: Bytes,
        /// The last state to show to watchers.
        last: Option<(Bytes, Option<u32>)>,
    },
}

/// Guards and changes, all or nothing, under one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Txn {
    /// What must hold.
    pub guards: Vec<Guard>,
    /// What is done.
    pub ops: Vec<Op>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TxnOutcome {
    /// Done under this revision.
    Committed(Revision),
    /// Guard number `guard` did not hold; `found` is the revision of its key then (`None`: absent, or a term guard).
    Refused {
        /// Index into [`Txn::guards`].
        guard: u32,
        /// What was there.
        found: Option<Revision>,
    },
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Bytes,
    /// The bytes, revision spliced in.
    pub value: Bytes,
    /// When the key was made.
    pub created: Revision,
    /// When it last changed.
    pub modified: Revision,
}

/// One change as watchers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The transaction's revision.
    pub revision: Revision,
    /// The key.
    pub key: Bytes,
    /// The state after it; of a deletion the last state.
    pub value: Bytes,
    /// The state before, if there was one.
    pub previous: Option<Bytes>,
    /// What kind of change.
    pub kind: EventKind,
}

/// What a change did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The key was absent before.
    Created,
    /// The key had a value before.
    Updated,
    /// The key is gone.
    Deleted,
}

/// How fresh a read has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Sees every write acknowledged before the read began (read index, or the leader's lease).
    Consistent,
    /// What this master has applied.
    Local,
    /// Waits until this master has applied at least this revision.
    AtLeast(Revision),
    /// The state exactly at this revision, from kept history.
    Exactly(Revision),
}
