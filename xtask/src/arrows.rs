//! The crate arrows of the design, checked against `cargo metadata`.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Who may depend on whom within the workspace; what is not listed may not.
const ARROWS: &[(&str, &[&str])] = &[
    ("mainstay-proto", &[]),
    ("mainstay-api", &["mainstay-proto"]),
    ("mainstay-store", &["mainstay-proto"]),
    ("mainstay-client", &["mainstay-api", "mainstay-proto"]),
    ("mainstay-apiserver", &["mainstay-api", "mainstay-proto", "mainstay-store"]),
    ("mainstay-scheduler", &["mainstay-api", "mainstay-client", "mainstay-proto"]),
    ("mainstay-controllers", &["mainstay-api", "mainstay-client", "mainstay-proto"]),
    ("mainstay-network", &["mainstay-api", "mainstay-client", "mainstay-proto"]),
    ("mainstay-nodeagent", &["mainstay-api", "mainstay-client", "mainstay-proto"]),
    (
        "mainstay",
        &[
            "mainstay-api",
            "mainstay-apiserver",
            "mainstay-client",
            "mainstay-controllers",
            "mainstay-network",
            "mainstay-nodeagent",
            "mainstay-proto",
            "mainstay-scheduler",
            "mainstay-store",
        ],
    ),
    ("mainstay-chaos", &["mainstay", "mainstay-api", "mainstay-client", "mainstay-history", "mainstay-proto"]),
    ("mainstay-history", &[]),
    ("base2histogram", &[]),
    ("xtask", &[]),
];

/// The same for tests only.
const TEST_ARROWS: &[(&str, &str)] = &[("mainstay-store", "mainstay-history")];

/// Fails with every forbidden dependency, development ones included, and with every crate that has no row.
pub fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let wrong = violations(&metadata);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("these arrows are not in the design:\n  {}", wrong.join("\n  "))
}

fn violations(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let members: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(targets) = allowed.get(name) else {
            wrong.push(format!("{name}: has no row in xtask/src/arrows.rs"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let in_production = |d: &&Value| {
            let arrow = (name, d["name"].as_str().unwrap_or_default());
            d["kind"] != "dev" || !TEST_ARROWS.contains(&arrow)
        };
        for dependency in dependencies.iter().filter(in_production).filter_map(|d| d["name"].as_str()) {
            if members.contains(&dependency) && dependency != name && !targets.contains(&dependency) {
                wrong.push(format!("{name} -> {dependency}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::violations;

    #[test]
    fn a_forbidden_arrow_is_named() {
        let metadata = json!({"packages": [
            {"name": "mainstay-api", "dependencies": [{"name": "mainstay-store"}, {"name": "serde"}]},
            {"name": "mainstay-store", "dependencies": [{"name": "mainstay-proto"}]},
            {"name": "mainstay-proto", "dependencies": []},
        ]});
        assert_eq!(violations(&metadata), ["mainstay-api -> mainstay-store"]);
    }

    #[test]
    fn what_tests_may_use_is_forbidden_elsewhere() {
        let with = |kind: Value| {
            json!({"packages": [
                {"name": "mainstay-store", "dependencies": [{"name": "mainstay-history", "kind": kind}]},
                {"name": "mainstay-history", "dependencies": []},
            ]})
        };
        assert_eq!(violations(&with(json!("dev"))), [""; 0]);
        assert_eq!(violations(&with(Value::Null)), ["mainstay-store -> mainstay-history"]);
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        let metadata = json!({"packages": [{"name": "surprise", "dependencies": []}]});
        assert_eq!(violations(&metadata), ["surprise: has no row in xtask/src/arrows.rs"]);
    }
}
