//! `xtask gen`: turns the facts about Kubernetes in `../shared/kubernetes-1.36` into the compact tables under `api/tables`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Writes every table; says so and does nothing when the facts are not beside the repository.
pub fn run() -> Result<()> {
    let root = crate::root()?;
    let facts = root.join("../shared/kubernetes-1.36");
    if !facts.is_dir() {
        println!("gen: ../shared/kubernetes-1.36 is absent, the committed tables stay as they are");
        return Ok(());
    }
    let tables = root.join("api/tables");
    fs::create_dir_all(&tables)?;
    let types = read(&facts.join("types.json"))?;
    write_rows(tables.join("types.json"), &type_rows(&types)?)?;
    let resources = read(&facts.join("resources.json"))?;
    write_resources(tables.join("resources.json"), &resources, &types)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// One row a line, so that a change of the facts is a readable diff.
fn lines(rows: &[Value]) -> String {
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    format!("[\n{}\n]", rows.join(",\n"))
}

fn write_rows(path: PathBuf, rows: &[Value]) -> Result<()> {
    println!("gen: {} rows in {}", rows.len(), path.display());
    fs::write(&path, lines(rows) + "\n").with_context(|| path.display().to_string())
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().context("expected an object")
}

/// References become row numbers; everything implied by another key goes.
fn type_rows(types: &Value) -> Result<Vec<Value>> {
    let types = object(types)?;
    let ids: BTreeMap<&str, usize> = types.keys().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    types.iter().map(|(name, row)| type_row(name, row, &ids)).collect()
}

fn type_row(name: &str, row: &Value, ids: &BTreeMap<&str, usize>) -> Result<Value> {
    let mut out = Map::new();
    out.insert("name".into(), name.into());
    if let Some(gvk) = row.get("gvk").and_then(|g| g.get(0)) {
        out.insert("gvk".into(), gvk.clone());
    }
    for key in ["special", "mt", "unions", "oapi"] {
        if let Some(value) = row.get(key) {
            out.insert(key.into(), value.clone());
        }
    }
    if row.get("nooapi").is_some() {
        out.insert("hidden".into(), 1.into());
    }
    let fields = row.get("fields").and_then(Value::as_array).context("fields")?;
    if !fields.is_empty() {
        let fields: Result<Vec<Value>> = fields.iter().map(|f| field_row(f, ids)).collect();
        out.insert("fields".into(), Value::Array(fields?));
    }
    Ok(Value::Object(out))
}

fn field_row(field: &Value, ids: &BTreeMap<&str, usize>) -> Result<Value> {
    let mut out = object(field)?.clone();
    out.remove("pn");
    if let Some(kind) = out.remove("map") {
        out.insert("map".into(), 1.into());
        out.insert("w".into(), kind);
    }
    if let Some(Value::String(name)) = out.remove("ref") {
        let id = ids.get(name.as_str()).with_context(|| format!("unknown type {name}"))?;
        out.insert("r".into(), json!(id));
        out.remove("w");
    }
    if out.get("w").and_then(Value::as_str) == Some("string") {
        out.remove("w");
    }
    Ok(Value::Object(out))
}

fn write_resources(path: PathBuf, facts: &Value, types: &Value) -> Result<()> {
    let kinds = type_names(types)?;
    let groups: Result<Vec<Value>> = list(facts, "groups").map(group_row).collect();
    let rows: Result<Vec<Value>> = list(facts, "resources").map(|r| resource_row(r, &kinds)).collect();
    let (groups, rows) = (groups?, rows?);
    println!("gen: {} groups and {} resources in {}", groups.len(), rows.len(), path.display());
    let text = format!("{{\"groups\":{},\n\"resources\":{}}}\n", lines(&groups), lines(&rows));
    fs::write(&path, text).with_context(|| path.display().to_string())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// OpenAPI name by `[group, version, kind]`.
fn type_names(types: &Value) -> Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for (name, row) in object(types)? {
        for gvk in list(row, "gvk") {
            names.insert(gvk.to_string(), name.clone());
        }
    }
    Ok(names)
}

fn group_row(group: &Value) -> Result<Value> {
    let versions: Vec<&str> = list(group, "versions").filter_map(Value::as_str).collect();
    let priority = |v: &&str| group["versionPriority"][*v].as_i64().unwrap_or(0);
    Ok(json!({
        "name": group["group"],
        "versions": versions,
        "priority": group["groupPriorityMinimum"].as_i64().unwrap_or(0),
        "version_priorities": versions.iter().map(priority).collect::<Vec<i64>>(),
    }))
}

fn resource_row(fact: &Value, kinds: &BTreeMap<String, String>) -> Result<Value> {
    const SAME: &[(&str, &str)] = &[
        ("group", "group"),
        ("version", "version"),
        ("resource", "resource"),
        ("singular", "singular"),
        ("kind", "kind"),
        ("listKind", "list_kind"),
        ("shortNames", "short_names"),
        ("categories", "categories"),
        ("namespaced", "namespaced"),
        ("verbs", "verbs"),
        ("createOnUpdate", "create_on_update"),
        ("unconditionalUpdate", "unconditional_update"),
        ("graceful", "graceful"),
        ("deleteReturns", "delete_returns"),
        ("gc", "garbage"),
        ("fieldSelectors", "field_selectors"),
        ("svh", "storage_version_hash"),
        ("reset", "reset"),
    ];
    let mut out = Map::new();
    for (from, to) in SAME {
        if let Some(value) = fact.get(*from).filter(|v| !v.is_null() && **v != json!("") && **v != json!(false)) {
            out.insert((*to).into(), value.clone());
        }
    }
    // This status is reset in a group that is none, and so never; the facts say what was meant.
    if text(fact, "resource") == "servicecidrs" {
        out.remove("reset");
    }
    insert_stored(fact, &mut out);
    if let Some(rule) = generation(text(fact, "generation")) {
        out.insert("generation".into(), rule);
    }
    let subresources: Vec<Value> = list(fact, "subresources").map(|s| subresource_row(s, fact)).collect();
    if !subresources.is_empty() {
        out.insert("subresources".into(), subresources.into());
    }
    let gvk = json!([fact["group"], fact["version"], fact["kind"]]).to_string();
    out.insert("type_name".into(), kinds.get(&gvk).with_context(|| gvk.clone())?.as_str().into());
    Ok(Value::Object(out))
}

/// Definitions of custom resources are stored in the version they are served in, whatever Kubernetes' history asks of it.
fn insert_stored(fact: &Value, out: &mut Map<String, Value>) {
    let stored = text(fact, "stored");
    let (group, version) = stored.split_once('/').unwrap_or(("", stored));
    let version = if version == "v1beta1" { "v1" } else { version };
    if !version.is_empty() {
        out.insert("stored_group".into(), group.into());
        out.insert("stored_version".into(), version.into());
    }
}

fn subresource_row(sub: &Value, parent: &Value) -> Value {
    let own = sub.get("version").is_some();
    let place = if own { sub } else { parent };
    let mut out = json!({
        "name": sub["name"], "group": text(place, "group"), "version": place["version"],
        "kind": sub["kind"], "verbs": sub["verbs"],
    });
    if let Some(reset) = sub.get("reset") {
        out["reset"] = reset.clone();
    }
    out
}

/// The facts describe the rule in words; the words are few.
fn generation(words: &str) -> Option<Value> {
    let watched: &[&str] = match words {
        "" => return None,
        w if w.contains("spec OR annotations") => &["spec", "metadata.annotations"],
        w if w.contains("template changes") => &["template"],
        w if w.contains("webhooks change") => &["webhooks"],
        w if w.contains("never bumped") => &[],
        w if w.contains("outside metadata") => &["*", "metadata.labels"],
        _ => &["spec"],
    };
    let initial = i64::from(!words.starts_with("not set"));
    Some(json!({"initial": initial, "watched": watched}))
}
