//! Paths to fields as definitions write them: `.spec.color`, `.spec['key.with.dots']`.

use serde_json::Value;

use super::{additional, properties};
use crate::field::Path;

static NOTHING: Value = Value::Null;

const END: &str = "unexpected end of JSON path";
const NO_FIELD: &str = "does not refer to a valid field";

/// Where a path leads in a schema: the field as errors name it, and its schema. Keys in brackets can be forbidden.
///
/// # Errors
/// Why the path leads nowhere.
pub fn field_path<'s>(text: &str, root: &'s Value, brackets: bool) -> Result<(Path, &'s Value), String> {
    let mut tokens = Tokens(text);
    let (mut path, mut schema) = (Path::nil(), root);
    while let Some(token) = tokens.next() {
        match token {
            "." => {
                let name = tokens.next().ok_or(END)?;
                (path, schema) = step(&path, schema, name)?;
            }
            "[" if !brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let name = unquoted(tokens.next().ok_or(END)?)?;
                (path, schema) = step(&path, schema, &name)?;
                match tokens.next().ok_or(END)? {
                    "]" => {}
                    other => return Err(format!("expected ] but got {other}")),
                }
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        }
    }
    Ok((path, schema))
}

fn step<'s>(path: &Path, schema: &'s Value, name: &str) -> Result<(Path, &'s Value), String> {
    if let Some(all) = properties(schema).filter(|all| !all.is_empty()) {
        return Ok((path.child(name), all.get(name).ok_or(NO_FIELD)?));
    }
    match schema.get("additionalProperties") {
        None | Some(Value::Null) => Err(NO_FIELD.to_owned()),
        Some(_) => Ok((path.key(name), additional(schema).unwrap_or(&NOTHING))),
    }
}

/// The text of a literal in single quotes.
fn unquoted(token: &str) -> Result<String, String> {
    let inner = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.ok_or_else(|| format!("expected single quoted string but got {token}"))?;
    let mut out = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match rest.next() {
            Some('a') => '\x07',
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\x0b',
            Some(plain @ ('\'' | '\\')) => plain,
            Some(other) => return Err(format!("invalid string literal: invalid escape char \\{other}")),
            None => '\\',
        });
    }
    Ok(out)
}

/// What a path consists of: dots, brackets, and what is between them. Nothing in quotes ends a token.
struct Tokens<'t>(&'t str);

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.0.is_empty() {
            return None;
        }
        let (token, rest) = self.0.split_at(length(self.0));
        self.0 = rest;
        Some(token)
    }
}

fn length(text: &str) -> usize {
    if text.starts_with('\'') {
        let bytes = text.as_bytes();
        let end = (1..bytes.len()).find(|at| bytes[*at] == b'\'' && bytes[*at - 1] != b'\\');
        return end.map_or(text.len(), |at| at + 1);
    }
    match text.find(['.', '[', ']']) {
        Some(0) => 1,
        Some(at) => at,
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_declared_fields_only() {
        let text = json!({"type": "string"});
        let schema = json!({"properties": {"spec": {"properties": {
            "color": text, "a.b": text, "tags": {"type": "array"}, "notes": {"additionalProperties": text}}}}});
        let found = |path: &str, brackets| {
            field_path(path, &schema, brackets).map(|(path, of)| (path.to_string(), of["type"] == "string"))
        };
        let leads = |to: &str| Ok((to.to_owned(), true));
        assert_eq!(found(".spec.color", false), leads("spec.color"));
        assert_eq!(found(".spec.notes.any", false), leads("spec.notes[any]"));
        assert_eq!(found(".spec['a.b']", true), leads("spec.a.b"));
        assert_eq!(found(r".spec.notes['it\'s']", true), leads("spec.notes[it's]"));
        for (path, why) in [
            (".spec.nope", "does not refer to a valid field"),
            (".spec.color.deep", "does not refer to a valid field"),
            ("spec.color", "expected [ or . but got: spec"),
            (".spec.tags[0]", "expected single quoted string but got 0"),
            (".spec['color'", "unexpected end of JSON path"),
            (".spec.", "unexpected end of JSON path"),
        ] {
            assert_eq!(found(path, true), Err(why.to_owned()), "{path}");
        }
        assert_eq!(found(".spec.tags[0]", false), Err("array notation is not allowed".to_owned()));
    }
}
