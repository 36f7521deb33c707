//! What of a configuration would replace something as a whole.

use serde_json::Value;

use super::schema::{Atom, Relation, Schema};

/// The paths of the atomic lists, maps and structs of a configuration, `.spec.selector`; only declared fields count.
#[must_use]
pub fn atomics(config: &Value, schema: Schema<'_>) -> Vec<String> {
    let mut found = Vec::new();
    visit(config, schema, "", &mut found);
    found
}

fn visit(value: &Value, schema: Schema<'_>, path: &str, found: &mut Vec<String>) {
    match (schema.atom(value), value) {
        (Atom::Map { atomic }, Value::Object(map)) => {
            if atomic {
                found.push(path.to_owned());
            }
            for (name, child) in map {
                if let Some((inner, true)) = schema.child(name) {
                    visit(child, inner, &format!("{path}.{name}"), found);
                }
            }
        }
        (Atom::List { relation, element }, Value::Array(list)) => {
            if relation == Relation::Atomic {
                found.push(path.to_owned());
            }
            for (index, child) in list.iter().enumerate() {
                visit(child, element, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}
