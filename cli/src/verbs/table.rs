//! Tables as the server makes them, printed as kubectl prints them; and simple paths into objects.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What a printed table shows besides the server's columns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Columns of lower priority too.
    pub(crate) wide: bool,
    /// A column with the namespace.
    pub(crate) namespace: bool,
    /// A column with the labels.
    pub(crate) labels: bool,
    /// No header line.
    pub(crate) bare: bool,
}

/// The lines of a `meta.k8s.io` Table. `prefix` goes before each name, as when several kinds are listed.
pub(crate) fn lines(table: &Value, look: Look, prefix: &str) -> Vec<String> {
    let columns: Vec<(usize, &Value)> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, column)| look.wide || column["priority"].as_i64().unwrap_or(0) == 0)
        .collect();
    let mut grid = Vec::new();
    if !look.bare {
        let mut header: Vec<String> = look.namespace.then(|| "NAMESPACE".to_owned()).into_iter().collect();
        header.extend(columns.iter().map(|(_, column)| column["name"].as_str().unwrap_or_default().to_uppercase()));
        header.extend(look.labels.then(|| "LABELS".to_owned()));
        grid.push(header);
    }
    grid.extend(table["rows"].as_array().into_iter().flatten().map(|row| cells(row, &columns, look, prefix)));
    align(&grid)
}

fn cells(row: &Value, columns: &[(usize, &Value)], look: Look, prefix: &str) -> Vec<String> {
    let metadata = &row["object"]["metadata"];
    let mut cells: Vec<String> =
        look.namespace.then(|| metadata["namespace"].as_str().unwrap_or_default().to_owned()).into_iter().collect();
    cells.extend(columns.iter().enumerate().map(|(position, (index, _))| {
        let text = plain(&row["cells"][*index]);
        if position == 0 { format!("{prefix}{text}") } else { text }
    }));
    if look.labels {
        cells.push(pairs(&metadata["labels"]));
    }
    cells
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn pairs(map: &Value) -> String {
    let pairs: Vec<String> =
        map.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", plain(value))).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

fn plain(cell: &Value) -> String {
    match cell {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Columns three blanks apart, without blanks at the end of lines.
pub(crate) fn align(grid: &[Vec<String>]) -> Vec<String> {
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        grid.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    grid.iter()
        .map(|row| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
        })
        .collect()
}

/// `{.a.b}`, `{.items[*].metadata.name}`, `{.spec.ports[0].port}` and text around them.
pub(crate) fn json_path(object: &Value, path: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, behind) = after.split_once('}').with_context(|| format!("{path:?}: a brace is not closed"))?;
        out.push_str(before);
        out.push_str(&match inside.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            Some(literal) => literal.replace("\\n", "\n").replace("\\t", "\t"),
            None => walk(object, inside)?.into_iter().map(plain).collect::<Vec<_>>().join(" "),
        });
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// The values at a path such as `.spec.containers[*].image`.
pub(crate) fn walk<'v>(object: &'v Value, path: &str) -> Result<Vec<&'v Value>> {
    let mut found = vec![object];
    for step in steps(path)? {
        found = found.into_iter().flat_map(|value| follow(value, &step)).collect();
    }
    Ok(found)
}

enum Step {
    Member(String),
    Index(usize),
    Every,
}

fn follow<'v>(value: &'v Value, step: &Step) -> Vec<&'v Value> {
    match step {
        Step::Member(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => value.get(index).into_iter().collect(),
        Step::Every => value.as_array().into_iter().flatten().collect(),
    }
}

fn steps(path: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, behind) =
                after.split_once(']').with_context(|| format!("{path:?}: a bracket is not closed"))?;
            steps.push(match index.trim_matches(['\'', '"']) {
                "*" => Step::Every,
                text => text.parse().map_or_else(|_| Step::Member(text.to_owned()), Step::Index),
            });
            rest = behind;
        } else if let Some(after) = rest.strip_prefix('.') {
            let (name, behind) = member(after);
            if name.is_empty() && !behind.is_empty() {
                bail!("{path:?} is not a path that is understood here");
            }
            steps.extend((!name.is_empty()).then_some(Step::Member(name)));
            rest = behind;
        } else {
            bail!("{path:?} is not a path; write it as {{.metadata.name}}");
        }
    }
    Ok(steps)
}

/// A member's name up to the next dot or bracket that is not escaped.
fn member(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[at..]),
            other => name.push(other),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_shows_what_is_wide_only_when_asked() {
        let table = json!({
            "columnDefinitions": [{"name": "Name"}, {"name": "Ready", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web", "1/1", "10.0.0.1"], "object": {"metadata": {"namespace": "demo"}}}],
        });
        assert_eq!(lines(&table, Look::default(), ""), ["NAME   READY", "web    1/1"]);
        let wide = Look { wide: true, namespace: true, ..Look::default() };
        assert_eq!(lines(&table, wide, "pod/")[1], "demo        pod/web   1/1     10.0.0.1");
    }

    #[test]
    fn paths_lead_to_values() {
        let object = json!({"items": [{"m": {"a.b": 1}}, {"m": {"a.b": 2}}]});
        assert_eq!(json_path(&object, "{.items[*].m.a\\.b}").unwrap(), "1 2");
        assert_eq!(json_path(&object, "x={.items[1].m['a.b']}{\"\\n\"}").unwrap(), "x=2\n");
        assert!(json_path(&object, "{items").is_err());
    }
}
