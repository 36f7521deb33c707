//! Dropping what a schema does not describe.

use serde_json::Value;

use super::{additional, describes_values, is_embedded, is_type_field, items, preserves, properties};

/// Bytes of paths that are told: a hostile object has many that are all long.
const TOLD: usize = 4 << 20;

/// Removes unknown fields below an object and returns their paths, sorted: `spec.list[0].x`.
///
/// At the root, and at embedded resources, `apiVersion`, `kind` and `metadata` stay as they are.
pub fn prune(value: &mut Value, schema: &Value) -> Vec<String> {
    let mut pruner = Pruner::default();
    pruner.value(value, Some(schema), false, true);
    pruner.unknown.sort();
    pruner.unknown
}

#[derive(Default)]
struct Pruner {
    path: String,
    unknown: Vec<String>,
    /// Bytes of these.
    told: usize,
}

impl Pruner {
    /// `open`: what nothing describes stays, as the list around the value says.
    fn value(&mut self, value: &mut Value, schema: Option<&Value>, open: bool, root: bool) {
        let open = open || schema.is_some_and(preserves);
        if open && schema.is_none() {
            return;
        }
        let length = self.path.len();
        match value {
            Value::Object(map) => {
                let typed = root || schema.is_some_and(is_embedded);
                map.retain(|key, value| {
                    if typed && is_type_field(key) {
                        return true;
                    }
                    self.push(key);
                    let kept = self.field(value, schema, key, open);
                    self.path.truncate(length);
                    kept
                });
            }
            Value::Array(list) => {
                for (index, value) in list.iter_mut().enumerate() {
                    self.path.push_str(&format!("[{index}]"));
                    self.value(value, schema.and_then(items), open, false);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Whether a field stays. Of values that may be anything, none but the outermost part does.
    fn field(&mut self, value: &mut Value, schema: Option<&Value>, key: &str, open: bool) -> bool {
        let own = schema.and_then(properties).and_then(|all| all.get(key));
        if own.is_some() || schema.is_some_and(describes_values) {
            self.value(value, own.or_else(|| schema.and_then(additional)), false, false);
            return true;
        }
        if !open {
            self.report();
        }
        open
    }

    fn report(&mut self) {
        if self.told < TOLD {
            self.told += self.path.len();
            self.unknown.push(self.path.clone());
        }
    }

    fn push(&mut self, key: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What stays of the field `p`, and what is told of.
    fn pruned(schema: Value, value: Value) -> (Value, Vec<String>) {
        let mut object = json!({ "p": value });
        let told = prune(&mut object, &json!({"type": "object", "properties": {"p": schema}}));
        (object["p"].take(), told)
    }

    #[test]
    fn values_that_may_be_anything_have_nothing_in_them() {
        let any = json!({"type": "object", "additionalProperties": true});
        let (left, told) = pruned(any, json!({"a": {"b": 1}, "c": 2, "d": [{"x": 1}, [3]]}));
        assert_eq!(left, json!({"a": {}, "c": 2, "d": [{}, [3]]}));
        assert_eq!(told, ["p.a.b", "p.d[0].x"]);
        let open =
            json!({"type": "object", "additionalProperties": true, "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(pruned(open, json!({"a": {"b": 1}})).0, json!({"a": {}}));
        let none = json!({"type": "object", "additionalProperties": false});
        assert_eq!(pruned(none, json!({"a": 1})), (json!({"a": 1}), Vec::new()));
    }

    #[test]
    fn an_open_list_keeps_what_is_in_its_elements() {
        let of = json!({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}});
        let list = json!({"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": of});
        let (left, told) = pruned(list, json!([{"a": {"x": 1}, "b": {"y": 1}}]));
        assert_eq!(left, json!([{"a": {}, "b": {"y": 1}}]));
        assert_eq!(told, ["p[0].a.x"]);
        let free = json!({"type": "array", "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(pruned(free, json!([{"a": {"b": 1}}])).0, json!([{"a": {"b": 1}}]));
    }
}
