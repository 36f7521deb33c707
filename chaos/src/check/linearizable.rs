//! Property: each register behaves as if its calls had happened one after the other, each at some moment between
//! being sent and being answered. Checked with Wing and Gong's algorithm, register by register.

use std::collections::BTreeSet;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action as Step, History as Steps};
use todc_utils::specifications::Specification;

use super::Violation;
use crate::history::{Action, Call, Outcome};

/// The value of a register before any write.
pub const INITIAL: u64 = 0;

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
        }
    }
}

/// The registers whose histories no sequential order explains.
#[must_use]
pub fn check(calls: &[Call]) -> Vec<Violation> {
    let registers: BTreeSet<u32> = calls.iter().map(|call| call.register).collect();
    let broken = registers.into_iter().filter(|register| {
        let own: Vec<&Call> = calls.iter().filter(|call| call.register == *register).collect();
        !WGLChecker::<Register>::is_linearizable(Steps::from_actions(steps(&own)))
    });
    broken
        .map(|register| Violation {
            property: "linearizable",
            seen: format!("no order of its calls explains the history of register {register}"),
        })
        .collect()
}

/// Calls as a sequence of beginnings and ends. Each call is its own process, and one of unknown outcome stays open
/// to the end: it may still take effect long after its client gave up.
fn steps(calls: &[&Call]) -> Vec<(usize, Step<(Action, Outcome)>)> {
    let mut moments = Vec::with_capacity(calls.len() * 2);
    for (process, call) in calls.iter().enumerate() {
        if call.action == Action::Read && call.outcome == Outcome::Unknown {
            continue;
        }
        let operation = (call.action, call.outcome);
        let open = call.outcome == Outcome::Unknown;
        let end = if open { std::time::Duration::MAX } else { call.answered };
        moments.push((call.sent, 0, process, Step::Call(operation)));
        moments.push((end, 1, process, Step::Response(operation)));
    }
    moments.sort_by_key(|(time, end, process, _)| (*time, *end, *process));
    moments.into_iter().map(|(_, _, process, step)| (process, step)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn two_writers_cannot_both_win() {
        let calls = [call(0, 10, cas(0, 1), Outcome::Done), call(0, 10, cas(0, 2), Outcome::Done)];
        assert_eq!(check(&calls).len(), 1);
    }
}
