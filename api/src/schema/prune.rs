//! Dropping what a schema does not describe.

use serde_json::Value;

use super::{any_additional, is_embedded, is_type_field, items, member, preserves};

/// Bytes of paths that are told: a hostile object has many that are all long.
const TOLD: usize = 4 << 20;

/// Removes unknown fields below an object and returns their paths, sorted: `spec.list[0].x`.
///
/// At the root, and at embedded resources, `apiVersion`, `kind` and `metadata` stay as they are.
pub fn prune(value: &mut Value, schema: &Value) -> Vec<String> {
    let mut pruner = Pruner::default();
    pruner.object(value, Some(schema), true);
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
    fn object(&mut self, value: &mut Value, schema: Option<&Value>, root: bool) {
        match value {
            Value::Object(map) => {
                let typed = root || schema.is_some_and(is_embedded);
                let open = schema.is_some_and(|schema| preserves(schema) || any_additional(schema));
                let length = self.path.len();
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
            Value::Array(list) => self.list(list, schema),
            _ => {}
        }
    }

    fn field(&mut self, value: &mut Value, schema: Option<&Value>, key: &str, open: bool) -> bool {
        match schema.and_then(|schema| member(schema, key)) {
            Some(of) => self.object(value, Some(of), false),
            None if open => {}
            None => {
                self.report();
                return false;
            }
        }
        true
    }

    fn report(&mut self) {
        if self.told < TOLD {
            self.told += self.path.len();
            self.unknown.push(self.path.clone());
        }
    }

    fn list(&mut self, list: &mut [Value], schema: Option<&Value>) {
        let of = schema.and_then(items);
        if of.is_none() && schema.is_some_and(preserves) {
            return;
        }
        let length = self.path.len();
        for (index, value) in list.iter_mut().enumerate() {
            self.path.push_str(&format!("[{index}]"));
            self.object(value, of, false);
            self.path.truncate(length);
        }
    }

    fn push(&mut self, key: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }
}
