//! What all operations of a path are asked with is told once, beside them.

use serde_json::Value;

const PARAMETERS: &str = "parameters";

/// Moves such parameters out of the operations of a path's entry, and sorts them by name.
pub(super) fn share(entry: &mut Value) {
    let Some(entry) = entry.as_object_mut() else { return };
    let operations: Vec<&Value> =
        entry.iter().filter(|(name, _)| is_operation(name)).map(|(_, operation)| operation).collect();
    let Some((first, others)) = operations.split_first() else { return };
    let everywhere = |wanted: &&Value| others.iter().all(|other| asked(other).iter().any(|p| same(p, wanted)));
    let common: Vec<Value> = asked(first).iter().filter(|p| p["in"] != "body").filter(everywhere).cloned().collect();
    for (_, operation) in entry.iter_mut().filter(|(name, _)| is_operation(name)) {
        without(operation, &common);
    }
    let mut all = entry.get(PARAMETERS).and_then(Value::as_array).cloned().unwrap_or_default();
    all.extend(common);
    all.sort_by_cached_key(|p| p["name"].as_str().unwrap_or_default().to_owned());
    entry.remove(PARAMETERS);
    if !all.is_empty() {
        entry.insert(PARAMETERS.to_owned(), all.into());
    }
}

fn is_operation(name: &str) -> bool {
    name != PARAMETERS
}

fn asked(operation: &Value) -> &[Value] {
    operation[PARAMETERS].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn same(one: &Value, other: &Value) -> bool {
    one["name"] == other["name"] && one["in"] == other["in"]
}

fn without(operation: &mut Value, common: &[Value]) {
    let Some(operation) = operation.as_object_mut() else { return };
    let Some(left) = operation.get_mut(PARAMETERS).and_then(Value::as_array_mut) else { return };
    left.retain(|p| !common.iter().any(|shared| same(p, shared)));
    if left.is_empty() {
        operation.remove(PARAMETERS);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(name: &str) -> Value {
        json!({"in": "query", "name": name})
    }

    #[test]
    fn what_one_operation_lacks_stays_with_the_others() {
        let mut entry = json!({
            "parameters": [{"in": "path", "name": "name"}],
            "get": {"parameters": [query("pretty")]},
            "put": {"parameters": [query("dryRun"), query("pretty"), {"in": "body", "name": "body"}]},
        });
        share(&mut entry);
        assert_eq!(entry["parameters"], json!([{"in": "path", "name": "name"}, query("pretty")]));
        assert_eq!(entry["get"], json!({}));
        assert_eq!(entry["put"]["parameters"], json!([query("dryRun"), {"in": "body", "name": "body"}]));
    }

    #[test]
    fn one_operation_shares_all_but_its_body() {
        let mut entry = json!({"post": {"parameters": [query("b"), query("a"), {"in": "body", "name": "body"}]}});
        share(&mut entry);
        assert_eq!(entry["parameters"], json!([query("a"), query("b")]));
        assert_eq!(entry["post"]["parameters"], json!([{"in": "body", "name": "body"}]));
    }
}
