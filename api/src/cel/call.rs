//! What functions do.

use std::sync::Arc;

use super::operators::operator;
use super::outcome::{Outcome, fail, no_overload, overflow, unfit};
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
    found.unwrap_or_else(|| misfit(name, &values))
}

/// What is said of values that a function does not take. Operators, and what looks at any value, do not name them.
fn misfit(name: &str, values: &[Val]) -> Outcome {
    let plain = matches!(name, "contains" | "startsWith" | "endsWith" | "matches");
    let silent = plain || name.starts_with(['_', '!', '-', '@']);
    match (name, values) {
        _ if silent => no_overload(),
        ("flatten", [own]) => fail(format!("no such overload: {}.flatten()", own.type_name())),
        ("flatten", [own, depth]) => {
            fail(format!("no such overload: {}.flatten({})", own.type_name(), depth.type_name()))
        }
        _ => unfit(name, values),
    }
}

/// Whether the first operand is of a kind that knows the operator at all; what it does not know is told by its name.
fn has_trait(name: &str, values: &[Val]) -> bool {
    let first = match values {
        [first] => return has_own_trait(name, first),
        [first, _] => first,
        _ => return true,
    };
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
        "matches" => matches!(first, Val::Text(_)),
        "@sortByAssociatedKeys" => matches!(first, Val::List(_)),
        _ => true,
    }
}

/// The same for what takes no second operand.
fn has_own_trait(name: &str, own: &Val) -> bool {
    match name {
        "-_" => matches!(own, Val::Bool(_) | Val::Int(_) | Val::Double(_) | Val::Duration(_)),
        "size" => matches!(own, Val::Text(_) | Val::Bytes(_) | Val::List(_) | Val::Map(_)),
        "sort" => matches!(own, Val::List(_)),
        _ => true,
    }
}

/// Whether `string` takes a value.
fn has_text(value: &Val) -> bool {
    let number = matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_));
    let time = matches!(value, Val::Time(_) | Val::Duration(_));
    number || time || matches!(value, Val::Bool(_) | Val::Text(_) | Val::Bytes(_) | Val::Ip(_) | Val::Cidr(_))
}

/// Whether a value is what its type has by default.
fn is_zero(value: &Val) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) | Val::Duration(0) => true,
        Val::Double(number) => *number == 0.0,
        other => other.size() == 0,
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
        ("int", [Val::Time(time)]) => Ok(Val::Int(time.second())),
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
        ("string", [value]) if has_text(value) => value.to_text().map_or_else(no_overload, |text| Ok(Val::text(text))),
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
        ("optional.ofNonZeroValue", [value]) => Ok(Val::Optional((!is_zero(value)).then(|| Arc::new(value.clone())))),
        ("hasValue", [Val::Optional(inner)]) => Ok(Val::Bool(inner.is_some())),
        ("value", [Val::Optional(Some(inner))]) => Ok((**inner).clone()),
        ("value", [Val::Optional(None)]) => fail("optional.none() dereference"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{holds, run};

    #[test]
    fn values_that_no_overload_takes_are_told_by_their_types() {
        for (text, told) in [
            ("dyn(1).lowerAscii() == 'a'", "lowerAscii(int)"),
            ("dyn('a').substring(dyn('b')) == ''", "substring(string, string)"),
            ("int(dyn(true)) == 1", "int(bool)"),
            ("string(dyn(null)) == ''", "string(null_type)"),
            ("string(dyn(quantity('1'))) == '1'", "string(kubernetes.Quantity)"),
            ("quantity(dyn(1)) == quantity('1')", "quantity(int)"),
            ("dyn('a').getFullYear() == 1", "getFullYear(string)"),
            ("sets.contains(dyn(1), [1])", "sets.contains(int, list)"),
            ("dyn(['a']).sum() == 'a'", "sum(list)"),
            ("dyn([[1]]).max() == [1]", "max(list)"),
            ("dyn([1]).join(',') == '1'", "join(list, string)"),
            ("dyn(1).value() == 1", "value(int)"),
            ("dyn(1).flatten() == []", "int.flatten()"),
            ("size(dyn(1)) == 1", "size"),
            ("dyn(1).matches('a')", "matches"),
            ("-dyn('a') == 1", "-_"),
            ("dyn(1).sort() == [1]", "sort"),
        ] {
            assert_eq!(run(text, Value::Null).unwrap_err(), format!("no such overload: {told}"), "{text}");
        }
        for text in [
            "dyn(1).contains('a')",
            "dyn('a').startsWith(dyn(1))",
            "1 in dyn(1)",
            "!dyn(1)",
            "-dyn(true) == 1",
            "dyn('a').matches(dyn(1))",
        ] {
            assert_eq!(run(text, Value::Null).unwrap_err(), "no such overload", "{text}");
        }
    }

    #[test]
    fn what_is_no_optional_is_taken_as_it_is() {
        holds("x.a.orValue(2) == 1 && dyn(x.a.or(optional.of(2))) == 1", json!({"a": 1}));
        assert_eq!(run("x.b.orValue(2) == 2", json!({"a": 1})).unwrap_err(), "no such key: b");
    }

    #[test]
    fn quantities_that_are_too_large_are_no_integers() {
        holds("quantity('50k').isInteger() && quantity('50k').asInteger() == 50000", Value::Null);
        holds(
            "!quantity('9999999999999999999999999999999999999G').isInteger() && !quantity('0.5').isInteger()",
            json!(0),
        );
        let why = run("quantity('9999999999999999999999999999999999999G').asInteger() == 1", Value::Null).unwrap_err();
        assert_eq!(why, "cannot convert value to integer");
    }

    #[test]
    fn what_is_written_in_smaller_units_is_no_integer() {
        for text in ["1k", "1.5k", "1Ki", "-3", "1e3", "50000000G"] {
            holds("quantity(x).isInteger()", json!(text));
        }
        for text in ["1000m", "1.0", "1.5Ki", "1000000000n", "9223372036854775807"] {
            holds("!quantity(x).isInteger()", json!(text));
        }
        holds("quantity('1k').add(1).isInteger() && !quantity('1').add(quantity('1000m')).isInteger()", Value::Null);
        holds(
            "quantity('1').sub(quantity('0')).isInteger() && !quantity('2').sub(quantity('1.0')).isInteger()",
            json!(0),
        );
    }

    #[test]
    fn zero_values_make_no_optional() {
        for zero in ["0.0", "duration('0s')", "''", "b''", "[]", "{}", "0u", "false", "null"] {
            holds(&format!("!optional.ofNonZeroValue({zero}).hasValue()"), Value::Null);
        }
        holds("optional.ofNonZeroValue(0.5).hasValue() && optional.ofNonZeroValue(timestamp(0)).hasValue()", json!(0));
    }

    #[test]
    fn types_of_times_are_named_with_dots() {
        holds("type(timestamp(0)) == google.protobuf.Timestamp", Value::Null);
        holds("type(duration('1s')) == google.protobuf.Duration && type(x) != google.protobuf.Duration", json!(1));
        holds(
            "type(ip('::1')) == net.IP && type(cidr('::/0')) == net.CIDR && {'net': {'IP': 1}}.net.IP == 1",
            json!(1),
        );
        let why = run("type(1) == 'int'", Value::Null).unwrap_err();
        assert!(why.contains("'_==_' applied to '(type(int), string)'"), "{why}");
        let why = run("list == 1 || type(type(x)) == 1", Value::Null).unwrap_err();
        assert!(why.contains("'(type(list(dyn)), int)'") && why.contains("'(type(type(dyn)), int)'"), "{why}");
        holds("type(x) in [int, string] && type(x) == (x == 1 ? int : string)", json!(1));
        assert!(run("google.protobuf.Any == 1", Value::Null).unwrap_err().contains("undeclared reference to 'google'"));
    }
}
