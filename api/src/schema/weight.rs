//! What the paths of a value take, which is far more than the value where long names have much below them.

use serde_json::Value;

/// Bytes of the paths in an object of a custom kind, at the most: some forty times as many as a request has.
const MOST_OF_OBJECT: usize = 128 << 20;
/// Bytes of the paths in a schema, at the most: those of definitions are long.
pub(super) const MOST_OF_SCHEMA: usize = 512 << 20;

/// Whether a custom object has so many fields below such long names that nobody could tell of them all.
#[must_use]
pub fn is_unwieldy(object: &Value) -> bool {
    path_bytes(object, 0) > MOST_OF_OBJECT
}

/// Bytes of the paths of all that is in a value, together; its own path has so many bytes.
pub(super) fn path_bytes(value: &Value, own: usize) -> usize {
    /// Brackets and digits.
    const INDEX: usize = 8;
    let below = |path: usize, value: &Value| path.saturating_add(path_bytes(value, path));
    match value {
        Value::Object(map) => {
            let all = map.iter().map(|(key, value)| below(own + 1 + key.len(), value));
            all.fold(0, usize::saturating_add)
        }
        Value::Array(list) => list.iter().map(|value| below(own + INDEX, value)).fold(0, usize::saturating_add),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_below_a_name_counts_with_it() {
        assert_eq!(path_bytes(&json!({"ab": {"c": 1, "d": [1]}}), 0), 3 + 5 + 5 + 13);
        let flat: Vec<i64> = (0..500_000).collect();
        assert!(!is_unwieldy(&json!({"spec": {"list": flat}})));
        let long = "n".repeat(1 << 20);
        assert!(is_unwieldy(&json!({"spec": {long: vec![0; 1_000]}})));
    }

    #[test]
    fn a_schema_that_is_unwieldy_is_not_looked_at() {
        let many: serde_json::Map<String, Value> =
            (0..2_000).map(|index| (format!("p{index}"), json!({"type": "nonsense"}))).collect();
        let name = "n".repeat(1 << 20);
        let long = json!({"type": "object", "properties": {name: {"type": "object", "properties": many}}});
        let found = crate::schema::check(&long, &crate::field::Path::new("s"));
        assert_eq!(found.errors.len(), 1);
        assert!(!found.sound);
    }
}
