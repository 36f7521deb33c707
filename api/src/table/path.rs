//! Paths of printer columns, as Kubernetes' jsonpath reads and follows them.
//!
//! Source: <https://kubernetes.io/docs/reference/kubectl/jsonpath/>.

use std::cmp::Ordering;

use serde_json::Value;

/// A path such as `.spec.containers[*].image`.
#[derive(Debug, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

/// One step; each may lead to several values.
#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Elements(Slice),
    Every,
    /// `..`: all that has something in it.
    Descend,
    Union(Vec<Vec<Step>>),
    /// Elements for which something is there, or for which two sides compare so.
    Filter(Vec<Step>, Option<(String, Vec<Step>)>),
    Literal(Value),
    /// A word that means nothing: it is read, and leads to an error.
    Word,
}

/// `[from:to:step]`; negative numbers count from the end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    from: i64,
    to: End,
    step: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// One element only.
    One,
    Last,
    Before(i64),
}

/// Values that are looked at for a cell. There are paths (`[0,0][0,0]…`) with which each step leads to more of them.
const MOST_LOOKS: usize = 100_000;

impl JsonPath {
    /// Reads a path; `None` if it is none.
    pub(super) fn parse(path: &str) -> Option<Self> {
        steps(path).map(Self)
    }

    /// The first value that the path leads to.
    pub(super) fn first<'v>(&'v self, object: &'v Value) -> Option<&'v Value> {
        let mut looks = MOST_LOOKS;
        follow(&self.0, vec![object], &mut looks)?.into_iter().next()
    }
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if let Some(inner) = rest.strip_prefix("[?(") {
            let (step, behind) = filter(inner)?;
            steps.push(step);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("..") {
            if steps.last() == Some(&Step::Descend) {
                return None;
            }
            steps.push(Step::Descend);
            rest = behind;
            if rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
                rest = field(rest, &mut steps);
            }
        } else {
            rest = match c {
                ' ' | '@' | '$' => after,
                '.' => field(after, &mut steps),
                '[' => {
                    let (inner, behind) = after.split_once(']').filter(|(inner, _)| !inner.contains('\n'))?;
                    brackets(inner, &mut steps)?;
                    behind
                }
                '"' | '\'' => literal(after, c, &mut steps)?,
                '+' | '-' | '0'..='9' => number(rest, &mut steps)?,
                c if c == '_' || c.is_alphanumeric() => word(rest, &mut steps),
                _ => return None,
            };
        }
    }
    Some(steps)
}

fn ends_name(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// Reads a name, in which a backslash takes the meaning of the next character; what comes after it is answered.
fn field<'p>(text: &'p str, steps: &mut Vec<Step>) -> &'p str {
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if ends_name(c) {
            end = at;
            break;
        }
    }
    let (name, rest) = text.split_at(end);
    match name {
        // A dot alone is the object itself.
        "" => {}
        "*" => steps.push(Step::Every),
        name => steps.push(Step::Field(name.replace('\\', ""))),
    }
    rest
}

fn word<'p>(text: &'p str, steps: &mut Vec<Step>) -> &'p str {
    let (word, rest) = text.split_at(text.find(ends_name).unwrap_or(text.len()));
    steps.push(match word {
        "true" | "false" => Step::Literal((word == "true").into()),
        _ => Step::Word,
    });
    rest
}

fn literal<'p>(text: &'p str, quote: char, steps: &mut Vec<Step>) -> Option<&'p str> {
    let ends = |at: &usize| !text[..*at].ends_with('\\');
    let end = text.match_indices(quote).map(|(at, _)| at).find(ends)?;
    let plain = text[..end].replace(&format!("\\{quote}"), &quote.to_string());
    steps.push(Step::Literal(plain.into()));
    Some(&text[end + 1..])
}

fn number<'p>(text: &'p str, steps: &mut Vec<Step>) -> Option<&'p str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let behind = digits.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let shown = &text[..text.len() - behind.len()];
    let whole = shown.parse::<i64>().map(Value::from);
    let value = whole.ok().or_else(|| shown.parse::<f64>().ok().map(Value::from))?;
    steps.push(Step::Literal(value));
    Some(behind)
}

/// What stands between brackets: `*`, an index, a slice, a name in quotes, or several of these.
fn brackets(inner: &str, steps_before: &mut Vec<Step>) -> Option<()> {
    let parts: Vec<&str> = inner.split(',').collect();
    if parts.len() > 1 {
        let union = parts.iter().map(|part| steps(&format!("[{}]", part.trim_matches(' '))));
        steps_before.push(Step::Union(union.collect::<Option<_>>()?));
        return Some(());
    }
    let name = inner.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\''));
    if let Some(name) = name.filter(|name| !name.contains('\'')) {
        // The dots of the name lead on: who means them writes a backslash before them.
        steps_before.extend(steps(&format!(".{name}"))?);
        return Some(());
    }
    let inner = if inner == "*" { ":" } else { inner };
    let bound = |text: &str| match text {
        "" => Some(None),
        text if text.starts_with('+') => None,
        text => text.parse::<i64>().ok().map(Some),
    };
    let mut bounds = inner.split(':');
    let from = bound(bounds.next()?)?.unwrap_or(0);
    let to = match bounds.next() {
        None => End::One,
        Some(to) => bound(to)?.map_or(End::Last, End::Before),
    };
    let step = match bounds.next() {
        None => 1,
        Some(step) => bound(step)?.unwrap_or(1),
    };
    let slice = Step::Elements(Slice { from, to, step });
    bounds.next().is_none().then(|| steps_before.push(slice))
}

/// A filter, which has begun, and what comes after it.
fn filter(text: &str) -> Option<(Step, &str)> {
    let (mut quote, mut closed, mut before) = (None, false, ' ');
    let end = text.char_indices().find_map(|(at, c)| {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open && before != '\\' => closed = true,
            (')', quote) if quote.is_some() == closed => return Some(at),
            _ => {}
        }
        before = c;
        None
    })?;
    let (inner, rest) = (&text[..end], text[end..].strip_prefix(")]")?);
    let is_sign = |c: char| matches!(c, '!' | '<' | '>' | '=');
    let Some(at) = inner.find(is_sign).filter(|at| *at > 0) else {
        return Some((Step::Filter(steps(inner)?, None), rest));
    };
    let right = inner[at..].trim_start_matches(is_sign);
    let sign = &inner[at..inner.len() - right.len()];
    if right.is_empty() {
        return None;
    }
    Some((Step::Filter(steps(&inner[..at])?, Some((sign.to_owned(), steps(right)?))), rest))
}

/// Takes some from what may still be looked at. Once there is too little, nothing more is.
fn look(count: usize, looks: &mut usize) -> Option<()> {
    let left = looks.checked_sub(count);
    *looks = left.unwrap_or(0);
    left.map(|_| ())
}

/// The values that steps lead to from others; `None` if a step cannot be taken, or if there is too much to look at.
fn follow<'v>(steps: &'v [Step], from: Vec<&'v Value>, looks: &mut usize) -> Option<Vec<&'v Value>> {
    steps.iter().try_fold(from, |found, step| {
        // A step costs something even if there is nothing to look at any more.
        look(1 + found.len(), looks)?;
        take(step, found, looks)
    })
}

fn take<'v>(step: &'v Step, from: Vec<&'v Value>, looks: &mut usize) -> Option<Vec<&'v Value>> {
    let mut found = Vec::new();
    match step {
        Step::Field(name) => found.extend(from.into_iter().filter_map(|value| value.get(name.as_str()))),
        Step::Every => {
            for value in from {
                let below = children(value);
                look(below.len(), looks)?;
                found.extend(below);
            }
        }
        Step::Descend => from.into_iter().try_for_each(|value| descend(value, &mut found, looks))?,
        Step::Literal(value) => found.push(value),
        Step::Word => return None,
        Step::Union(paths) => {
            for path in paths {
                let more = follow(path, from.clone(), looks)?;
                look(more.len(), looks)?;
                found.extend(more);
            }
        }
        Step::Elements(slice) => {
            for list in from.into_iter().filter(|value| !value.is_null()) {
                let more = slice.of(list.as_array()?)?;
                look(more.len(), looks)?;
                found.extend(more);
            }
        }
        Step::Filter(left, right) => {
            for list in from {
                for element in list.as_array()? {
                    look(1, looks)?;
                    if passes(element, left, right.as_ref(), looks)? {
                        found.push(element);
                    }
                }
            }
        }
    }
    Some(found)
}

impl Slice {
    fn of<'v>(&self, list: &'v [Value]) -> Option<Vec<&'v Value>> {
        let length = i64::try_from(list.len()).ok()?;
        let from_end = |at: i64| at.saturating_add(length);
        let from = if self.from < 0 { from_end(self.from) } else { self.from };
        let to = match self.to {
            End::One => from.saturating_add(1),
            End::Last => length,
            End::Before(to) if to < 0 => from_end(to),
            End::Before(to) => to,
        };
        if from == to {
            return Some(Vec::new());
        }
        if !(0..length).contains(&from) || to > length || from > to {
            return None;
        }
        let step = usize::try_from(self.step).ok().filter(|step| *step > 0)?;
        let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
        Some(list.get(range)?.iter().step_by(step).collect())
    }
}

/// Whether an element is taken; `None` if that cannot be said.
fn passes(element: &Value, left: &[Step], right: Option<&(String, Vec<Step>)>, looks: &mut usize) -> Option<bool> {
    let left = follow(left, vec![element], looks);
    let Some((sign, right)) = right else { return Some(left.is_some_and(|found| !found.is_empty())) };
    let (left, right) = (left?, follow(right, vec![element], looks)?);
    match (left.as_slice(), right.as_slice()) {
        ([], _) | (_, []) => Some(false),
        ([left], [right]) => compared(left, sign, right),
        _ => None,
    }
}

fn compared(left: &Value, sign: &str, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) if left.is_f64() == right.is_f64() => left
            .as_i64()
            .zip(right.as_i64())
            .map(|(left, right)| left.cmp(&right))
            .or_else(|| left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right))),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) if matches!(sign, "==" | "!=") => Some(left.cmp(right)),
        _ => None,
    }?;
    Some(match sign {
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        _ => return None,
    })
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// Adds a value and all below it, as far as there is something in them.
fn descend<'v>(value: &'v Value, all: &mut Vec<&'v Value>, looks: &mut usize) -> Option<()> {
    look(1, looks)?;
    let below = children(value);
    if below.is_empty() && value.as_str().is_none_or(str::is_empty) {
        return Some(());
    }
    all.push(value);
    below.into_iter().try_for_each(|value| descend(value, all, looks))
}

#[cfg(test)]
mod tests;
