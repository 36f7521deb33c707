//! `xtask gen-columns`: the definitions of the columns that objects are printed in.

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// Writes `api/tables/columns.json`; says so and does nothing when the facts are not beside the repository.
pub fn run() -> Result<()> {
    let root = crate::root()?;
    let facts = root.join("../shared/kubernetes-1.36/columns.json");
    if !facts.is_file() {
        println!("gen-columns: {} is absent, the committed table stays as it is", facts.display());
        return Ok(());
    }
    let facts: Value = serde_json::from_str(&std::fs::read_to_string(&facts)?)?;
    let rows = facts["resources"].as_array().context("resources must be a list")?;
    let lines: Vec<String> = rows.iter().map(|row| format!("{}:{}", key(row), columns(row))).collect();
    let path = root.join("api/tables/columns.json");
    std::fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).with_context(|| path.display().to_string())
}

fn key(row: &Value) -> Value {
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    format!("{}/{}/{}", text("group"), text("version"), text("resource")).into()
}

/// The columns without the formulas, which are code.
fn columns(row: &Value) -> Value {
    let columns = row["columns"].as_array().into_iter().flatten().map(|column| {
        let mut out = Map::new();
        for field in ["name", "type", "format", "priority"] {
            if let Some(value) = column.get(field) {
                out.insert(field.to_owned(), value.clone());
            }
        }
        Value::Object(out)
    });
    Value::Array(columns.collect())
}
