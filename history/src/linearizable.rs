//! Property: each register behaves as if its calls had happened one after the other, each at some moment between
//! being sent and being answered. Checked register by register: in the order that the values themselves tell where they
//! are compared and set, with Wing and Gong's algorithm otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action as Step, History as Steps};
use todc_utils::specifications::Specification;

use crate::Violation;
use crate::call::{Action, Call, INITIAL, Outcome};
use crate::chain;

struct Register;

impl Specification for Register {
    type State = u64;
    type Operation = (Action, Outcome);

    fn init() -> u64 {
        INITIAL
    }

    /// A write of unknown outcome either matched or changed nothing; both are valid, wherever it is placed.
    fn apply((action, outcome): &Self::Operation, state: &u64) -> (bool, u64) {
        match (*action, *outcome) {
            (Action::Read, Outcome::Value(value)) => (value == *state, *state),
            (Action::Read, _) => (true, *state),
            (Action::CompareAndSet { expected, new }, Outcome::Done) => (expected == *state, new),
            (Action::CompareAndSet { expected, .. }, Outcome::Refused) => (expected != *state, *state),
            (Action::CompareAndSet { expected, new }, _) => (true, if expected == *state { new } else { *state }),
            (Action::Set(_), Outcome::Refused) => (true, *state),
            (Action::Set(new), _) => (true, new),
        }
    }
}

/// The registers whose histories no sequential order explains.
#[must_use]
pub fn check(calls: &[Call]) -> Vec<Violation> {
    let registers: BTreeSet<u32> = calls.iter().map(|call| call.register).collect();
    let broken = registers.into_iter().filter(|register| {
        let own: Vec<&Call> = calls.iter().filter(|call| call.register == *register).collect();
        !chain::is_linearizable(&own).unwrap_or_else(|| search(&resolve(&own)))
    });
    broken
        .map(|register| Violation {
            property: "linearizable",
            seen: format!("no order of its calls explains the history of register {register}"),
        })
        .collect()
}

fn search(calls: &[Call]) -> bool {
    let steps = steps(calls);
    // The checker cannot make a history of nothing.
    steps.is_empty() || WGLChecker::<Register>::is_linearizable(Steps::from_actions(steps))
}

/// Says of writes of unknown outcome what the other calls tell: open ones to the end of the history would make the search
/// exponential. Values are unique, so one that was seen was written, before it was first seen. One that nobody saw can
/// have been written only after everything that succeeded; unless a refusal came as late as that, it may be left out.
fn resolve(calls: &[&Call]) -> Vec<Call> {
    let succeeded = |call: &&&Call| matches!(call.outcome, Outcome::Value(_) | Outcome::Done);
    let last_success = calls.iter().filter(succeeded).map(|call| call.sent).max().unwrap_or_default();
    let late_refusal = calls.iter().any(|call| call.outcome == Outcome::Refused && call.answered >= last_success);
    // What was set may have been overwritten before anybody saw it.
    let sets = calls.iter().any(|call| matches!(call.action, Action::Set(_)));
    let seen = chain::first_seen(calls);
    let known = calls.iter().filter_map(|call| match (call.action, call.outcome) {
        (Action::CompareAndSet { new, .. }, Outcome::Unknown) => match seen.get(&new) {
            Some(first) => {
                // Seen before it was sent: it stays as it is, and nothing will explain it.
                let answered = if *first < call.sent { call.answered } else { *first };
                Some(Call { outcome: Outcome::Done, answered, ..(*call).clone() })
            }
            None => (late_refusal || sets).then(|| (*call).clone()),
        },
        _ => Some((*call).clone()),
    });
    known.collect()
}

/// Calls as a sequence of beginnings and ends. Each call is its own process, and one of unknown outcome stays open
/// to the end: it may still take effect long after its client gave up.
fn steps(calls: &[Call]) -> Vec<(usize, Step<(Action, Outcome)>)> {
    let mut moments = Vec::with_capacity(calls.len() * 2);
    for (process, call) in calls.iter().enumerate() {
        if call.action == Action::Read && call.outcome == Outcome::Unknown {
            continue;
        }
        let operation = (call.action, call.outcome);
        let open = call.outcome == Outcome::Unknown;
        let end = if open { Duration::MAX } else { call.answered };
        moments.push((call.sent, 0, process, Step::Call(operation)));
        moments.push((end, 1, process, Step::Response(operation)));
    }
    moments.sort_by_key(|(time, end, process, _)| (*time, *end, *process));
    moments.into_iter().map(|(_, _, process, step)| (process, step)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(sent: u64, answered: u64, action: Action, outcome: Outcome) -> Call {
        let ms = Duration::from_millis;
        Call { register: 1, action, outcome, sent: ms(sent), answered: ms(answered) }
    }

    fn cas(expected: u64, new: u64) -> Action {
        Action::CompareAndSet { expected, new }
    }

    #[test]
    fn writes_and_reads_in_order_pass() {
        let calls = [
            call(0, 10, cas(0, 1), Outcome::Done),
            call(11, 20, Action::Read, Outcome::Value(1)),
            call(12, 22, cas(0, 2), Outcome::Refused),
        ];
        assert_eq!(check(&calls), []);
    }

    #[test]
    fn a_lost_acknowledged_write_is_seen() {
        let calls = [call(0, 10, cas(0, 1), Outcome::Done), call(11, 20, Action::Read, Outcome::Value(0))];
        assert_eq!(check(&calls).len(), 1);
    }

    #[test]
    fn a_stale_read_after_a_newer_one_is_seen() {
        let calls = [
            call(0, 50, cas(0, 1), Outcome::Done),
            call(5, 10, Action::Read, Outcome::Value(1)),
            call(11, 20, Action::Read, Outcome::Value(0)),
        ];
        assert_eq!(check(&calls).len(), 1);
    }

    #[test]
    fn an_unknown_write_may_take_effect_late_or_never() {
        let late = [
            call(0, 10, cas(0, 1), Outcome::Unknown),
            call(20, 30, Action::Read, Outcome::Value(0)),
            call(40, 50, Action::Read, Outcome::Value(1)),
        ];
        assert_eq!(check(&late), []);
        assert_eq!(check(&late[..2]), []);
    }

    /// Hundreds of them made the search take all memory there was.
    #[test]
    fn many_unknown_writes_do_not_make_the_search_endless() {
        let mut calls = Vec::new();
        for n in 0..400_u64 {
            calls.push(call(n * 10, n * 10 + 300, cas(0, n + 1), Outcome::Unknown));
            calls.push(call(n * 10 + 1, n * 10 + 5, Action::Read, Outcome::Value(0)));
        }
        // One of them took effect late.
        calls.push(call(4100, 4110, Action::Read, Outcome::Value(7)));
        calls.push(call(4120, 4130, Action::Read, Outcome::Value(7)));
        assert_eq!(check(&calls), []);
        calls.push(call(4140, 4150, Action::Read, Outcome::Value(0)));
        assert_eq!(check(&calls).len(), 1, "it cannot be undone");
    }

    #[test]
    fn a_late_refusal_may_be_the_doing_of_an_unseen_write() {
        let calls = [call(0, 10, cas(0, 1), Outcome::Unknown), call(20, 30, cas(0, 2), Outcome::Refused)];
        assert_eq!(check(&calls), []);
        let read = call(40, 50, Action::Read, Outcome::Value(0));
        assert_eq!(check(&[&calls[..], &[read]].concat()).len(), 1, "then it did not happen before the refusal");
    }

    #[test]
    fn a_deletion_sets_back_and_what_was_refused_changes_nothing() {
        let calls = [
            call(0, 10, Action::Set(1), Outcome::Done),
            call(11, 12, Action::Set(2), Outcome::Refused),
            call(20, 30, Action::Read, Outcome::Value(1)),
            call(31, 40, Action::Set(INITIAL), Outcome::Done),
            call(41, 50, cas(INITIAL, 3), Outcome::Done),
        ];
        assert_eq!(check(&calls), []);
        let stale = call(60, 70, Action::Read, Outcome::Value(1));
        assert_eq!(check(&[&calls[..], &[stale]].concat()).len(), 1);
    }

    /// Small histories of one register, explicable or not.
    fn histories() -> impl Strategy<Value = Vec<Call>> {
        let one = (0..16_u64, 0..8_u64, 0..4_u64, 0..5_u8);
        proptest::collection::vec(one, 1..8).prop_map(|list| {
            let calls = list.into_iter().zip(1..).map(|((sent, takes, value, kind), new)| {
                // Nobody can have seen it yet.
                let value = if value == new { INITIAL } else { value };
                let (action, outcome) = match kind {
                    0 => (Action::Read, Outcome::Value(value)),
                    1 => (cas(value, new), Outcome::Refused),
                    2 => (cas(value, new), Outcome::Unknown),
                    _ => (cas(value, new), Outcome::Done),
                };
                call(sent, sent + takes, action, outcome)
            });
            calls.collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn the_order_of_the_values_tells_what_the_search_finds(calls in histories()) {
            let own: Vec<&Call> = calls.iter().collect();
            let judged = chain::is_linearizable(&own);
            prop_assume!(judged.is_some());
            prop_assert_eq!(judged, Some(search(&calls)));
            prop_assert_eq!(search(&resolve(&own)), search(&calls));
        }
    }

    #[test]
    fn long_histories_take_little() {
        let mut calls = Vec::new();
        for n in 0..100_000_u64 {
            calls.push(call(n * 10, n * 10 + 15, cas(n, n + 1), Outcome::Done));
            calls.push(call(n * 10 + 1, n * 10 + 29, Action::Read, Outcome::Value(n + 1)));
            calls.push(call(n * 10 + 2, n * 10 + 29, cas(n, n + 1_000_000), Outcome::Refused));
        }
        assert_eq!(check(&calls), []);
        calls.push(call(900_000, 900_001, Action::Read, Outcome::Value(3)));
        assert_eq!(check(&calls).len(), 1);
    }

    #[test]
    fn two_writers_cannot_both_win() {
        let calls = [call(0, 10, cas(0, 1), Outcome::Done), call(0, 10, cas(0, 2), Outcome::Done)];
        assert_eq!(check(&calls).len(), 1);
    }
}
