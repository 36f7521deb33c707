//! What functions do.

use std::sync::Arc;

use super::operators::operator;
use super::outcome::{Outcome, fail, no_overload, overflow};
use super::{EvalError, Val, kube, lists, text, time};
use crate::numbers::parse_uint;

/// The least number that is too large for an `int`.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// Calls a function; for a method the first value is the target.
pub(super) fn call(name: &str, member: bool, values: Vec<Val>) -> Outcome {
    if member
        && let [Val::Host(host), arguments @ ..] = values.as_slice()
        && let Some(found) = host.call(name, arguments)
    {
        return found.map_err(EvalError::Failed);
    }
    if !has_trait(name, &values) {
        return fail(format!("no such overload: {name}"));
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

/// Whether the first operand is of a kind that knows the operator at all; what it does not know is told by its name.
fn has_trait(name: &str, values: &[Val]) -> bool {
    let [first, _] = values else { return true };
    let number = matches!(first, Val::Int(_) | Val::Uint(_) | Val::Double(_));
    let time = matches!(first, Val::Time(_) | Val::Duration(_));
    match name {
        "_<_" | "_<=_" | "_>_" | "_>=_" => {
            number || time || matches!(first, Val::Bool(_) | Val::Text(_) | Val::Bytes(_))
        }
        "_+_" => number || time || matches!(first, Val::Text(_) | Val::Bytes(_) | Val::List(_)),
        "_-_" => number || time,
        "_*_" | "_/_" => number,
        "_%_" => matches!(first, Val::Int(_) | Val::Uint(_)),
        _ => true,
    }
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
        ("int", [Val::Double(number)]) if number.abs() < TOO_LARGE => Ok(Val::Int(*number as i64)),
        ("int", [Val::Double(_)]) => overflow(),
        ("int", [Val::Text(text)]) => text.parse().map_or_else(|_| wrong("int"), |n| Ok(Val::Int(n))),
        ("int", [Val::Time(time)]) => Ok(Val::Int(time.as_second())),
        ("int", [Val::Duration(nanos)]) => Ok(Val::Int(*nanos)),
        ("uint", [Val::Uint(number)]) => Ok(Val::Uint(*number)),
        ("uint", [Val::Int(number)]) => {
            u64::try_from(*number).map_or_else(|_| fail("unsigned integer overflow"), |n| Ok(Val::Uint(n)))
        }
        ("uint", [Val::Double(number)]) if (0.0..2.0 * TOO_LARGE).contains(number) => Ok(Val::Uint(*number as u64)),
        ("uint", [Val::Double(_)]) => fail("unsigned integer overflow"),
        ("uint", [Val::Text(text)]) => parse_uint(text).map_or_else(|_| wrong("uint"), |n| Ok(Val::Uint(n))),
        ("double", [Val::Double(number)]) => Ok(Val::Double(*number)),
        ("double", [Val::Int(number)]) => Ok(Val::Double(*number as f64)),
        ("double", [Val::Uint(number)]) => Ok(Val::Double(*number as f64)),
        ("double", [Val::Text(text)]) => match text.parse::<f64>() {
            // What is too large for a float is none in Go.
            Ok(number) if number.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) => Ok(Val::Double(number)),
            _ => wrong("double"),
        },
        ("string", [Val::Bytes(bytes)]) if std::str::from_utf8(bytes).is_err() => {
            fail("invalid UTF-8 in bytes, cannot convert to string")
        }
        ("string", [value]) => value.to_text().map_or_else(no_overload, |text| Ok(Val::text(text))),
        ("bytes", [Val::Text(text)]) => Ok(Val::Bytes(Arc::from(text.as_bytes()))),
        ("bytes", [Val::Bytes(bytes)]) => Ok(Val::Bytes(bytes.clone())),
        ("bool", [Val::Bool(flag)]) => Ok(Val::Bool(*flag)),
        ("bool", [Val::Text(text)]) => match &**text {
            "true" | "TRUE" | "True" | "t" | "T" | "1" => Ok(Val::Bool(true)),
            "false" | "FALSE" | "False" | "f" | "F" | "0" => Ok(Val::Bool(false)),
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
