//! Strings and regular expressions.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

use super::format::filled;
use super::outcome::{Outcome, fail};
use super::{EvalError, Val};
use crate::field::short_escape;

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

/// A pattern that a function of Kubernetes' own takes, which tells of a bad one in words of its own.
fn legal(text: &str) -> Result<Regex, EvalError> {
    pattern(text).map_err(|error| EvalError::Failed(format!("Illegal regex: {error}")))
}

fn int(number: usize) -> Val {
    Val::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    let [Val::Text(own), rest @ ..] = values else { return None };
    Some(match (name, rest) {
        ("size", []) => Ok(int(own.chars().count())),
        ("contains", [Val::Text(part)]) => Ok(Val::Bool(own.contains(&**part))),
        ("startsWith", [Val::Text(part)]) => Ok(Val::Bool(own.starts_with(&**part))),
        ("endsWith", [Val::Text(part)]) => Ok(Val::Bool(own.ends_with(&**part))),
        ("matches", [Val::Text(regex)]) => pattern(regex).map(|regex| Val::Bool(regex.is_match(own))),
        ("find", [Val::Text(regex)]) => {
            legal(regex).map(|regex| Val::text(regex.find(own).map(|found| found.as_str()).unwrap_or_default()))
        }
        ("findAll", [Val::Text(regex), limit @ ..]) => find_all(own, regex, limit),
        ("lowerAscii", []) => Ok(Val::text(own.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Val::text(own.to_ascii_uppercase())),
        ("trim", []) => Ok(Val::text(own.trim())),
        ("strings.quote", []) => Ok(Val::text(quoted(own))),
        ("charAt", [Val::Int(at)]) => char_at(own, *at),
        ("indexOf", [Val::Text(part)]) => index_of(own, part, 0),
        ("indexOf", [Val::Text(part), Val::Int(from)]) => index_of(own, part, *from),
        ("lastIndexOf", [Val::Text(part)]) => Ok(last_index_of(own, part, None)),
        ("lastIndexOf", [Val::Text(part), Val::Int(to)]) if part.is_empty() => Ok(Val::Int(*to)),
        ("lastIndexOf", [Val::Text(_), Val::Int(to)]) if *to < 0 => fail(format!("index out of range: {to}")),
        ("lastIndexOf", [Val::Text(part), Val::Int(to)]) => Ok(last_index_of(own, part, usize::try_from(*to).ok())),
        ("replace", [Val::Text(from), Val::Text(to)]) => Ok(Val::text(own.replace(&**from, to))),
        ("replace", [Val::Text(from), Val::Text(to), Val::Int(times)]) => {
            Ok(Val::text(match usize::try_from(*times) {
                Ok(times) => own.replacen(&**from, to, times),
                Err(_) => own.replace(&**from, to),
            }))
        }
        ("split", [Val::Text(by), limit @ ..]) => Ok(split(own, by, limit)),
        ("substring", [Val::Int(from)]) => {
            let length = i64::try_from(own.chars().count()).unwrap_or(i64::MAX);
            substring(own, *from, length.max(*from))
        }
        ("substring", [Val::Int(from), Val::Int(to)]) => substring(own, *from, *to),
        ("format", [Val::List(arguments)]) => filled(own, arguments),
        ("jsonpatch.escapeKey", []) => Ok(Val::text(own.replace('~', "~0").replace('/', "~1"))),
        _ => return None,
    })
}

fn find_all(own: &str, regex: &str, limit: &[Val]) -> Outcome {
    let most = match limit {
        [Val::Int(number)] if *number >= 0 => usize::try_from(*number).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let regex = legal(regex)?;
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

fn index_of(own: &str, part: &str, from: i64) -> Outcome {
    // Nothing is anywhere, even where no text is.
    if part.is_empty() {
        return Ok(Val::Int(from));
    }
    let Ok(skip) = usize::try_from(from) else { return fail(format!("index out of range: {from}")) };
    let start = own.char_indices().nth(skip).map_or(own.len(), |(at, _)| at);
    let found = own[start..].find(part);
    Ok(found.map_or(Val::Int(-1), |at| int(own[..start + at].chars().count())))
}

/// Where a part begins for the last time, at `to` at the latest.
fn last_index_of(own: &str, part: &str, to: Option<usize>) -> Val {
    let length = own.chars().count();
    let to = to.unwrap_or(if part.is_empty() { length } else { length.saturating_sub(1) });
    if part.is_empty() {
        return int(to);
    }
    let Some((latest, _)) = own.char_indices().nth(to) else { return Val::Int(-1) };
    // What begins there at the latest ends here at the latest, and not within a character.
    let mut end = own.len().min(latest + part.len());
    while !own.is_char_boundary(end) {
        end -= 1;
    }
    own[..end].rfind(part).map_or(Val::Int(-1), |at| int(own[..at].chars().count()))
}

/// A text as a literal of the language: only what ends a line or a literal, and what rings, is written another way.
fn quoted(own: &str) -> String {
    let mut out = String::from("\"");
    for c in own.chars() {
        match short_escape(c) {
            Some(escape) => out.push_str(escape),
            None => out.push(c),
        }
    }
    out.push('"');
    out
}

fn split(own: &str, by: &str, limit: &[Val]) -> Val {
    let most = match limit {
        [Val::Int(most)] => usize::try_from(*most).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    if most == 0 {
        return Val::list([]);
    }
    if !by.is_empty() {
        return Val::list(own.splitn(most, by).map(Val::text));
    }
    // Into characters, the last of which stay together where there are too many.
    let starts: Vec<usize> = own.char_indices().map(|(at, _)| at).take(most).collect();
    let ends = starts.iter().skip(1).copied().chain([own.len()]);
    Val::list(starts.iter().zip(ends).map(|(start, end)| Val::text(&own[*start..end])))
}

fn substring(own: &str, from: i64, to: i64) -> Outcome {
    let length = own.chars().count();
    let within = |at: i64| usize::try_from(at).ok().filter(|at| *at <= length);
    if from > to {
        return fail(format!("invalid substring range. start: {from}, end: {to}"));
    }
    match (within(from), within(to)) {
        (Some(start), Some(end)) => Ok(Val::text(own.chars().skip(start).take(end - start).collect::<String>())),
        (None, _) => fail(format!("index out of range: {from}")),
        (_, None) => fail(format!("index out of range: {to}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{holds, run};

    #[test]
    fn places_in_texts() {
        holds("x.indexOf('a', 1) == 3 && x.indexOf('', 2) == 2 && x.indexOf('a', 9) == -1", json!("abca"));
        holds("x.lastIndexOf('a', 2) == 0 && x.lastIndexOf('a') == 3 && x.lastIndexOf('') == 4", json!("abca"));
        holds("x.lastIndexOf('ca', 3) == 2 && x.lastIndexOf('a', 4) == -1 && ''.lastIndexOf('a') == -1", json!("abca"));
        holds(
            "x.lastIndexOf('é', 1) == 0 && x.lastIndexOf('é', 2) == 2 && x.lastIndexOf('éa', 9) == -1",
            json!("éaéa"),
        );
        for text in ["x.indexOf('a', -1)", "x.lastIndexOf('a', -1)", "x.substring(-1, 1)"] {
            assert_eq!(run(text, json!("abca")).unwrap_err(), "index out of range: -1", "{text}");
        }
        holds("x.indexOf('', -1) == -1 && x.lastIndexOf('', -1) == -1 && x.lastIndexOf('', 9) == 9", json!("abca"));
    }

    #[test]
    fn parts_of_texts() {
        let why = |text: &str| run(text, json!("ab")).unwrap_err();
        assert_eq!(why("x.substring(3)"), "index out of range: 3");
        assert_eq!(why("x.substring(0, 3)"), "index out of range: 3");
        assert_eq!(why("x.substring(2, 1)"), "invalid substring range. start: 2, end: 1");
        holds("x.split('', 2) == ['a', 'bc'] && x.split('') == ['a', 'b', 'c'] && x.split('b', 0) == []", json!("abc"));
        holds("x.split('', -1) == ['a', 'b', 'c'] && ''.split('') == []", json!("abc"));
    }

    #[test]
    fn patterns_that_cannot_be_read() {
        let why = "Illegal regex: error parsing regexp: missing closing ): `(`";
        assert_eq!(run("'a'.find(x)", json!("(")).unwrap_err(), why);
        assert_eq!(run("'a'.findAll(x)", json!("(")).unwrap_err(), why);
    }

    #[test]
    fn texts_as_literals() {
        holds("strings.quote(x) == '\"a\\\\n\\\\\"é\"'", json!("a\n\"é"));
    }
}
