//! Tables as the server makes them, printed as kubectl prints them.

use serde_json::Value;

/// What a printed table shows besides the server's columns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look<'l> {
    /// Columns of lower priority too.
    pub(crate) wide: bool,
    /// A column with the namespace.
    pub(crate) namespace: bool,
    /// A column with the labels.
    pub(crate) labels: bool,
    /// Labels with a column each.
    pub(crate) columns: &'l [String],
    /// No header line.
    pub(crate) bare: bool,
}

/// The lines of a `meta.k8s.io` Table. `prefix` goes before each name, as when several kinds are listed.
pub(crate) fn lines(table: &Value, look: Look<'_>, prefix: &str) -> Vec<String> {
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
        header.extend(look.columns.iter().map(|label| label.rsplit('/').next().unwrap_or(label).to_uppercase()));
        header.extend(look.labels.then(|| "LABELS".to_owned()));
        grid.push(header);
    }
    grid.extend(table["rows"].as_array().into_iter().flatten().map(|row| cells(row, &columns, look, prefix)));
    align(&grid)
}

fn cells(row: &Value, columns: &[(usize, &Value)], look: Look<'_>, prefix: &str) -> Vec<String> {
    let metadata = &row["object"]["metadata"];
    let mut cells: Vec<String> =
        look.namespace.then(|| metadata["namespace"].as_str().unwrap_or_default().to_owned()).into_iter().collect();
    cells.extend(columns.iter().enumerate().map(|(position, (index, _))| {
        let text = plain(&row["cells"][*index]);
        if position == 0 { format!("{prefix}{text}") } else { text }
    }));
    let label = |name: &String| metadata["labels"][name.as_str()].as_str().unwrap_or_default().to_owned();
    cells.extend(look.columns.iter().map(label));
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

/// A value without quotes.
pub(super) fn plain(cell: &Value) -> String {
    match cell {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What kubectl makes of a column that is narrower, in characters.
const NARROWEST: usize = 3;

/// Columns three blanks apart, without blanks at the end of lines.
pub(crate) fn align(grid: &[Vec<String>]) -> Vec<String> {
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        grid.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).fold(NARROWEST, usize::max)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    grid.iter()
        .map(|row| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
        })
        .collect()
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
        assert_eq!(align(&[["a", "[]", "b"].map(str::to_owned).to_vec()]), ["a     []    b"]);
    }

    #[test]
    fn labels_have_columns_under_their_short_names() {
        let table = json!({
            "columnDefinitions": [{"name": "Name"}],
            "rows": [{"cells": ["web"], "object": {"metadata": {"labels": {"x.io/tier": "front"}}}}],
        });
        let columns = ["x.io/tier".to_owned(), "app".to_owned()];
        let look = Look { columns: &columns, ..Look::default() };
        assert_eq!(lines(&table, look, ""), ["NAME   TIER    APP", "web    front"]);
    }
}
