#![allow(clippy::unwrap_used)]

use super::*;

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn span(sent: u64, answered: u64) -> Span {
    Span { sent: Duration::from_millis(sent), answered: Duration::from_millis(answered) }
}

fn put(key: &str, value: &str) -> Step {
    Step { key: b(key), value: b(value), delete: false }
}

fn attempt(at: u64, steps: Vec<Step>, fate: Fate) -> Attempt {
    Attempt { span: span(at, at + 1), conditions: vec![], steps, fate }
}

fn change(revision: u64, key: &str, value: &str) -> Change {
    Change { revision, key: b(key), value: b(value), deleted: false }
}

fn watch(batches: &[(u64, &[Change])]) -> Watching {
    let at = Duration::from_millis(500);
    let batches =
        batches.iter().map(|(revision, changes)| Batch { at, changes: changes.to_vec(), revision: *revision });
    Watching { name: "w".to_owned(), batches: batches.collect(), ..Watching::default() }
}

/// a=1 at 1; a=2 and b=1 together at 2; a deleted at 3.
fn good() -> Record {
    let gone = Step { key: b("a"), value: b("a3"), delete: true };
    let mut guarded = attempt(20, vec![put("a", "a2"), put("b", "b2")], Fate::Committed(2));
    guarded.conditions = vec![Condition::At(b("a"), 1), Condition::Absent(b("b"))];
    let last = Change { deleted: true, ..change(3, "a", "a3") };
    let first = [change(1, "a", "a1")];
    let rest = [change(2, "a", "a2"), change(2, "b", "b2"), last];
    Record {
        attempts: vec![
            attempt(10, vec![put("a", "a1")], Fate::Committed(1)),
            guarded,
            attempt(30, vec![gone], Fate::Unknown),
            attempt(40, vec![put("c", "c4")], Fate::NotDone),
        ],
        readings: vec![reading(25, 2, &[found("a", "a2", 1, 2), found("b", "b2", 2, 2)])],
        watches: vec![watch(&[(1, &first), (3, &rest)])],
    }
}

fn found(key: &str, value: &str, created: u64, modified: u64) -> Found {
    Found { key: b(key), value: b(value), created, modified }
}

fn reading(at: u64, revision: u64, found: &[Found]) -> Reading {
    let found = found.to_vec();
    Reading { span: span(at, at + 1), exact: false, prefix: b(""), limit: 0, consistent: true, found, revision }
}

fn properties(record: &Record) -> Vec<&'static str> {
    let mut names: Vec<_> = check(record).into_iter().map(|violation| violation.property).collect();
    names.dedup();
    names
}

#[test]
fn a_good_record_passes() {
    assert_eq!(check(&good()), []);
}

#[test]
fn a_lost_write_is_named() {
    let mut record = good();
    record.attempts.push(attempt(45, vec![put("d", "d")], Fate::Committed(3)));
    assert_eq!(properties(&record), ["no acknowledged write lost"]);
}

#[test]
fn a_write_that_was_refused_or_comes_twice_is_named() {
    let mut record = good();
    record.attempts[0].fate = Fate::NotDone;
    assert_eq!(properties(&record), ["what was refused is not done"]);
    let mut record = good();
    record.watches[0].batches.push(Batch {
        at: Duration::from_secs(1),
        changes: vec![change(4, "a", "a1")],
        revision: 4,
    });
    assert_eq!(properties(&record), ["each write once", "no acknowledged write lost"]);
}

#[test]
fn what_nobody_wrote_and_a_hole_are_named() {
    let mut record = good();
    record.watches[0].batches.push(Batch {
        at: Duration::from_secs(1),
        changes: vec![change(5, "x", "?")],
        revision: 5,
    });
    assert_eq!(properties(&record), ["no revision is missing", "nothing is invented"]);
}

#[test]
fn half_a_transaction_and_a_broken_guard_are_named() {
    let mut record = good();
    record.watches[0].batches[1].changes.remove(1);
    record.readings.clear();
    assert_eq!(properties(&record), ["transactions are whole"]);
    let mut record = good();
    record.attempts[1].conditions = vec![Condition::Absent(b("a"))];
    assert_eq!(properties(&record), ["guards hold"]);
}

#[test]
fn stale_and_wrong_reads_are_named() {
    let mut record = good();
    // Revision 2 was acknowledged at 21.
    record.readings.push(reading(30, 1, &[found("a", "a1", 1, 1)]));
    assert_eq!(properties(&record), ["consistent reads are fresh"]);
    record.readings[1].consistent = false;
    assert_eq!(properties(&record), [""; 0]);
    record.readings[1].found.clear();
    assert_eq!(properties(&record), ["reads are what was there"]);
}

#[test]
fn an_untrue_refusal_is_named() {
    let refused = |found| Attempt {
        conditions: vec![Condition::Present(b("b"))],
        ..attempt(50, vec![put("b", "z")], Fate::Refused(0, found))
    };
    let mut record = good();
    record.attempts.push(refused(None));
    assert_eq!(properties(&record), ["refusals are true"]);
    record.attempts[4].conditions = vec![Condition::Absent(b("b"))];
    record.attempts[4].fate = Fate::Refused(0, Some(2));
    assert_eq!(properties(&record), [""; 0]);
}

#[test]
fn gaps_repeats_and_untrue_bookmarks_are_named() {
    let mut record = good();
    record.watches.push(Watching { prefix: b("a"), after: 1, ..watch(&[(3, &[change(2, "a", "a2")])]) });
    assert_eq!(properties(&record), ["watches are complete and in order"]);
    record.watches[1] = Watching { prefix: b("b"), ..watch(&[(2, &[]), (3, &[change(2, "b", "b2")])]) };
    let both = ["watches are complete and in order", "bookmarks are true, and nothing comes twice"];
    assert!(properties(&record).iter().all(|name| both.contains(name)) && !properties(&record).is_empty());
}

#[test]
fn masters_that_differ_are_named() {
    let mut record = good();
    let mut other = record.watches[0].clone();
    other.batches[0].changes[0].value = b("a2");
    record.watches.push(other);
    assert!(properties(&record).contains(&"all masters have the same history"));
}
