//! kubectl's templates of JSON paths, as `-o jsonpath=`, `wait --for=jsonpath=` and `-o custom-columns=` take them.
//!
//! Source: <https://kubernetes.io/docs/reference/kubectl/jsonpath/>. Other than the reference says, and as kubectl does it, a
//! key that is not there prints nothing; an element that is not there is an error.

use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::filter::Filter;
use super::quoting::{closing, quoted};
use super::table::plain;

/// A template such as `{.a.b}` or `{range .items[*]}{.metadata.name}{"\n"}{end}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Part>);

/// A path such as `.spec.containers[*].image`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Step>);

/// What a template is made of.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    /// From `{range …}` to `{end}`.
    Range(Vec<Step>, Vec<Part>),
}

/// One step along a path; each may lead to several values.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    /// From the end if negative.
    Index(i64),
    /// `[from:to:step]`.
    Slice(Option<i64>, Option<i64>, usize),
    Every,
    /// `..`: the value itself and everything in it.
    Descend,
    Union(Vec<Step>),
    Filter(Filter<JsonPath>),
}

impl FromStr for Template {
    type Err = anyhow::Error;

    fn from_str(template: &str) -> Result<Self> {
        let mut rest = template;
        let parts = parse_parts(&mut rest, false);
        // With its causes: who reads arguments shows the outermost only.
        parts.map(Self).map_err(|error| anyhow!("error parsing jsonpath {template}: {error:#}"))
    }
}

impl Template {
    /// An object through the template.
    ///
    /// # Errors
    /// An element is asked for that a list does not have.
    pub fn render(&self, object: &Value) -> Result<String> {
        let mut out = String::new();
        print(&self.0, object, &mut out)?;
        Ok(out)
    }

    /// What each of the template's paths leads to.
    ///
    /// # Errors
    /// As with [`Template::render`].
    pub fn values<'v>(&self, object: &'v Value) -> Result<Vec<Vec<&'v Value>>> {
        let paths = self.0.iter().filter_map(|part| match part {
            Part::Path(steps) => Some(steps),
            Part::Text(_) | Part::Range(..) => None,
        });
        paths.map(|steps| follow(object, steps)).collect()
    }
}

impl FromStr for JsonPath {
    type Err = anyhow::Error;

    /// With or without braces and the first dot.
    fn from_str(path: &str) -> Result<Self> {
        let path = path.trim();
        let bare = path.strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path).trim();
        let dot = if bare.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') { "." } else { "" };
        parse_path(&format!("{dot}{bare}")).map(Self).map_err(|error| anyhow!("{error:#}"))
    }
}

impl JsonPath {
    /// The values that are there.
    pub fn of<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        follow(object, &self.0).unwrap_or_default()
    }

    /// The first of them.
    pub fn first<'v>(&self, object: &'v Value) -> Option<&'v Value> {
        self.of(object).into_iter().next()
    }
}

fn print(parts: &[Part], object: &Value, out: &mut String) -> Result<()> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let values: Vec<String> = follow(object, steps)?.into_iter().map(plain).collect();
                out.push_str(&values.join(" "));
            }
            Part::Range(steps, inner) => {
                for value in follow(object, steps)? {
                    print(inner, value, out)?;
                }
            }
        }
    }
    Ok(())
}

fn follow<'v>(object: &'v Value, steps: &[Step]) -> Result<Vec<&'v Value>> {
    let mut found = vec![object];
    for step in steps {
        let mut next = Vec::new();
        for value in found {
            next.extend(take(value, step)?);
        }
        found = next;
    }
    Ok(found)
}

fn take<'v>(value: &'v Value, step: &Step) -> Result<Vec<&'v Value>> {
    Ok(match step {
        Step::Member(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => match value.as_array() {
            Some(list) => vec![element(list, *index)?],
            None => Vec::new(),
        },
        Step::Slice(from, to, step) => match value.as_array() {
            Some(list) => slice(list, *from, *to)?.iter().step_by(*step).collect(),
            None => Vec::new(),
        },
        Step::Every => children(value),
        Step::Descend => {
            let mut all = vec![value];
            for child in children(value) {
                all.extend(take(child, step)?);
            }
            all
        }
        Step::Union(steps) => {
            let mut all = Vec::new();
            for step in steps {
                all.extend(take(value, step)?);
            }
            all
        }
        Step::Filter(filter) => {
            children(value).into_iter().filter(|value| filter.holds(value, JsonPath::first)).collect()
        }
    })
}

fn element(list: &[Value], index: i64) -> Result<&Value> {
    at(list.len(), index).and_then(|index| list.get(index)).with_context(|| outside(list, index))
}

/// From one place to before another. A slice of nothing may lie anywhere.
fn slice(list: &[Value], from: Option<i64>, to: Option<i64>) -> Result<&[Value]> {
    let bound = |given: Option<i64>, default| given.map_or(Some(default), |given| at(list.len(), given));
    let (first, end) = (bound(from, 0), bound(to, list.len()));
    if first == end && first.is_some() {
        return Ok(&[]);
    }
    let first = first.filter(|first| *first < list.len()).with_context(|| outside(list, from.unwrap_or(0)))?;
    let end = end.filter(|end| *end <= list.len()).with_context(|| outside(list, to.unwrap_or(0).saturating_sub(1)))?;
    list.get(first..end).with_context(|| format!("starting index {first} is greater than ending index {end}"))
}

fn outside(list: &[Value], index: i64) -> String {
    format!("array index out of bounds: index {index}, length {}", list.len())
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn at(length: usize, index: i64) -> Option<usize> {
    let from_end = || length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    if index < 0 { from_end() } else { usize::try_from(index).ok() }
}

/// Up to the end, or to `{end}` inside a range.
fn parse_parts(rest: &mut &str, inside: bool) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    loop {
        let Some((before, after)) = rest.split_once('{') else {
            if inside {
                bail!("a range is not closed by {{end}}");
            }
            parts.push(Part::Text(std::mem::take(rest).to_owned()));
            return Ok(parts);
        };
        parts.push(Part::Text(before.to_owned()));
        let end = closing(after, '}').context("a brace is not closed")?;
        let action = after[..end].trim();
        *rest = &after[end + 1..];
        match action.split_once(char::is_whitespace) {
            _ if action == "end" && inside => return Ok(parts),
            _ if action == "end" => bail!("there is no range that {{end}} closes"),
            Some(("range", path)) => {
                let steps = parse_path(path)?;
                parts.push(Part::Range(steps, parse_parts(rest, true)?));
            }
            _ => match quoted(action) {
                Some(text) => parts.push(Part::Text(text)),
                None => parts.push(Part::Path(parse_path(action)?)),
            },
        }
    }
}

/// The steps of a path; `$` and `@` at its beginning are the object itself.
fn parse_path(path: &str) -> Result<Vec<Step>> {
    let path = path.trim();
    let mut rest = path.strip_prefix(['$', '@']).unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Descend);
            rest = after;
            if !rest.starts_with('[') {
                rest = push_member(&mut steps, rest);
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = push_member(&mut steps, after);
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after, ']').with_context(|| format!("{path:?}: a bracket is not closed"))?;
            steps.push(bracket(&after[..end]).with_context(|| format!("{path:?}"))?);
            rest = &after[end + 1..];
        } else {
            bail!("{path:?} is not a path; write it as {{.metadata.name}}");
        }
    }
    Ok(steps)
}

/// A member's name up to the next dot or bracket that is not escaped. None at all is the object itself.
fn push_member<'t>(steps: &mut Vec<Step>, text: &'t str) -> &'t str {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut behind = "";
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => {
                behind = &text[position..];
                break;
            }
            other => name.push(other),
        }
    }
    match name.as_str() {
        "" => {}
        "*" => steps.push(Step::Every),
        _ => steps.push(Step::Member(name)),
    }
    behind
}

/// What stands between brackets.
fn bracket(inner: &str) -> Result<Step> {
    let inner = inner.trim();
    if let Some(filter) = inner.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        return Ok(Step::Filter(Filter::parse(filter, |path| parse_path(path).map(JsonPath))?));
    }
    if let Some(end) = closing(inner, ',') {
        let more = match bracket(&inner[end + 1..])? {
            Step::Union(more) => more,
            one => vec![one],
        };
        return Ok(Step::Union(std::iter::once(bracket(&inner[..end])?).chain(more).collect()));
    }
    if let Some(name) = quoted(inner) {
        return Ok(Step::Member(name));
    }
    if inner == "*" {
        return Ok(Step::Every);
    }
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse::<i64>().map(Some).with_context(|| format!("{text:?} is not a number")),
    };
    let mut bounds = inner.split(':');
    match (bounds.next(), bounds.next(), bounds.next(), bounds.next()) {
        (Some(index), None, None, None) => match number(index)? {
            Some(index) => Ok(Step::Index(index)),
            None => bail!("nothing is between the brackets"),
        },
        (Some(from), Some(to), step, None) => {
            let step = number(step.unwrap_or_default())?.unwrap_or(1);
            let step = usize::try_from(step).ok().filter(|step| *step > 0).context("a step has to be positive")?;
            Ok(Step::Slice(number(from)?, number(to)?, step))
        }
        _ => bail!("{inner:?} is neither an index nor a slice"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> Value {
        json!({"kind": "List", "items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "status": {"restarts": 3, "conditions":
                [{"type": "Ready", "status": "True"}, {"type": "Odd", "status": "False", "message": "why]}"}]}},
            {"metadata": {"name": "b"}, "status": {"restarts": 10}},
            {"metadata": {"name": "c"}, "spec": {"hostNetwork": true}},
        ]})
    }

    fn shown(template: &str) -> String {
        template.parse::<Template>().unwrap().render(&pods()).unwrap()
    }

    #[test]
    fn paths_lead_to_values() {
        assert_eq!(shown("{.items[*].metadata.name}"), "a b c");
        assert_eq!(shown("{.items[0].metadata.labels.x\\.y/z}"), "1");
        assert_eq!(shown("x={$.items[0]['metadata']['name']}{\"\\n\"}"), "x=a\n");
        assert_eq!(shown("{.items[-1:].metadata.name}{.items[-1].metadata.name}"), "cc");
        assert_eq!(shown("{.items[0:2].metadata.name} {.items[::2].metadata.name}"), "a b a c");
        assert_eq!(shown("{.items[0,2].metadata.name}"), "a c");
        assert_eq!(shown("{.items[0]['metadata','status']['name','restarts']}"), "a 3");
        assert_eq!(shown("{..name}"), "a b c");
        assert_eq!(shown("{.missing.key}{.missing[7]}{.items[7:7]}"), "");
        assert_eq!(shown("{.items[1].status}"), "{\"restarts\":10}");
    }

    #[test]
    fn filters_choose() {
        assert_eq!(shown("{.items[0].status.conditions[?(@.type==\"Odd\")].message}"), "why]}");
        assert_eq!(shown("{.items[?(@.status.restarts>3)].metadata.name}"), "b");
        assert_eq!(shown("{.items[?(@.status.restarts <= 3)].metadata.name}"), "a");
        assert_eq!(shown("{.items[?(@.metadata.name!='a')].metadata.name}"), "b c");
        assert_eq!(shown("{.items[?(@.spec)].metadata.name}"), "c");
        assert_eq!(shown("{.items[?(@.spec.hostNetwork==true)].metadata.name}"), "c");
    }

    #[test]
    fn elements_have_to_be_there() {
        let fault = |template: &str| template.parse::<Template>().unwrap().render(&pods()).unwrap_err().to_string();
        assert_eq!(fault("{.items[7]}"), "array index out of bounds: index 7, length 3");
        assert_eq!(fault("{.items[-4].metadata}"), "array index out of bounds: index -4, length 3");
        assert_eq!(fault("{.items[1:5]}"), "array index out of bounds: index 4, length 3");
        assert_eq!(fault("{.items[2:1]}"), "starting index 2 is greater than ending index 1");
    }

    #[test]
    fn a_path_needs_no_braces_and_no_dot() {
        let name = |path: &str| path.parse::<JsonPath>().unwrap().of(&pods()["items"][1])[0].clone();
        for path in ["metadata.name", ".metadata.name", "{metadata.name}", "{ .metadata.name }"] {
            assert_eq!(name(path), "b", "{path}");
        }
        let names = "{.items[*].metadata.name}".parse::<Template>().unwrap();
        assert_eq!(names.values(&pods()).unwrap(), [["a", "b", "c"]]);
    }

    #[test]
    fn ranges_repeat() {
        assert_eq!(
            shown("{range .items[*]}{.metadata.name}:{.status.restarts}{'\\n'}{end}done"),
            "a:3\nb:10\nc:\ndone"
        );
        let nested = "{range .items[?(@.status.conditions)]}{range .status.conditions[*]}[{.type}]{end}{end}";
        assert_eq!(shown(nested), "[Ready][Odd]");
    }

    #[test]
    fn what_is_no_template_is_told() {
        for wrong in
            ["{items", "{items}", "{.a[0}", "{.a[x]}", "{range .items[*]}", "{end}", "{.a[?(@.b==)]}", "{.a[::0]}"]
        {
            assert!(wrong.parse::<Template>().is_err(), "{wrong}");
        }
        let told = "{items".parse::<Template>().unwrap_err().to_string();
        assert_eq!(told, "error parsing jsonpath {items: a brace is not closed");
    }
}
