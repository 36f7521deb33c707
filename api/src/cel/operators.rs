//! What operators do.

use std::cmp::Ordering;
use std::sync::Arc;

use super::fields::field;
use super::outcome::{Outcome, fail, no_overload, overflow};
use super::{Key, Val, time};

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
    a.compare(b).map_or_else(no_overload, |order| Ok(Val::Bool(holds(order))))
}

fn arithmetic(name: &str, a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => ints(name, *a, *b),
        (Val::Uint(a), Val::Uint(b)) => uints(name, *a, *b),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(match name {
            "_+_" => a + b,
            "_-_" => a - b,
            "_*_" => a * b,
            "_/_" => a / b,
            _ => return no_overload(),
        })),
        (Val::Text(a), Val::Text(b)) if name == "_+_" => Ok(Val::text(format!("{a}{b}"))),
        (Val::Bytes(a), Val::Bytes(b)) if name == "_+_" => Ok(Val::Bytes(a.iter().chain(b.iter()).copied().collect())),
        (Val::List(a), Val::List(b)) if name == "_+_" => Ok(Val::list(a.iter().chain(b.iter()).cloned())),
        _ => time::arithmetic(name, a, b).unwrap_or_else(no_overload),
    }
}

fn ints(name: &str, a: i64, b: i64) -> Outcome {
    let found = match name {
        "_+_" => a.checked_add(b),
        "_-_" => a.checked_sub(b),
        "_*_" => a.checked_mul(b),
        "_/_" if b == 0 => return fail("division by zero"),
        "_%_" if b == 0 => return fail("modulus by zero"),
        "_/_" => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    found.map_or_else(overflow, |number| Ok(Val::Int(number)))
}

fn uints(name: &str, a: u64, b: u64) -> Outcome {
    let found = match name {
        "_+_" => a.checked_add(b),
        "_-_" => a.checked_sub(b),
        "_*_" => a.checked_mul(b),
        "_/_" if b == 0 => return fail("division by zero"),
        "_%_" if b == 0 => return fail("modulus by zero"),
        "_/_" => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    found.map_or_else(|| fail("unsigned integer overflow"), |number| Ok(Val::Uint(number)))
}

fn index(of: &Val, at: &Val) -> Outcome {
    match (of, at) {
        (Val::Optional(_), _) => Ok(optional_index(of, at)),
        (Val::List(list), at) => {
            let Some(Key::Int(number)) = Key::of(at) else { return no_overload() };
            let found = usize::try_from(number).ok().and_then(|number| list.get(number));
            found.map_or_else(|| fail(format!("index out of bounds: {number}")), |value| Ok(value.clone()))
        }
        (Val::Map(map), at) => match Key::of(at).and_then(|key| map.get(&key)) {
            Some(value) => Ok(value.clone()),
            None => fail(format!("no such key: {}", at.to_text().unwrap_or_default())),
        },
        _ => no_overload(),
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
