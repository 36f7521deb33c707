//! Properties of a store that numbers its changes: the revisions are the order in which everything happened, and every
//! answer has to agree with it, with every other answer, and with the clients' clock.
//!
//! The order is read from watches over all keys: revision → changes. [`check`] then asks of
//! - writes: what was acknowledged is there, once, complete, at its revision, and its guards held; what was refused or
//!   not done is not there; what nobody wrote is not there; what is open happened once or not at all
//! - time: a call sees every revision that anybody had seen before it was sent, and none that was asked for after its end
//! - reads: exactly the state at the revision they name
//! - watches: every change under the prefix, in order, once, no transaction split, and no change at or before a revision
//!   that was said to be complete.

mod order;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::Violation;
use order::Order;

/// When a call was sent and when it was answered (or given up), since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Sent.
    pub sent: Duration,
    /// Answered.
    pub answered: Duration,
}

/// A change as a watcher sees it. Of a deletion the value is the last state, which its writer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The transaction's revision.
    pub revision: u64,
    /// What changed.
    pub key: Bytes,
    /// Its new state, or its last.
    pub value: Bytes,
    /// Whether it is gone now.
    pub deleted: bool,
}

/// What must hold for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key has no value.
    Absent(Bytes),
    /// It has one.
    Present(Bytes),
    /// Its last change was this revision.
    At(Bytes, u64),
}

/// One change that a writer asks for. Values, those of deletions included, are unique within a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The key.
    pub key: Bytes,
    /// The new or last state.
    pub value: Bytes,
    /// Delete it.
    pub delete: bool,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged under this revision.
    Committed(u64),
    /// The condition with this index did not hold; its key was last changed at this revision (`None`: absent).
    Refused(usize, Option<u64>),
    /// Certainly nothing was done.
    NotDone,
    /// It may have been done, or may be done yet.
    Unknown,
}

/// A write with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub span: Span,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// All are done, or none.
    pub steps: Vec<Step>,
    /// How it ended.
    pub fate: Fate,
}

/// A value as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When it was made.
    pub created: u64,
    /// When it was last changed.
    pub modified: u64,
}

/// A read that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub span: Span,
    /// One key (`true`), or all that begin with it.
    pub exact: bool,
    /// The key or the prefix.
    pub prefix: Bytes,
    /// Entries at the most; 0: all.
    pub limit: usize,
    /// It promised to see everything that was acknowledged before it was sent.
    pub consistent: bool,
    /// What was found, in key order.
    pub found: Vec<Found>,
    /// The revision of what was read.
    pub revision: u64,
}

/// What came in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// When it was received.
    pub at: Duration,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Said to be complete up to here.
    pub revision: u64,
}

/// A watch from its first revision on, resumed where it was interrupted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Who, for messages.
    pub name: String,
    /// Keys that begin with this.
    pub prefix: Bytes,
    /// It began after this revision.
    pub after: u64,
    /// What it received.
    pub batches: Vec<Batch>,
}

/// All that was done and seen.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Writes.
    pub attempts: Vec<Attempt>,
    /// Reads.
    pub readings: Vec<Reading>,
    /// Watches; at least one over all keys from revision 0.
    pub watches: Vec<Watching>,
}

/// Everything that does not fit, the worst first.
#[must_use]
pub fn check(record: &Record) -> Vec<Violation> {
    let mut found = Vec::new();
    let order = Order::of(&record.watches, &mut found);
    let seen = Seen::of(record);
    check_attempts(record, &order, &seen, &mut found);
    check_readings(record, &order, &seen, &mut found);
    record.watches.iter().for_each(|watch| check_watch(watch, &order, &mut found));
    found
}

fn violation(property: &'static str, seen: String) -> Violation {
    Violation { property, seen }
}

/// The highest revision that anybody had seen by a time.
struct Seen(BTreeMap<Duration, u64>);

impl Seen {
    fn of(record: &Record) -> Self {
        let writes = record.attempts.iter().filter_map(|attempt| match attempt.fate {
            Fate::Committed(revision) => Some((attempt.span.answered, revision)),
            _ => None,
        });
        let reads = record.readings.iter().map(|reading| (reading.span.answered, reading.revision));
        let batches = record.watches.iter().flat_map(|watch| &watch.batches).map(|batch| (batch.at, batch.revision));
        let mut all: Vec<_> = writes.chain(reads).chain(batches).collect();
        all.sort_unstable();
        let mut highest = 0;
        let rising = all.into_iter().map(|(at, revision)| {
            highest = highest.max(revision);
            (at, highest)
        });
        Self(rising.collect())
    }

    /// Seen strictly before `at`.
    fn before(&self, at: Duration) -> u64 {
        self.0.range(..at).next_back().map_or(0, |(_, revision)| *revision)
    }
}

fn check_attempts(record: &Record, order: &Order, seen: &Seen, found: &mut Vec<Violation>) {
    let placed = order.place(&record.attempts, found);
    for (attempt, revisions) in record.attempts.iter().zip(&placed) {
        if revisions.len() > 1 {
            found.push(violation("each write once", format!("{attempt:?} was done at {revisions:?}")));
        }
        match attempt.fate {
            Fate::Committed(revision) => check_committed(attempt, revision, revisions, order, found),
            Fate::Refused(..) | Fate::NotDone if !revisions.is_empty() => {
                found.push(violation("what was refused is not done", format!("{attempt:?} was done at {revisions:?}")));
            }
            Fate::Refused(index, at) => {
                let window = seen.before(attempt.span.sent)
                    ..=order.latest_asked_by(attempt.span.answered, &record.attempts, &placed);
                let broken = attempt.conditions.get(index);
                if !broken.is_some_and(|broken| order.may_refuse(broken, at, window.clone())) {
                    found.push(violation("refusals are true", format!("{attempt:?} held all over {window:?}")));
                }
            }
            Fate::NotDone | Fate::Unknown => {}
        }
        for revision in revisions {
            let floor = seen.before(attempt.span.sent);
            if *revision <= floor {
                let what = format!("{attempt:?} became {revision}, and {floor} was seen before it was sent");
                found.push(violation("writes come after what was seen", what));
            }
        }
    }
}

fn check_committed(attempt: &Attempt, revision: u64, placed: &[u64], order: &Order, found: &mut Vec<Violation>) {
    if revision > order.end() {
        // Nobody watched that far.
        return;
    }
    let before = revision.saturating_sub(1);
    let effects = order.effects(&attempt.steps, before);
    // Without an effect it has the revision of the state that it found.
    let idle = |at| placed.is_empty() && order.effects(&attempt.steps, at).is_empty();
    if idle(revision) {
        let broken = attempt.conditions.iter().find(|condition| !order.holds(condition, revision));
        return found.extend(broken.map(|broken| not_held(broken, attempt)));
    }
    if placed != [revision] {
        let what = format!("{attempt:?} is not there; its changes are at {placed:?}");
        return found.push(violation("no acknowledged write lost", what));
    }
    let there: Vec<_> = order.changes(revision).iter().map(|c| (c.key.clone(), c.value.clone(), c.deleted)).collect();
    if there != effects {
        found.push(violation("transactions are whole", format!("{attempt:?} became {there:?}")));
    }
    let broken = attempt.conditions.iter().find(|condition| !order.holds(condition, before));
    found.extend(broken.map(|broken| not_held(broken, attempt)));
}

fn not_held(broken: &Condition, attempt: &Attempt) -> Violation {
    violation("guards hold", format!("{broken:?} did not hold for {attempt:?}"))
}

fn check_readings(record: &Record, order: &Order, seen: &Seen, found: &mut Vec<Violation>) {
    for reading in &record.readings {
        let floor = seen.before(reading.span.sent);
        if reading.consistent && reading.revision < floor {
            let what = format!("{reading:?} is older than {floor}, which was seen before it was sent");
            found.push(violation("consistent reads are fresh", what));
        }
        if reading.revision > order.end() {
            continue;
        }
        let mut expected = order.state(&reading.prefix, reading.exact, reading.revision);
        if reading.limit > 0 {
            expected.truncate(reading.limit);
        }
        if expected != reading.found {
            found.push(violation("reads are what was there", format!("{reading:?} should have found {expected:?}")));
        }
    }
}

fn check_watch(watch: &Watching, order: &Order, found: &mut Vec<Violation>) {
    let mut complete = watch.after;
    for batch in &watch.batches {
        let wrong = batch.changes.iter().find(|change| change.revision <= complete || change.revision > batch.revision);
        if let Some(change) = wrong {
            let what = format!("{} got {change:?} between {complete} and {}", watch.name, batch.revision);
            found.push(violation("bookmarks are true, and nothing comes twice", what));
        }
        if batch.revision < complete {
            found.push(violation("bookmarks are true, and nothing comes twice", format!("{} went back", watch.name)));
        }
        let upto = batch.revision.min(order.end());
        let expected = order.between(complete, upto, &watch.prefix);
        let got: Vec<&Change> = batch.changes.iter().filter(|change| change.revision <= upto).collect();
        if got != expected {
            let what = format!("{}: {got:?} instead of {expected:?} after {complete} up to {upto}", watch.name);
            found.push(violation("watches are complete and in order", what));
        }
        complete = complete.max(batch.revision);
    }
}

#[cfg(test)]
mod tests;
