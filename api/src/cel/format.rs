//! `format`: a text whose clauses give way to values, as cel-go prints them in American English.

use super::outcome::{Outcome, fail};
use super::{EvalError, Key, Type, Val};
use crate::field::go_quote;

/// Digits after the point if a clause does not ask for more or fewer.
const DIGITS: usize = 6;
/// The most digits that a clause may ask for.
const MOST_DIGITS: usize = 1000;
const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

type Printed = Result<String, EvalError>;

/// The pattern with the arguments in place of its clauses.
pub(super) fn filled(pattern: &str, arguments: &[Val]) -> Outcome {
    let (mut out, mut rest, mut used) = (String::new(), pattern, 0);
    while let Some((plain, clause)) = rest.split_once('%') {
        out.push_str(plain);
        if let Some(after) = clause.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let Some(value) = arguments.get(used) else { return fail(format!("index {used} out of range")) };
        let (clause, after) = Clause::read(clause)?;
        out.push_str(&clause.print(value)?);
        (rest, used) = (after, used + 1);
    }
    out.push_str(rest);
    Ok(Val::text(out))
}

/// What stands after a percent sign.
struct Clause {
    verb: char,
    precision: Option<usize>,
}

impl Clause {
    /// A clause, and what follows it.
    fn read(text: &str) -> Result<(Self, &str), EvalError> {
        if text.is_empty() {
            return fail("unexpected end of string");
        }
        let (precision, rest) = precision(text)?;
        let mut chars = rest.chars();
        match chars.next() {
            Some(verb) if "sdfebxXo".contains(verb) => Ok((Self { verb, precision }, chars.as_str())),
            verb => {
                let verb = verb.map(String::from).unwrap_or_default();
                fail(format!("could not parse formatting clause: unrecognized formatting clause \"{verb}\""))
            }
        }
    }

    /// Whether a value of a type may be there.
    fn takes(&self, of: &Type) -> bool {
        match self.verb {
            _ if *of == Type::Dyn => true,
            's' => !matches!(of, Type::Object(_) | Type::Named(_) | Type::Optional(_)),
            'f' | 'e' => matches!(of, Type::Double | Type::Text),
            'b' => matches!(of, Type::Int | Type::Uint | Type::Bool),
            'x' | 'X' => matches!(of, Type::Int | Type::Uint | Type::Text | Type::Bytes),
            _ => matches!(of, Type::Int | Type::Uint),
        }
    }

    fn print(&self, value: &Val) -> Printed {
        let digits = self.precision.unwrap_or(DIGITS);
        let printed = match self.verb {
            's' => return shown(value),
            'd' => whole(value, |number| number.to_string()),
            'f' => double(value).map(|number| fixed(number, digits)),
            'e' => double(value).map(|number| scientific(number, digits)),
            'b' => match value {
                Val::Bool(flag) => Some(u8::from(*flag).to_string()),
                value => whole(value, |number| format!("{number:b}")),
            },
            'x' => hex(value),
            'X' => hex(value).map(|text| text.to_uppercase()),
            _ => whole(value, |number| format!("{number:o}")),
        };
        printed.map_or_else(|| wrong(self.verb, value), Ok)
    }
}

/// The digits that a clause asks for, and what follows them.
fn precision(text: &str) -> Result<(Option<usize>, &str), EvalError> {
    let unreadable =
        |why: String| fail(format!("could not parse formatting clause: error while parsing precision: {why}"));
    let Some(text) = text.strip_prefix('.') else { return Ok((None, text)) };
    let Some(end) = text.find(|c: char| !c.is_ascii_digit()) else {
        return unreadable("could not find end of precision specifier".to_owned());
    };
    let (digits, rest) = text.split_at(end);
    match digits.parse::<usize>() {
        Ok(asked) if asked <= MOST_DIGITS => Ok((Some(asked), rest)),
        _ => {
            let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
            unreadable(format!(
                "error while converting precision to integer: strconv.Atoi: parsing \"{digits}\": {why}"
            ))
        }
    }
}

/// The first thing that is wrong with a pattern for values of these types: at which of them, if at one, and why.
pub(super) fn misfit(pattern: &str, given: &[Type]) -> Option<(Option<usize>, String)> {
    let (mut rest, mut used) = (pattern, 0);
    while let Some((_, clause)) = rest.split_once('%') {
        if let Some(after) = clause.strip_prefix('%') {
            rest = after;
            continue;
        }
        if used >= given.len() && !clause.is_empty() {
            return Some((None, format!("index {used} out of range")));
        }
        let (clause, after) = match Clause::read(clause) {
            Ok(read) => read,
            Err(why) => return Some((None, why.to_string())),
        };
        let of = &given[used];
        if !clause.takes(of) {
            return Some((Some(used), misplaced(clause.verb, of.runtime_name())));
        }
        (rest, used) = (after, used + 1);
    }
    let why = || format!("too many arguments supplied to string.format (expected {used}, got {})", given.len());
    (given.len() > used).then(|| (None, why()))
}

fn wrong(verb: char, value: &Val) -> Printed {
    fail(misplaced(verb, value.type_name()))
}

/// What is said of a value that a clause cannot print.
fn misplaced(verb: char, kind: &str) -> String {
    let words = match verb {
        's' => {
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
        }
        'd' => "decimal clause can only be used on integers",
        'f' => "fixed-point clause can only be used on doubles",
        'e' => "scientific clause can only be used on doubles",
        'b' => "only integers and bools can be formatted as binary",
        'x' | 'X' => "only integers, byte buffers, and strings can be formatted as hex",
        _ => "octal clause can only be used on integers",
    };
    format!("error during formatting: {words}, was given {kind}")
}

/// A whole number with its sign before its digits, in whichever base they are.
fn whole(value: &Val, digits: impl Fn(u64) -> String) -> Option<String> {
    match value {
        Val::Int(number) => {
            let sign = if *number < 0 { "-" } else { "" };
            Some(format!("{sign}{}", digits(number.unsigned_abs())))
        }
        Val::Uint(number) => Some(digits(*number)),
        _ => None,
    }
}

fn hex(value: &Val) -> Option<String> {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        Val::Text(text) => Some(bytes(text.as_bytes())),
        Val::Bytes(own) => Some(bytes(own)),
        value => whole(value, |number| format!("{number:x}")),
    }
}

/// A fraction; texts stand for the ones that no literal can spell.
fn double(value: &Val) -> Option<f64> {
    match value {
        Val::Double(number) => Some(*number),
        Val::Text(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// `1,234.50`.
fn fixed(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return endless(number);
    }
    let plain = format!("{:.digits$}", number.abs());
    let point = plain.find('.').unwrap_or(plain.len());
    let sign = if number.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}{}", grouped(&plain[..point]), &plain[point..])
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1.234500 × 10⁰³`. cel-go takes the digits that a clause asks for as the least width.
fn scientific(number: f64, width: usize) -> String {
    if !number.is_finite() {
        return format!("{:>width$}", endless(number));
    }
    let plain = format!("{number:.DIGITS$e}");
    let (mantissa, exponent) = plain.split_once('e').unwrap_or((plain.as_str(), "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("⁻", digits));
    let digits = format!("{digits:0>2}");
    let raised = digits.chars().filter_map(|digit| SUPERSCRIPTS.get(digit.to_digit(10)? as usize).copied());
    let text = format!("{mantissa}\u{202f}×\u{202f}10{sign}{}", raised.collect::<String>());
    format!("{text:>width$}")
}

fn endless(number: f64) -> String {
    let words = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "∞"
    } else {
        "-∞"
    };
    words.to_owned()
}

/// A value on its own.
fn shown(value: &Val) -> Printed {
    match value {
        Val::List(list) => {
            let items = list.iter().map(literal).collect::<Result<Vec<String>, EvalError>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        Val::Map(map) => {
            let pair = |(key, value): (&Key, &Val)| -> Result<(String, String), EvalError> {
                Ok((literal(&key.to_val())?, literal(value)?))
            };
            let mut pairs = map.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
            pairs.sort();
            let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
            Ok(format!("{{{}}}", pairs.join(", ")))
        }
        Val::Null => Ok("null".to_owned()),
        Val::Double(number) if number.is_infinite() => {
            Ok(if *number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() })
        }
        Val::Bytes(_) => match value.to_text() {
            Some(text) => Ok(text),
            None => fail("error during formatting: invalid UTF-8 in bytes, cannot convert to string"),
        },
        Val::Bool(_)
        | Val::Int(_)
        | Val::Uint(_)
        | Val::Double(_)
        | Val::Text(_)
        | Val::Time(_)
        | Val::Duration(_)
        | Val::Kind(_) => Ok(value.to_text().unwrap_or_default()),
        _ => wrong('s', value),
    }
}

/// A value in a list or a map: as an expression would spell it.
fn literal(value: &Val) -> Printed {
    Ok(match value {
        Val::Text(text) => go_quote(text),
        Val::Bytes(_) => format!("b{}", go_quote(&shown(value)?)),
        Val::Double(number) if number.is_finite() => format!("{number:.DIGITS$}"),
        Val::Double(_) => go_quote(&shown(value)?),
        Val::Time(_) => format!("timestamp({})", go_quote(&shown(value)?)),
        Val::Duration(_) => format!("duration({})", go_quote(&shown(value)?)),
        Val::List(_) | Val::Map(_) | Val::Null | Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Kind(_) => {
            shown(value)?
        }
        other => return fail(format!("error during formatting: no formatting function for {}", other.type_name())),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::run;
    use super::Val;

    fn of(pattern: &str, arguments: &str) -> String {
        given(pattern, &format!("[{arguments}]"))
    }

    /// With a list that is known only when it is run: what is written down is judged before.
    fn at_run_time(pattern: &str, argument: &str) -> String {
        given(pattern, &format!("[{argument}].map(x, x)"))
    }

    fn given(pattern: &str, list: &str) -> String {
        match run(&format!("'{pattern}'.format({list})"), Value::Null) {
            Ok(Val::Text(text)) => text.to_string(),
            other => other.unwrap_err(),
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(of("%d %d %d", "5, -5, 7u"), "5 -5 7");
        assert_eq!(of("%b %b %b %b", "5, -5, 64u, true"), "101 -101 1000000 1");
        assert_eq!(of("%o %o %x %X %x", "11, -11, -30, 30, 6000u"), "13 -13 -1e 1E 1770");
        assert_eq!(of("%.3f|%f|%.0f|%.2f", "1.2345, 2.71828, 7.0, -1234567.891"), "1.234|2.718280|7|-1,234,567.89");
        assert_eq!(of("%f %f %f", "'NaN', 'Infinity', '-Infinity'"), "NaN ∞ -∞");
        let small = "2.500000\u{202f}×\u{202f}10⁻⁰³";
        assert_eq!(of("%e|%.3e", "1052.032911275, 0.0025"), format!("1.052033\u{202f}×\u{202f}10⁰³|{small}"));
        assert_eq!(of("[%e][%.1e]", "'Infinity', 'NaN'"), "[     ∞][NaN]");
    }

    #[test]
    fn texts() {
        assert_eq!(of("%%%s%% and %s", "'a', null"), "%a% and null");
        assert_eq!(of("%x %X %x", "'Hello', 'Hello', b'a'"), "48656c6c6f 48656C6C6F 61");
        assert_eq!(of("%s %s %s", "2.5, b'xyz', int"), "2.5 xyz int");
        let times = "timestamp(\"2023-02-03T23:31:20Z\"), duration(\"2h\")";
        assert_eq!(of("%s %s", times), "2023-02-03T23:31:20Z 7200s");
        assert_eq!(of("%s", &format!("[{times}]")), "[timestamp(\"2023-02-03T23:31:20Z\"), duration(\"7200s\")]");
    }

    #[test]
    fn what_is_within_lists_and_maps_is_spelled_as_in_an_expression() {
        assert_eq!(of("%s", "[\"abc\", 3.14, null, [9, 8]]"), "[\"abc\", 3.140000, null, [9, 8]]");
        let map = "{\"b\": b\"x\", \"a\": null, \"c\": true, \"d\": [2]}";
        assert_eq!(of("%s", map), "{\"a\":null, \"b\":b\"x\", \"c\":true, \"d\":[2]}");
        assert_eq!(of("%s", "{2: 'x', 10: 'y', true: 1}"), "{10:\"y\", 2:\"x\", true:1}");
    }

    #[test]
    fn what_does_not_fit_its_clause_is_told() {
        let during = |pattern: &str, argument: &str| {
            let why = at_run_time(pattern, argument);
            why.strip_prefix("error during formatting: ").unwrap_or(&why).to_owned()
        };
        let decimal = "decimal clause can only be used on integers, was given";
        assert_eq!(during("%d", "'a'"), format!("{decimal} string"));
        assert_eq!(during("%d", "duration('1s')"), format!("{decimal} google.protobuf.Duration"));
        assert_eq!(during("%f", "1"), "fixed-point clause can only be used on doubles, was given int");
        assert_eq!(during("%e", "null"), "scientific clause can only be used on doubles, was given null_type");
        assert_eq!(during("%b", "'a'"), "only integers and bools can be formatted as binary, was given string");
        assert_eq!(during("%o", "0.5"), "octal clause can only be used on integers, was given double");
        assert!(during("%x", "0.5").ends_with("can be formatted as hex, was given double"));
        assert!(during("%s", "quantity('1')").ends_with("durations, and timestamps, was given kubernetes.Quantity"));
        assert_eq!(during("%s", "[quantity('1')]"), "no formatting function for kubernetes.Quantity");
    }

    #[test]
    fn clauses_that_are_none_are_told() {
        assert_eq!(at_run_time("%d %d", "1"), "index 1 out of range");
        assert_eq!(at_run_time("a %", "1"), "unexpected end of string");
        let clause = |pattern: &str| {
            let why = at_run_time(pattern, "1.5");
            why.strip_prefix("could not parse formatting clause: ").unwrap_or(&why).to_owned()
        };
        assert_eq!(clause("%a"), "unrecognized formatting clause \"a\"");
        assert_eq!(clause("%.3"), "error while parsing precision: could not find end of precision specifier");
        assert!(clause("%.f").ends_with("strconv.Atoi: parsing \"\": invalid syntax"));
        for many in ["1001", "99999", "99999999999999999999999"] {
            assert!(clause(&format!("%.{many}f")).ends_with("value out of range"), "{many}");
        }
        assert_eq!(of("%.1000f", "1.5").len(), 1002);
        assert_eq!(run("'%s'.format([x])", Value::Null), Ok(Val::text("null")));
    }
}
