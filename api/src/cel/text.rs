//! Strings and regular expressions.

use std::cell::RefCell;
use std::collections::HashMap;

use base64::Engine;
use regex::Regex;

use super::format::filled;
use super::outcome::{Outcome, fail};
use super::{EvalError, Val};
use crate::field::go_quote;

/// Compiled patterns that a thread keeps.
const KEPT: usize = 256;

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

fn pattern(text: &str) -> Result<Regex, EvalError> {
    PATTERNS.with_borrow_mut(|kept| {
        if let Some(found) = kept.get(text) {
            return Ok(found.clone());
        }
        let made = crate::schema::pattern::compiled(text).map_err(|_| {
            EvalError::Failed(crate::schema::pattern::error(text).unwrap_or_else(|| "invalid pattern".to_owned()))
        })?;
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_owned(), made.clone());
        Ok(made)
    })
}

fn int(number: usize) -> Val {
    Val::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    if let ("base64.encode", [Val::Bytes(bytes)]) = (name, values) {
        return Some(Ok(Val::text(base64::engine::general_purpose::STANDARD.encode(bytes))));
    }
    let [Val::Text(own), rest @ ..] = values else { return None };
    Some(match (name, rest) {
        ("size", []) => Ok(int(own.chars().count())),
        ("contains", [Val::Text(part)]) => Ok(Val::Bool(own.contains(&**part))),
        ("startsWith", [Val::Text(part)]) => Ok(Val::Bool(own.starts_with(&**part))),
        ("endsWith", [Val::Text(part)]) => Ok(Val::Bool(own.ends_with(&**part))),
        ("matches", [Val::Text(regex)]) => pattern(regex).map(|regex| Val::Bool(regex.is_match(own))),
        ("find", [Val::Text(regex)]) => {
            pattern(regex).map(|regex| Val::text(regex.find(own).map(|found| found.as_str()).unwrap_or_default()))
        }
        ("findAll", [Val::Text(regex), limit @ ..]) => find_all(own, regex, limit),
        ("lowerAscii", []) => Ok(Val::text(own.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Val::text(own.to_ascii_uppercase())),
        ("trim", []) => Ok(Val::text(own.trim())),
        ("reverse", []) => Ok(Val::text(own.chars().rev().collect::<String>())),
        ("strings.quote", []) => Ok(Val::text(go_quote(own))),
        ("charAt", [Val::Int(at)]) => char_at(own, *at),
        ("indexOf", [Val::Text(part), from @ ..]) => Ok(index_of(own, part, from)),
        ("lastIndexOf", [Val::Text(part), ..]) => {
            Ok(own.rfind(&**part).map_or(Val::Int(-1), |at| int(own[..at].chars().count())))
        }
        ("replace", [Val::Text(from), Val::Text(to)]) => Ok(Val::text(own.replace(&**from, to))),
        ("replace", [Val::Text(from), Val::Text(to), Val::Int(times)]) => {
            Ok(Val::text(match usize::try_from(*times) {
                Ok(times) => own.replacen(&**from, to, times),
                Err(_) => own.replace(&**from, to),
            }))
        }
        ("split", [Val::Text(by), limit @ ..]) => Ok(split(own, by, limit)),
        ("substring", [Val::Int(from)]) => {
            substring(own, *from, i64::try_from(own.chars().count()).unwrap_or(i64::MAX))
        }
        ("substring", [Val::Int(from), Val::Int(to)]) => substring(own, *from, *to),
        ("format", [Val::List(arguments)]) => filled(own, arguments),
        ("base64.decode", []) => match base64::engine::general_purpose::STANDARD.decode(&**own) {
            Ok(bytes) => Ok(Val::Bytes(bytes.into())),
            Err(_) => fail("illegal base64 data"),
        },
        ("jsonpatch.escapeKey", []) => Ok(Val::text(own.replace('~', "~0").replace('/', "~1"))),
        _ => return None,
    })
}

fn find_all(own: &str, regex: &str, limit: &[Val]) -> Outcome {
    let most = match limit {
        [Val::Int(number)] if *number >= 0 => usize::try_from(*number).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let regex = pattern(regex)?;
    Ok(Val::list(regex.find_iter(own).take(most).map(|found| Val::text(found.as_str()))))
}

fn char_at(own: &str, at: i64) -> Outcome {
    let length = own.chars().count();
    match usize::try_from(at) {
        Ok(at) if at < length => Ok(Val::text(own.chars().skip(at).take(1).collect::<String>())),
        Ok(at) if at == length => Ok(Val::text("")),
        _ => fail(format!("index out of range: {at}")),
    }
}

fn index_of(own: &str, part: &str, from: &[Val]) -> Val {
    let skip = match from {
        [Val::Int(number)] => usize::try_from(*number).unwrap_or_default(),
        _ => 0,
    };
    let start = own.char_indices().nth(skip).map_or(own.len(), |(at, _)| at);
    own[start..].find(part).map_or(Val::Int(-1), |at| int(own[..start + at].chars().count()))
}

fn split(own: &str, by: &str, limit: &[Val]) -> Val {
    let all = |text: &str| -> Vec<Val> {
        if by.is_empty() {
            text.chars().map(|c| Val::text(c.to_string())).collect()
        } else {
            text.split(by).map(Val::text).collect()
        }
    };
    match limit {
        [Val::Int(0)] => Val::list([]),
        [Val::Int(most)] if *most > 0 && !by.is_empty() => {
            Val::list(own.splitn(usize::try_from(*most).unwrap_or(usize::MAX), by).map(Val::text))
        }
        _ => Val::list(all(own)),
    }
}

fn substring(own: &str, from: i64, to: i64) -> Outcome {
    let length = own.chars().count();
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(start), Ok(end)) if start <= end && end <= length => {
            Ok(Val::text(own.chars().skip(start).take(end - start).collect::<String>()))
        }
        (Ok(start), Ok(end)) if start > end && end <= length => {
            fail(format!("invalid substring range. start: {start}, end: {end}"))
        }
        (Ok(start), Ok(end)) => fail(format!("index out of range: {}", if start > length { start } else { end })),
        _ => fail(format!("index out of range: {}", if from < 0 { from } else { to })),
    }
}
