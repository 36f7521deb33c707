//! What the root of a schema may say.

use mainstay_api::field::{Error, go_json};
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

/// The keywords of schemas in the order of Kubernetes' internal form, with their names there.
const KEYWORDS: [(&str, &str); 44] = [
    ("id", "ID"),
    ("$schema", "Schema"),
    ("$ref", "Ref"),
    ("description", "Description"),
    ("type", "Type"),
    ("nullable", "Nullable"),
    ("format", "Format"),
    ("title", "Title"),
    ("default", "Default"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("enum", "Enum"),
    ("maxProperties", "MaxProperties"),
    ("minProperties", "MinProperties"),
    ("required", "Required"),
    ("items", "Items"),
    ("allOf", "AllOf"),
    ("oneOf", "OneOf"),
    ("anyOf", "AnyOf"),
    ("not", "Not"),
    ("properties", "Properties"),
    ("additionalProperties", "AdditionalProperties"),
    ("patternProperties", "PatternProperties"),
    ("dependencies", "Dependencies"),
    ("additionalItems", "AdditionalItems"),
    ("definitions", "Definitions"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-embedded-resource", "XEmbeddedResource"),
    ("x-kubernetes-int-or-string", "XIntOrString"),
    ("x-kubernetes-list-map-keys", "XListMapKeys"),
    ("x-kubernetes-list-type", "XListType"),
    ("x-kubernetes-map-type", "XMapType"),
    ("x-kubernetes-validations", "XValidations"),
];

/// Those that do not get lost where the status is validated alone, as errors list them.
const WITH_STATUS: [&str; 22] = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
];

/// Checks the root of a schema, whose kind may have a status of its own.
pub(super) fn check(at: &At<'_>, with_status: bool, errors: &mut Errors) {
    if with_status {
        keywords(at, errors);
    }
    if at.get("nullable").bool() {
        let path = at.path.child("nullable");
        errors.0.push(Error::forbidden(&path, "nullable cannot be true at the root"));
    }
}

/// Tells of the first keyword that may not be there.
fn keywords(at: &At<'_>, errors: &mut Errors) {
    let set = |key: &str| at.opt(key).is_some_and(|of| of.value != &Value::Bool(false) || key == "default");
    for (_, name) in KEYWORDS.iter().filter(|pair| set(pair.0)) {
        if *name == "Type" && !matches!(at.get("type").str(), "" | "object") {
            let why =
                "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            return errors.invalid(&at.get("type"), why);
        }
        if !WITH_STATUS.contains(name) {
            let why = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                WITH_STATUS.join(" ")
            );
            return errors.0.push(Error::invalid_text(&at.path, go_json(at.value), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::field::Path;
    use serde_json::json;

    use super::*;

    fn texts(schema: &Value, with_status: bool) -> Vec<String> {
        let mut errors = Errors::default();
        check(&At::new(schema, Path::new("s")), with_status, &mut errors);
        errors.0.iter().map(|error| format!("{} {}", error.field, error.detail)).collect()
    }

    #[test]
    fn with_a_status_of_its_own_the_root_says_less() {
        let plain = json!({"type": "object", "required": ["spec"], "properties": {}, "x-kubernetes-validations": []});
        assert!(texts(&plain, true).is_empty());
        let one = json!({"type": "object", "oneOf": [{"required": ["a"]}]});
        assert!(texts(&one, false).is_empty());
        let found = texts(&one, true);
        assert!(found[0].starts_with("s only [Description Type Format "), "{found:?}");
        assert_eq!(
            texts(&json!({"type": "object", "nullable": true}), false),
            ["s.nullable nullable cannot be true at the root"]
        );
    }
}
