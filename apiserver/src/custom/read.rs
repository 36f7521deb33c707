//! Objects of custom kinds as they come in and go out: pruned and defaulted by their schema.

use mainstay_api::schema::{
    apply_defaults, coerce_embedded, coerce_metadata, drop_null_fields, is_unwieldy, mend_embedded, prune,
};
use serde_json::{Number, Value};

use super::Served;

impl Served {
    /// Brings an object of a request into the form of its schema; unknown fields are returned, by path.
    ///
    /// # Errors
    /// In the decoder's words, if metadata cannot be read; if there is too much below long names.
    pub fn decode(&self, value: &mut Value) -> Result<Vec<String>, String> {
        if is_unwieldy(value) {
            return Err("the paths of the fields of the object are too long altogether".to_owned());
        }
        whole_numbers(value);
        let schema = self.schema.root();
        let mut unknown = coerce_metadata(value)?;
        unknown.extend(prune(value, schema));
        drop_null_fields(value, schema);
        unknown.extend(coerce_embedded(value, schema)?);
        apply_defaults(value, schema);
        Ok(unknown)
    }

    /// A stored object in the form that the schema of its own version gives it.
    pub fn stored_form(&self, value: &mut Value) {
        let version = mainstay_api::meta::api_version(value);
        let schema = self.schemas.get(version).unwrap_or(&self.schema).root();
        prune(value, schema);
        drop_null_fields(value, schema);
        mend_embedded(value, schema);
        apply_defaults(value, schema);
    }

    /// Drops what another version of the object had and its own has not, and nulls that may not be. Defaults are those of
    /// the version that it came from.
    pub fn converted_form(&self, value: &mut Value) {
        let version = mainstay_api::meta::api_version(value);
        if let Some(schema) = self.schemas.get(version) {
            prune(value, schema.root());
            drop_null_fields(value, schema.root());
        }
    }
}

/// Floats without a fraction are whole numbers, as Go writes them.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole.into();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn whole(number: &Number) -> Option<i64> {
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < 9.0e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    Some(float as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_was_stored_before_it_was_a_resource_is_shown_as_one() {
        let template = json!({"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true});
        let schema = json!({"type": "object", "properties": {"template": template}});
        let rows = crate::custom::rows(&json!({
            "spec": {"group": "g.io", "names": {"plural": "as"}, "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
            "status": {"acceptedNames": {"plural": "as", "kind": "A"},
                "conditions": [{"type": "Established", "status": "True"}]},
        }));
        let mut value = json!({"apiVersion": "g.io/v1", "kind": "A",
            "template": {"kind": 5, "metadata": {"name": "t", "unknown": 1}}});
        rows[0].1.stored_form(&mut value);
        assert_eq!(value["template"], json!({"metadata": {"name": "t"}}));
    }

    #[test]
    fn what_is_converted_has_nothing_that_its_version_has_not() {
        let text = json!({"type": "string"});
        let properties =
            json!({"a": text, "b": {"type": "string", "nullable": true}, "d": {"type": "string", "default": "x"}});
        let version = |name: &str| {
            let schema = json!({"openAPIV3Schema": {"type": "object", "properties": properties}});
            json!({"name": name, "served": true, "storage": name == "v1", "schema": schema})
        };
        let rows = crate::custom::rows(&json!({
            "spec": {"group": "g.io", "names": {"plural": "as"}, "versions": [version("v1"), version("v2")]},
            "status": {"acceptedNames": {"plural": "as", "kind": "A"},
                "conditions": [{"type": "Established", "status": "True"}]},
        }));
        let mut value = json!({"apiVersion": "g.io/v2", "kind": "A", "a": null, "b": null, "c": 1});
        rows[0].1.converted_form(&mut value);
        assert_eq!(value, json!({"apiVersion": "g.io/v2", "kind": "A", "b": null}));
    }
}
