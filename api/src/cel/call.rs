//! What functions do.

use std::cmp::Ordering;
use std::sync::Arc;

use super::eval::field;
use super::{EvalError, Key, Val, kube, lists, text, time};

pub(super) type Outcome = Result<Val, EvalError>;

pub(super) fn fail<T>(why: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Failed(why.into()))
}

pub(super) fn no_overload<T>() -> Result<T, EvalError> {
    fail("no such overload")
}

/// Calls a function; for a method the first value is the target.
pub(super) fn call(name: &str, member: bool, values: Vec<Val>) -> Outcome {
    if member
        && let [Val::Host(host), arguments @ ..] = values.as_slice()
        && let Some(found) = host.call(name, arguments)
    {
        return found.map_err(EvalError::Failed);
    }
    if let Some(found) = operator(name, &values) {
        return found;
    }
    if let Some(found) = conversion(name, &values) {
        return found;
    }
    let found = text::call(name, &values)
        .or_else(|| lists::call(name, &values))
        .or_else(|| time::call(name, &values))
        .or_else(|| kube::call(name, &values));
    found.unwrap_or_else(no_overload)
}

fn operator(name: &str, values: &[Val]) -> Option<Outcome> {
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

fn overflow<T>() -> Result<T, EvalError> {
    fail("integer overflow")
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

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ranges are checked first"
)]
fn conversion(name: &str, values: &[Val]) -> Option<Outcome> {
    let wrong = |to: &str| fail(format!("type conversion error from '{}' to '{to}'", values[0].type_name()));
    Some(match (name, values) {
        ("int", [Val::Int(number)]) => Ok(Val::Int(*number)),
        ("int", [Val::Uint(number)]) => i64::try_from(*number).map_or_else(|_| overflow(), |n| Ok(Val::Int(n))),
        ("int", [Val::Double(number)]) if number.abs() < 9.2e18 => Ok(Val::Int(*number as i64)),
        ("int", [Val::Double(_)]) => overflow(),
        ("int", [Val::Text(text)]) => text.parse().map_or_else(|_| wrong("int"), |n| Ok(Val::Int(n))),
        ("int", [Val::Time(time)]) => Ok(Val::Int(time.as_second())),
        ("int", [Val::Duration(nanos)]) => Ok(Val::Int(*nanos)),
        ("uint", [Val::Uint(number)]) => Ok(Val::Uint(*number)),
        ("uint", [Val::Int(number)]) => {
            u64::try_from(*number).map_or_else(|_| fail("unsigned integer overflow"), |n| Ok(Val::Uint(n)))
        }
        ("uint", [Val::Double(number)]) if (0.0..1.8e19).contains(number) => Ok(Val::Uint(*number as u64)),
        ("uint", [Val::Text(text)]) => text.parse().map_or_else(|_| wrong("uint"), |n| Ok(Val::Uint(n))),
        ("double", [Val::Double(number)]) => Ok(Val::Double(*number)),
        ("double", [Val::Int(number)]) => Ok(Val::Double(*number as f64)),
        ("double", [Val::Uint(number)]) => Ok(Val::Double(*number as f64)),
        ("double", [Val::Text(text)]) => text.parse().map_or_else(|_| wrong("double"), |n| Ok(Val::Double(n))),
        ("string", [value]) => value.to_text().map_or_else(no_overload, |text| Ok(Val::text(text))),
        ("bytes", [Val::Text(text)]) => Ok(Val::Bytes(Arc::from(text.as_bytes()))),
        ("bytes", [Val::Bytes(bytes)]) => Ok(Val::Bytes(bytes.clone())),
        ("bool", [Val::Bool(flag)]) => Ok(Val::Bool(*flag)),
        ("bool", [Val::Text(text)]) => match &**text {
            "true" | "TRUE" | "True" | "t" | "1" => Ok(Val::Bool(true)),
            "false" | "FALSE" | "False" | "f" | "0" => Ok(Val::Bool(false)),
            _ => wrong("bool"),
        },
        ("dyn", [value]) => Ok(value.clone()),
        ("type", [value]) => Ok(Val::Kind(Arc::from(value.type_name()))),
        ("optional.of", [value]) => Ok(Val::Optional(Some(Arc::new(value.clone())))),
        ("optional.none", []) => Ok(Val::Optional(None)),
        ("optional.ofNonZeroValue", [value]) => {
            let zero = value.size() == 0 || matches!(value, Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0));
            Ok(Val::Optional((!zero).then(|| Arc::new(value.clone()))))
        }
        ("hasValue", [Val::Optional(inner)]) => Ok(Val::Bool(inner.is_some())),
        ("value", [Val::Optional(Some(inner))]) => Ok((**inner).clone()),
        ("value", [Val::Optional(None)]) => fail("optional.none() dereference"),
        _ => return None,
    })
}
