//! Whether a configuration fits its schema, in the words of Kubernetes' typed values.

use std::collections::HashSet;

use serde_json::Value;

use super::schema::{Atom, Relation, Scalar, Schema};
use super::set::FieldSet;
use super::walk::element_step;
use crate::field::{go_quote, go_value};
use crate::json::go_type;

/// Whether a configuration fits.
///
/// # Errors
/// Its faults, as one text.
pub fn check(value: &Value, schema: Schema<'_>) -> Result<(), String> {
    let mut errors = Faults { told: Vec::new(), room: MOST_TOLD };
    visit(value, schema, &mut Vec::new(), &mut errors);
    match errors.told.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        several => Err(format!("errors:\n  {}", several.join("\n  "))),
    }
}

/// Bytes of faults after which no more are told: each names all that is above it, and who sends a configuration chooses
/// how long that is.
const MOST_TOLD: usize = 1 << 20;

struct Faults {
    told: Vec<String>,
    /// Bytes that may still be told.
    room: usize,
}

fn fault(path: &[String], message: &str, errors: &mut Faults) {
    if errors.room == 0 {
        return;
    }
    let mut set = FieldSet::default();
    set.insert(path);
    let path = set.paths().pop().unwrap_or_default();
    let text = format!("{path}: {message}");
    errors.room = errors.room.saturating_sub(text.len());
    errors.told.push(text);
}

fn visit(value: &Value, schema: Schema<'_>, path: &mut Vec<String>, errors: &mut Faults) {
    if value.is_null() {
        return;
    }
    match (schema.atom(value), value) {
        (Atom::Scalar(kind), _) => {
            if let Some(message) = scalar_fault(kind, value) {
                fault(path, &message, errors);
            }
        }
        (Atom::Map { .. }, Value::Object(map)) => {
            for (name, child) in map {
                path.push(format!("f:{name}"));
                let declared = schema.child(name);
                match declared {
                    Some((inner, _)) => visit(child, inner, path, errors),
                    None => fault(path, "field not declared in schema", errors),
                }
                path.pop();
                // What comes after it is not looked at.
                if declared.is_none() {
                    break;
                }
            }
        }
        (Atom::Map { .. }, other) => fault(path, &format!("expected map, got {}", boxed(other)), errors),
        (Atom::List { relation, element }, Value::Array(list)) => {
            visit_list(list, &relation, element, path, errors);
        }
        (Atom::List { .. }, other) => fault(path, &format!("expected list, got {}", boxed(other)), errors),
    }
}

fn visit_list(list: &[Value], relation: &Relation, element: Schema<'_>, path: &mut Vec<String>, errors: &mut Faults) {
    let mut seen: HashSet<String> = HashSet::new();
    for (at, item) in list.iter().enumerate() {
        let step = match relation {
            Relation::Atomic => format!("i:{at}"),
            _ => match element_step(relation, item).filter(|_| may_be_element(relation, item)) {
                Some(step) => step,
                // What comes after it is not looked at.
                None => return fault(path, &format!("element {at}: {}", key_fault(relation, item)), errors),
            },
        };
        if seen.contains(&step) {
            let mut set = FieldSet::default();
            set.insert(std::slice::from_ref(&step));
            let key = set.paths().pop().unwrap_or_default();
            fault(path, &format!("duplicate entries for key {key}"), errors);
        }
        path.push(step.clone());
        seen.insert(step);
        visit(item, element, path, errors);
        path.pop();
    }
}

/// Whether a value is of a form that elements of such a list have.
fn may_be_element(relation: &Relation, item: &Value) -> bool {
    match relation {
        Relation::Atomic => true,
        Relation::Set => !item.is_object() && !item.is_array() && !item.is_null(),
        Relation::Keyed(_) => item.is_object(),
    }
}

/// Why a value cannot be told from the other elements of a list.
fn key_fault(relation: &Relation, item: &Value) -> String {
    let fault = match (relation, item) {
        (Relation::Keyed(_), Value::Null) => "associative list with keys may not have a null element",
        (Relation::Keyed(keys), Value::Object(_)) => {
            let keys: Vec<String> = keys.iter().map(|(key, _)| go_quote(key)).collect();
            return format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                keys.join(" ")
            );
        }
        (Relation::Keyed(_), _) => "associative list with keys may not have non-map elements",
        (_, Value::Object(_)) => "associative list without keys has an element that's a map type",
        (_, Value::Array(_)) => "not supported: associative list with lists as elements",
        _ => "associative list without keys has an element that's an explicit null",
    };
    fault.to_owned()
}

fn scalar_fault(kind: Scalar, value: &Value) -> Option<String> {
    let good = match kind {
        Scalar::Text => value.is_string(),
        Scalar::Number => value.is_number(),
        Scalar::Bool => value.is_boolean(),
        Scalar::Any => !value.is_object() && !value.is_array(),
    };
    if good {
        return None;
    }
    Some(match kind {
        Scalar::Text => format!("expected string, got &value.valueUnstructured{{Value:{}}}", literal(value)),
        Scalar::Number => format!("expected numeric (int or float), got {}", go_type(value)),
        Scalar::Bool => format!("expected boolean, got {}", boxed(value)),
        Scalar::Any => format!("expected any scalar, got {}", boxed(value)),
    })
}

/// A value in its box, as Go prints a pointer to a struct.
fn boxed(value: &Value) -> String {
    format!("&{{{}}}", go_value(value))
}

/// A value as Go source (`%#v`).
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(literal).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", go_quote(key), literal(value))).collect();
            format!("map[string]interface {{}}{{{}}}", items.join(", "))
        }
        other => go_value(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::type_of;

    #[test]
    fn a_long_name_above_many_faults_is_not_told_for_each() {
        let odd: Vec<Value> = (0..10_000).map(|at| json!({"name": format!("v{at}"), "odd": 1})).collect();
        let pod = json!({"spec": {"containers": [{"name": "n".repeat(1 << 17), "env": odd}]}});
        let why = check(&pod, Schema::Struct(type_of("", "v1", "Pod").unwrap())).unwrap_err();
        assert!(why.starts_with("errors:\n  .spec.containers[name=\"nnn"), "{}", &why[..80]);
        assert!(why.len() < 2 * MOST_TOLD, "{}", why.len());
    }
}
