//! What a transaction does, given what is stored. Pure: no clock, no randomness, no order but the log's; every master
//! comes to the same result.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::keys::Stored;
use crate::types::{Event, EventKind, Guard, Op, Revision, Term, Txn, TxnOutcome};

/// Where current values come from.
pub(crate) trait Lookup {
    /// How a lookup fails.
    type Error;

    /// The value under a key.
    fn lookup(&self, key: &[u8]) -> Result<Option<Stored>, Self::Error>;
}

/// A change with what it replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) event: Arc<Event>,
    /// When the previous state was made and changed; meaningless without one.
    pub(crate) previous_created: Revision,
    pub(crate) previous_modified: Revision,
}

/// Applies transactions one after the other and collects what they change.
pub(crate) struct Applier<'a, L> {
    lookup: &'a L,
    revision: Revision,
    /// Values changed so far; `None`: deleted. Never iterated, so its order does not matter.
    changed: HashMap<Bytes, Option<Stored>, foldhash::fast::FixedState>,
    changes: Vec<Change>,
    /// Over all changes since the log began, in order: masters that ever applied something differently differ for good.
    checksum: u32,
}

impl<'a, L: Lookup> Applier<'a, L> {
    /// Continues after `revision`, whose checksum is `checksum`.
    pub(crate) fn new(lookup: &'a L, revision: Revision, checksum: u32) -> Self {
        Self { lookup, revision, changed: HashMap::default(), changes: Vec::new(), checksum }
    }

    /// The checksum of everything applied so far.
    pub(crate) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The revision reached.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The changes in order, and the final state of every key they touch.
    pub(crate) fn finish(self) -> (Vec<Change>, HashMap<Bytes, Option<Stored>, foldhash::fast::FixedState>) {
        (self.changes, self.changed)
    }

    /// Applies one transaction of an entry that was proposed in `term`.
    pub(crate) fn apply(&mut self, txn: Txn, term: Term) -> Result<TxnOutcome, L::Error> {
        for (position, guard) in txn.guards.iter().enumerate() {
            if let Err(found) = self.check(guard, term)? {
                let guard = u32::try_from(position).unwrap_or(u32::MAX);
                return Ok(TxnOutcome::Refused { guard, found });
            }
        }
        let revision = Revision(self.revision.0 + 1);
        let before = self.changes.len();
        for op in txn.ops {
            match op {
                Op::Put { key, value, splice } => self.put(key, &value, splice, revision)?,
                Op::Delete { key, last } => self.delete(key, last, revision)?,
            }
        }
        if self.changes.len() > before {
            self.revision = revision;
        }
        Ok(TxnOutcome::Committed(self.revision))
    }

    /// `Err` with what was found if the guard does not hold.
    fn check(&self, guard: &Guard, term: Term) -> Result<Result<(), Option<Revision>>, L::Error> {
        let (key, holds): (_, fn(Option<Revision>, Revision) -> bool) = match guard {
            Guard::InTerm(wanted) => return Ok(if *wanted == term { Ok(()) } else { Err(None) }),
            Guard::Absent(key) => (key, |found, _| found.is_none()),
            Guard::Present(key) => (key, |found, _| found.is_some()),
            Guard::At(key, _) => (key, |found, wanted| found == Some(wanted)),
        };
        let wanted = if let Guard::At(_, revision) = guard { *revision } else { Revision(0) };
        let found = self.current(key)?.map(|stored| stored.modified);
        Ok(if holds(found, wanted) { Ok(()) } else { Err(found) })
    }

    fn current(&self, key: &Bytes) -> Result<Option<Stored>, L::Error> {
        match self.changed.get(key) {
            Some(state) => Ok(state.clone()),
            None => self.lookup.lookup(key),
        }
    }

    fn put(&mut self, key: Bytes, value: &Bytes, at: Option<u32>, revision: Revision) -> Result<(), L::Error> {
        let previous = self.current(&key)?;
        let created = previous.as_ref().map_or(revision, |stored| stored.created);
        let value = splice(value, at, revision);
        let kind = if previous.is_some() { EventKind::Updated } else { EventKind::Created };
        let stored = Stored { created, modified: revision, value: value.clone() };
        self.changed.insert(key.clone(), Some(stored));
        self.record(Event { revision, key, value, previous: None, kind }, previous);
        Ok(())
    }

    fn delete(&mut self, key: Bytes, last: Option<(Bytes, Option<u32>)>, revision: Revision) -> Result<(), L::Error> {
        let Some(previous) = self.current(&key)? else {
            return Ok(());
        };
        let value = match last {
            Some((value, at)) => splice(&value, at, revision),
            None => previous.value.clone(),
        };
        self.changed.insert(key.clone(), None);
        let event = Event { revision, key, value, previous: None, kind: EventKind::Deleted };
        self.record(event, Some(previous));
        Ok(())
    }

    fn record(&mut self, mut event: Event, previous: Option<Stored>) {
        self.checksum = folded(self.checksum, &event);
        let (previous_created, previous_modified) = match previous {
            Some(stored) => {
                event.previous = Some(stored.value);
                (stored.created, stored.modified)
            }
            None => (Revision(0), Revision(0)),
        };
        self.changes.push(Change { event: Arc::new(event), previous_created, previous_modified });
    }
}

/// The checksum after one more change.
fn folded(checksum: u32, event: &Event) -> u32 {
    let mut head = [0; 13];
    head[..8].copy_from_slice(&event.revision.0.to_be_bytes());
    head[8] = match event.kind {
        EventKind::Created => 0,
        EventKind::Updated => 1,
        EventKind::Deleted => 2,
    };
    let key_length = u32::try_from(event.key.len()).unwrap_or(u32::MAX);
    head[9..].copy_from_slice(&key_length.to_be_bytes());
    let parts: [&[u8]; 3] = [&head, &event.key, &event.value];
    parts.into_iter().fold(checksum, crc32c::crc32c_append)
}

/// The value with the revision's digits inserted at `at`; an offset beyond the end inserts nothing.
fn splice(value: &Bytes, at: Option<u32>, revision: Revision) -> Bytes {
    let at = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at <= value.len());
    let Some(at) = at else {
        // A copy: the value would otherwise keep the whole batch it came in alive.
        return Bytes::copy_from_slice(value);
    };
    let digits = revision.0.to_string();
    let mut spliced = BytesMut::with_capacity(value.len() + digits.len());
    spliced.extend_from_slice(&value[..at]);
    spliced.extend_from_slice(digits.as_bytes());
    spliced.extend_from_slice(&value[at..]);
    spliced.freeze()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    #[derive(Default)]
    struct Memory(BTreeMap<Bytes, Stored>);

    impl Lookup for Memory {
        type Error = Infallible;

        fn lookup(&self, key: &[u8]) -> Result<Option<Stored>, Infallible> {
            Ok(self.0.get(key).cloned())
        }
    }

    fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn put(key: &'static str, value: &'static str) -> Op {
        Op::Put { key: b(key), value: b(value), splice: None }
    }

    fn delete(key: &'static str) -> Op {
        Op::Delete { key: b(key), last: None }
    }

    fn txn(guards: Vec<Guard>, ops: Vec<Op>) -> Txn {
        Txn { guards, ops }
    }

    fn run(memory: &Memory, from: u64, txns: Vec<Txn>) -> (Vec<TxnOutcome>, Vec<Change>) {
        let mut applier = Applier::new(memory, Revision(from), 0);
        let outcomes = txns.into_iter().map(|t| applier.apply(t, Term(3)).unwrap()).collect();
        (outcomes, applier.finish().0)
    }

    #[test]
    fn revision_digits_go_where_they_belong() {
        let value = b(r#"{"metadata":{"resourceVersion":""}}"#);
        let at = value.windows(2).position(|w| w == b"\"\"").unwrap() as u32 + 1;
        assert_eq!(splice(&value, Some(at), Revision(42)), b(r#"{"metadata":{"resourceVersion":"42"}}"#));
        assert_eq!(splice(&value, Some(999), Revision(42)), value);
    }

    #[test]
    fn each_effective_transaction_gets_the_next_revision() {
        let txns = vec![
            txn(vec![], vec![put("a", "1"), put("b", "1")]),
            txn(vec![], vec![delete("missing")]),
            txn(vec![], vec![]),
            txn(vec![], vec![put("a", "2")]),
        ];
        let (outcomes, changes) = run(&Memory::default(), 10, txns);
        let revisions = [11, 11, 11, 12].map(|r| TxnOutcome::Committed(Revision(r)));
        assert_eq!(outcomes, revisions);
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[2].event.kind, EventKind::Updated);
        assert_eq!(changes[2].event.previous, Some(b("1")));
        assert_eq!(changes[2].previous_modified, Revision(11));
    }

    #[test]
    fn guards_see_what_earlier_transactions_of_the_batch_did() {
        let (outcomes, changes) = run(
            &Memory::default(),
            0,
            vec![
                txn(vec![Guard::Absent(b("a"))], vec![put("a", "1")]),
                txn(vec![Guard::Absent(b("a"))], vec![put("a", "2")]),
                txn(vec![Guard::Present(b("a")), Guard::At(b("a"), Revision(7))], vec![delete("a")]),
                txn(vec![Guard::At(b("a"), Revision(1))], vec![delete("a")]),
            ],
        );
        assert_eq!(outcomes[0], TxnOutcome::Committed(Revision(1)));
        assert_eq!(outcomes[1], TxnOutcome::Refused { guard: 0, found: Some(Revision(1)) });
        assert_eq!(outcomes[2], TxnOutcome::Refused { guard: 1, found: Some(Revision(1)) });
        assert_eq!(outcomes[3], TxnOutcome::Committed(Revision(2)));
        assert_eq!(changes[1].event.kind, EventKind::Deleted);
        assert_eq!(changes[1].event.value, b("1"));
    }

    #[test]
    fn the_checksum_tells_any_difference_and_does_not_depend_on_the_steps() {
        let sum = |steps: &[&[Op]]| {
            steps.iter().fold((0, 0), |(revision, sum), step| {
                let memory = Memory::default();
                let mut applier = Applier::new(&memory, Revision(revision), sum);
                for op in *step {
                    applier.apply(txn(vec![], vec![op.clone()]), Term(1)).unwrap();
                }
                (applier.revision().0, applier.checksum())
            })
        };
        let whole = sum(&[&[put("a", "1"), put("b", "2")]]);
        assert_eq!(whole, sum(&[&[put("a", "1")], &[put("b", "2")]]));
        assert_ne!(whole, sum(&[&[put("a", "1"), put("b", "3")]]));
        assert_ne!(whole, sum(&[&[put("b", "2"), put("a", "1")]]));
    }

    #[test]
    fn a_deposed_leaders_write_is_refused() {
        let guarded = |term| txn(vec![Guard::InTerm(Term(term))], vec![put("a", "1")]);
        let (outcomes, _) = run(&Memory::default(), 0, vec![guarded(2), guarded(3)]);
        assert_eq!(outcomes[0], TxnOutcome::Refused { guard: 0, found: None });
        assert_eq!(outcomes[1], TxnOutcome::Committed(Revision(1)));
    }

    #[test]
    fn last_state_of_a_deletion_is_what_watchers_get() {
        let last = Some((b("gone at ."), Some(8)));
        let op = Op::Delete { key: b("a"), last };
        let (_, changes) = run(&Memory::default(), 4, vec![txn(vec![], vec![put("a", "1")]), txn(vec![], vec![op])]);
        assert_eq!(changes[1].event.value, b("gone at 6."));
        assert_eq!(changes[1].event.previous, Some(b("1")));
    }
}
