//! What operators do.

use std::cmp::Ordering;
use std::sync::Arc;

use super::fields::field;
use super::outcome::{Outcome, fail, no_overload, overflow};
use super::{EvalError, Key, Val, time};

/// What an operator makes of its operands; none if the name is not an operator's.
pub(super) fn operator(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("_==_", [a, b]) => Ok(Val::Bool(a == b)),
        ("_!=_", [a, b]) => Ok(Val::Bool(a != b)),
        ("_<_", [a, b]) => ordered(a, b, Ordering::is_lt),
        ("_<=_", [a, b]) => ordered(a, b, Ordering::is_le),
        ("_>_", [a, b]) => ordered(a, b, Ordering::is_gt),
        ("_>=_", [a, b]) => ordered(a, b, Ordering::is_ge),
        ("!_", [Val::Bool(flag)]) => Ok(Val::Bool(!flag)),
        ("-_", [Val::Int(number)]) => number.checked_neg().map_or_else(overflow, |n| Ok(Val::Int(n))),
        ("-_", [Val::Double(number)]) => Ok(Val::Double(-number)),
        ("-_", [Val::Duration(nanos)]) => {
            nanos.checked_neg().map_or_else(|| fail("duration overflow"), |nanos| Ok(Val::Duration(nanos)))
        }
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) => arithmetic(name, a, b),
        ("@in", [item, Val::List(list)]) => Ok(Val::Bool(list.contains(item))),
        ("@in", [key, Val::Map(map)]) => Ok(Val::Bool(Key::of(key).is_some_and(|key| map.contains_key(&key)))),
        ("_[_]", [of, at]) => index(of, at),
        ("_[?_]", [of, at]) => Ok(optional_index(of, at)),
        ("_?._", [of @ Val::Optional(_), Val::Text(name)]) => field(of, name),
        ("_?._", [of, Val::Text(name)]) => Ok(Val::Optional(field(of, name).ok().map(Arc::new))),
        _ => return None,
    })
}

fn ordered(a: &Val, b: &Val, holds: fn(Ordering) -> bool) -> Outcome {
    let number = |value: &Val| matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_));
    match a.compare(b) {
        Some(order) => Ok(Val::Bool(holds(order))),
        None if number(a) && number(b) => fail("NaN values cannot be ordered"),
        None => no_overload(),
    }
}

fn arithmetic(name: &str, a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => whole(name, INTS, *a, *b)?.map_or_else(overflow, |number| Ok(Val::Int(number))),
        (Val::Uint(a), Val::Uint(b)) => {
            let number = whole(name, UINTS, *a, *b)?;
            number.map_or_else(|| fail("unsigned integer overflow"), |number| Ok(Val::Uint(number)))
        }
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(match name {
            "_+_" => a + b,
            "_-_" => a - b,
            "_*_" => a * b,
            "_/_" => a / b,
            _ => return no_overload(),
        })),
        (Val::Text(a), Val::Text(b)) if name == "_+_" => Ok(Val::text(format!("{a}{b}"))),
        (Val::Bytes(a), Val::Bytes(b)) if name == "_+_" => Ok(Val::Bytes(a.iter().chain(b.iter()).copied().collect())),
        (Val::List(a), Val::List(b)) if name == "_+_" => Ok(Val::List(Arc::new(a.plus(b)))),
        _ => time::arithmetic(name, a, b).unwrap_or_else(no_overload),
    }
}

/// What whole numbers of one kind do under `+`, `-`, `*`, `/` and `%`; none where it does not fit.
type Checked<N> = [fn(N, N) -> Option<N>; 5];

const INTS: Checked<i64> = [i64::checked_add, i64::checked_sub, i64::checked_mul, i64::checked_div, i64::checked_rem];
const UINTS: Checked<u64> = [u64::checked_add, u64::checked_sub, u64::checked_mul, u64::checked_div, u64::checked_rem];

fn whole<N: Copy + Default + PartialEq>(
    name: &str,
    [add, subtract, multiply, divide, rest]: Checked<N>,
    a: N,
    b: N,
) -> Result<Option<N>, EvalError> {
    let by_zero = b == N::default();
    Ok(match name {
        "_+_" => add(a, b),
        "_-_" => subtract(a, b),
        "_*_" => multiply(a, b),
        "_/_" if by_zero => return fail("division by zero"),
        "_%_" if by_zero => return fail("modulus by zero"),
        "_/_" => divide(a, b),
        _ => rest(a, b),
    })
}

fn index(of: &Val, at: &Val) -> Outcome {
    match (of, at) {
        (Val::Optional(_), _) => Ok(optional_index(of, at)),
        (Val::List(list), at) => {
            let Some(Key::Int(number)) = Key::of(at) else { return fail(no_place(at)) };
            let found = usize::try_from(number).ok().and_then(|number| list.get(number));
            found.map_or_else(|| fail(format!("index out of bounds: {number}")), |value| Ok(value.clone()))
        }
        (Val::Map(map), at) => match Key::of(at).and_then(|key| map.get(&key)) {
            Some(value) => Ok(value.clone()),
            None => fail(format!("no such key: {}", at.to_text().unwrap_or_default())),
        },
        // Anything else has no keys.
        _ => fail(format!("no such key: {}", at.to_text().unwrap_or_default())),
    }
}

/// What is said of a value that is no place in a list.
fn no_place(at: &Val) -> String {
    match at {
        Val::Double(_) => format!("unsupported index value {} in list", at.to_text().unwrap_or_default()),
        other => format!("unsupported index type '{}' in list", other.type_name()),
    }
}

fn optional_index(of: &Val, at: &Val) -> Val {
    let inner = match of {
        Val::Optional(None) => return Val::Optional(None),
        Val::Optional(Some(inner)) => inner,
        other => other,
    };
    Val::Optional(index(inner, at).ok().map(Arc::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, a: Val, b: Val) -> Result<Val, String> {
        operator(name, &[a, b]).unwrap().map_err(|error| error.to_string())
    }

    #[test]
    fn whole_numbers_of_both_kinds_have_the_same_operators() {
        let results = [("_+_", 9), ("_-_", 5), ("_*_", 14), ("_/_", 3), ("_%_", 1)];
        for (name, result) in results {
            assert_eq!(of(name, Val::Int(7), Val::Int(2)), Ok(Val::Int(result)), "{name}");
            let result = u64::try_from(result).unwrap();
            assert_eq!(of(name, Val::Uint(7), Val::Uint(2)), Ok(Val::Uint(result)), "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let told = |name, a, b| of(name, a, b).unwrap_err();
        assert_eq!(told("_+_", Val::Int(i64::MAX), Val::Int(1)), "integer overflow");
        assert_eq!(told("_%_", Val::Int(i64::MIN), Val::Int(-1)), "integer overflow");
        assert_eq!(told("_-_", Val::Uint(0), Val::Uint(1)), "unsigned integer overflow");
        assert_eq!(told("_/_", Val::Uint(1), Val::Uint(0)), "division by zero");
        assert_eq!(told("_%_", Val::Int(1), Val::Int(0)), "modulus by zero");
        for other in [Val::Int(1), Val::Uint(1), Val::Double(1.0), Val::Double(f64::NAN)] {
            assert_eq!(told("_<_", Val::Double(f64::NAN), other.clone()), "NaN values cannot be ordered");
            assert_eq!(told("_>=_", other, Val::Double(f64::NAN)), "NaN values cannot be ordered");
        }
    }
}
