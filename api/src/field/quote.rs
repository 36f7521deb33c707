//! Values in the words of Go's fmt and encoding/json, which Kubernetes' messages are made of.

use std::fmt::Write;

use serde_json::Value;

use crate::json::go_type;

/// A string in double quotes with Go's escapes (`%q`).
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    if let Some(escape) = short_escape(c) {
        out.push_str(escape);
        return;
    }
    match c {
        c if is_printable(c) => out.push(c),
        c => {
            let code = u32::from(c);
            let written = match code {
                ..0x80 => write!(out, "\\x{code:02x}"),
                0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
            written.expect("writing to a String does not fail");
        }
    }
}

/// How a character is written that a literal of Go, or of CEL, has a letter for.
pub(crate) fn short_escape(c: char) -> Option<&'static str> {
    Some(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        _ => return None,
    })
}

/// Go's unicode.IsPrint, near enough: no controls, no separators but the space, no format characters.
#[must_use]
pub fn is_printable(c: char) -> bool {
    let hidden = matches!(u32::from(c),
        0xad | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe000..=0xf8ff);
    !c.is_control() && !hidden && (c == ' ' || !c.is_whitespace())
}

/// A float as `%v` prints it: with an exponent from a million on, however few its digits are.
#[must_use]
pub fn float(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// JSON as Go's encoder writes it: `<`, `>`, `&` and the line separators escaped.
#[must_use]
pub fn json(value: &Value) -> String {
    let plain = value.to_string();
    if !plain.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String does not fail");
            }
            c => out.push(c),
        }
    }
    out
}

/// A decoded JSON value as `%v` prints it: `map[a:1 b:[x y]]`.
#[must_use]
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(exact) if number.is_f64() => float(exact),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(self::value).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let items: Vec<String> = map.iter().map(|(key, item)| format!("{key}:{}", self::value(item))).collect();
            format!("map[{}]", items.join(" "))
        }
    }
}

/// A decoded JSON value as `%s` prints it, which takes offence at all that is no text: `%!s(int64=3)`.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "%!s(<nil>)".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("%!s({}={})", go_type(value), self::value(value)),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let items: Vec<String> = map.iter().map(|(key, item)| format!("{key}:{}", text(item))).collect();
            format!("map[{}]", items.join(" "))
        }
    }
}
