//! Linearizability of a register that is read and compared-and-set only, in about linear time.
//!
//! Each value is written once, so that the values that were seen form a chain: who set one expected the one before it. That
//! leaves only the moments of the writes to be found, as early as they can be. Each call bounds them: a write lies between
//! its call and its answer, and a value was there at some moment of each of its reads, and was not at some moment of each
//! compare-and-set that expected it and was refused. Histories of hours take no more than what was recorded of them; the
//! general search (Wing and Gong) remembers a set of calls for each step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::call::{Action, Call, INITIAL, Outcome};

/// Moments at which one value followed another, as early as they can be. The first value has none: it was always there.
struct Moments {
    earliest: Vec<Duration>,
    latest: Vec<Duration>,
}

/// Whether some order explains the calls of one register; `None` if this is not for them: something is set whatever it
/// holds, one value is written twice, or one is expected that its writer was not answered for and nobody saw.
pub(crate) fn is_linearizable(calls: &[&Call]) -> Option<bool> {
    let writes = calls.iter().filter_map(|call| match call.action {
        Action::CompareAndSet { expected, new } => Some((expected, new, *call)),
        _ => None,
    });
    let writes: Vec<(u64, u64, &Call)> = writes.collect();
    let distinct: BTreeSet<u64> = writes.iter().map(|(_, new, _)| *new).collect();
    let set = calls.iter().any(|call| matches!(call.action, Action::Set(_)));
    let seen = first_seen(calls);
    let unseen = writes.iter().filter(|(_, new, call)| call.outcome == Outcome::Unknown && !seen.contains_key(new));
    let unseen: BTreeSet<u64> = unseen.map(|(_, new, _)| *new).collect();
    let guessed = writes.iter().any(|(expected, _, _)| unseen.contains(expected));
    if set || guessed || distinct.len() < writes.len() || distinct.contains(&INITIAL) {
        return None;
    }
    Some(explain(calls, &writes, &seen).is_some())
}

fn explain(calls: &[&Call], writes: &[(u64, u64, &Call)], seen: &BTreeMap<u64, Duration>) -> Option<()> {
    let happened = |(_, new, call): &&(u64, u64, &Call)| {
        call.outcome == Outcome::Done || (call.outcome == Outcome::Unknown && seen.contains_key(new))
    };
    let mut after = BTreeMap::new();
    for (expected, new, call) in writes.iter().filter(happened) {
        if after.insert(*expected, (*new, *call)).is_some() {
            return None;
        }
    }
    let (mut last, mut place) = (INITIAL, BTreeMap::from([(INITIAL, 0)]));
    let mut moments = Moments { earliest: vec![Duration::ZERO], latest: vec![Duration::MAX] };
    while let Some((new, call)) = after.remove(&last) {
        place.insert(new, moments.earliest.len());
        moments.push(call);
        last = new;
    }
    if !after.is_empty() {
        return None;
    }
    // One that nobody saw may still have taken the last value away.
    let unseen = writes.iter().filter(|(expected, new, call)| {
        *expected == last && call.outcome == Outcome::Unknown && !seen.contains_key(new)
    });
    if let Some((_, _, call)) = unseen.min_by_key(|(_, _, call)| call.sent) {
        moments.push(call);
    }
    moments.fit(calls, &place)
}

/// The values that the register certainly held, each with a moment by which it had done so. A write of unknown outcome whose
/// value was held has found the one that it expected.
pub(crate) fn first_seen(calls: &[&Call]) -> BTreeMap<u64, Duration> {
    let unknown = calls.iter().filter_map(|call| match (call.action, call.outcome) {
        (Action::CompareAndSet { expected, new }, Outcome::Unknown) => Some((new, expected)),
        _ => None,
    });
    let unknown: BTreeMap<u64, u64> = unknown.collect();
    let mut found: Vec<_> = calls.iter().filter_map(|call| Some((seen(call)?, call.answered))).collect();
    let mut first = BTreeMap::new();
    while let Some((value, at)) = found.pop() {
        let known = first.entry(value).or_insert(Duration::MAX);
        if at < *known {
            *known = at;
            found.extend(unknown.get(&value).map(|expected| (*expected, at)));
        }
    }
    first
}

/// The value that the register held when a call took effect.
fn seen(call: &Call) -> Option<u64> {
    match (call.action, call.outcome) {
        (Action::Read, Outcome::Value(value)) => Some(value),
        (Action::CompareAndSet { expected, .. }, Outcome::Done) => Some(expected),
        _ => None,
    }
}

impl Moments {
    fn push(&mut self, write: &Call) {
        self.earliest.push(write.sent);
        self.latest.push(if write.outcome == Outcome::Unknown { Duration::MAX } else { write.answered });
    }

    /// Makes room for all reads and refusals; `None` if there is none.
    fn fit(mut self, calls: &[&Call], place: &BTreeMap<u64, usize>) -> Option<()> {
        let mut refusals = Vec::new();
        for call in calls {
            match (call.action, call.outcome) {
                (Action::Read, Outcome::Value(value)) => {
                    let at = *place.get(&value)?;
                    self.latest[at] = self.latest[at].min(call.answered);
                    if let Some(next) = self.earliest.get_mut(at + 1) {
                        *next = call.sent.max(*next);
                    }
                }
                (Action::CompareAndSet { expected, .. }, Outcome::Refused) => {
                    refusals.extend(place.get(&expected).map(|at| (*at, *call)));
                }
                _ => {}
            }
        }
        while self.delay(&refusals)? {}
        let fits = self.earliest.iter().zip(&self.latest).all(|(earliest, latest)| earliest <= latest);
        fits.then_some(())
    }

    /// Moves moments that are certainly too early; whether any was. A refusal came before the value or after it, and only
    /// the value's beginning can be moved for it: no moment can be earlier than it is here.
    fn delay(&mut self, refusals: &[(usize, &Call)]) -> Option<bool> {
        let mut moved = false;
        for at in 1..self.earliest.len() {
            let before = self.earliest[at - 1];
            moved |= before > self.earliest[at];
            self.earliest[at] = before.max(self.earliest[at]);
        }
        for (at, call) in refusals {
            let after = self.earliest.get(at + 1).is_some_and(|next| *next <= call.answered);
            if after || (*at > 0 && self.earliest[*at] >= call.sent) {
                continue;
            }
            if *at == 0 {
                return None;
            }
            self.earliest[*at] = call.sent;
            moved = true;
        }
        Some(moved)
    }
}
