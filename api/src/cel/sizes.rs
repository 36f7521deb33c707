//! How large values can be, and how small, by what their schema says.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::schema::{additional, is_int_or_string, items, properties, text};

/// Bytes of the largest request, which bound what a schema leaves open.
const REQUEST: f64 = 3_145_728.0;

type Known = RefCell<HashMap<*const Value, f64>>;

/// The sizes of the parts of one schema, each worked out once: many rules ask for them, and those of large parts follow
/// from those of small ones. A part is known by its address, so the schema has to outlive this.
#[derive(Default)]
pub(super) struct Sizes {
    most: Known,
    least: Known,
}

fn once(known: &Known, schema: &Value, work_out: impl FnOnce() -> f64) -> f64 {
    let part = std::ptr::from_ref(schema);
    let found = known.borrow().get(&part).copied();
    found.unwrap_or_else(|| {
        let size = work_out();
        known.borrow_mut().insert(part, size);
        size
    })
}

impl Sizes {
    /// How many values of an element's schema a list or map can have; characters of a string.
    pub(super) fn most(&self, schema: &Value) -> f64 {
        once(&self.most, schema, || self.most_elements(schema))
    }

    /// How often a value of the schema fits into the largest request.
    pub(super) fn occurrences(&self, schema: &Value) -> f64 {
        (REQUEST / (self.least(schema) + 1.0)).floor()
    }

    /// Bytes that a value of the schema takes at least.
    fn least(&self, schema: &Value) -> f64 {
        once(&self.least, schema, || self.least_bytes(schema))
    }

    fn most_elements(&self, schema: &Value) -> f64 {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64).map(|most| most.max(0.0));
        let fitting = |of: Option<&Value>, more: f64| {
            let least = of.map_or(1.0, |of| self.least(of));
            ((REQUEST - 2.0) / (least + more)).floor()
        };
        match text(schema, "type") {
            "" if is_int_or_string(schema) => bound("maxLength").map_or(REQUEST - 2.0, |most| most * 4.0),
            "string" => most_characters(schema),
            "array" => bound("maxItems").unwrap_or_else(|| fitting(items(schema), 1.0)),
            "object" if additional(schema).is_some() => {
                bound("maxProperties").unwrap_or_else(|| fitting(additional(schema), 6.0))
            }
            // As Kubernetes has it, whatever is no text, list or map is of no size.
            _ => 0.0,
        }
    }

    fn least_bytes(&self, schema: &Value) -> f64 {
        match text(schema, "type") {
            "" if is_int_or_string(schema) => 1.0,
            "boolean" => 4.0,
            "integer" | "number" => 1.0,
            "string" => match text(schema, "format") {
                "duration" => 3.0,
                "date" => 12.0,
                "date-time" => 21.0,
                _ => 2.0,
            },
            "object" if additional(schema).is_none() => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                // However often one is named, it is there once.
                let required: HashSet<&str> = required.filter_map(Value::as_str).collect();
                let needed = properties(schema).into_iter().flatten().filter(|(name, of)| {
                    required.contains(name.as_str()) && of.get("default").is_none_or(Value::is_null)
                });
                #[expect(clippy::cast_precision_loss, reason = "names are short")]
                let sizes = needed.map(|(name, of)| name.len() as f64 + self.least(of) + 4.0);
                2.0 + sizes.sum::<f64>()
            }
            _ => 2.0,
        }
    }
}

/// A character may take four bytes, unless the string is one of known ones.
fn most_characters(schema: &Value) -> f64 {
    let each = match text(schema, "format") {
        "duration" | "date-time" => return 32.0,
        "date" => return 12.0,
        "byte" => 1.0,
        _ => 4.0,
    };
    if let Some(most) = schema.get("maxLength").and_then(Value::as_f64) {
        return most.max(0.0) * each;
    }
    let options = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    #[expect(clippy::cast_precision_loss, reason = "texts of a definition are short")]
    let longest = options.filter_map(Value::as_str).map(|option| option.len() as f64).max_by(f64::total_cmp);
    longest.unwrap_or(REQUEST - 2.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_required_twice_counts_once() {
        let of = |required: Value| {
            json!({"type": "object", "required": required, "properties": {"a": {"type": "boolean"}, "b": {"type": "string"},
                "c": {"type": "integer", "default": 1}}})
        };
        assert_eq!(Sizes::default().least(&of(json!(["a"]))), 11.0);
        assert_eq!(Sizes::default().least(&of(json!(["a", "a", "c", "x"]))), 11.0);
        assert_eq!(Sizes::default().least(&of(json!(["a", "b"]))), 18.0);
    }

    #[test]
    fn no_size_is_less_than_nothing() {
        let of = |kind: &str, bound: &str| json!({"type": kind, bound: -5, "items": {}, "additionalProperties": {}});
        for (kind, bound) in [("string", "maxLength"), ("array", "maxItems"), ("object", "maxProperties")] {
            assert_eq!(Sizes::default().most(&of(kind, bound)), 0.0);
        }
    }

    #[test]
    fn an_integer_or_a_string_is_as_large_as_the_string() {
        let most = |schema: Value| Sizes::default().most(&schema);
        assert_eq!(most(json!({"x-kubernetes-int-or-string": true, "maxLength": 5})), 20.0);
        assert_eq!(most(json!({"x-kubernetes-int-or-string": true})), REQUEST - 2.0);
    }

    #[test]
    fn nested_repetitions_do_not_multiply() {
        let mut schema = json!({"type": "boolean"});
        for _ in 0..40 {
            schema = json!({"type": "object", "required": ["a", "a", "a"], "properties": {"a": schema}});
        }
        assert_eq!(Sizes::default().least(&schema), 4.0 + 40.0 * 7.0);
    }
}
