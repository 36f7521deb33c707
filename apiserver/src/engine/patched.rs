//! What a JSON or merge patch has made of an object's kind and version: Kubernetes decodes that anew, without being told
//! what it is to be.

use mainstay_api::decode::unidentified;
use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value};

use super::expected::Expected;

/// Why an outcome cannot be read at all. One of a custom kind has to say its kind, as nothing else tells it; a version is
/// missed later.
pub(crate) fn unread(value: &Value, custom: bool) -> Option<String> {
    if let Some(why) = unidentified(value) {
        return Some(format!("couldn't get version/kind; json parse error: {why}"));
    }
    let version = meta::api_version(value);
    if version.matches('/').count() > 1 {
        return Some(format!("unexpected GroupVersion string: {version}"));
    }
    (custom && meta::kind(value).is_empty()).then(|| format!("Object 'Kind' is missing in '{value}'"))
}

/// What is told of the members of an outcome that says no version.
pub(super) fn foreign(value: &Value) -> Vec<String> {
    let names = value.as_object().into_iter().flat_map(Map::keys);
    let odd = names.filter(|name| !matches!(name.as_str(), "apiVersion" | "kind"));
    odd.map(|name| format!("unknown field \"{name}\"")).collect()
}

/// Refuses an object of a custom kind that a patch has made another one; `versioned` if it said a version at all. An
/// update of a subresource takes neither kind nor version from it.
pub(super) fn check_type(subresource: &str, expected: &Expected, value: &Value, versioned: bool) -> ApiResult<()> {
    if !versioned {
        return Err(Status::internal("Object 'apiVersion' is missing in 'object has no apiVersion field'"));
    }
    let (version, wanted) = (meta::api_version(value), expected.api_version());
    if version == wanted || !subresource.is_empty() {
        return Ok(());
    }
    let kind = meta::kind(value);
    let mut errors = ErrorList::new();
    if kind != expected.kind {
        errors.push(Error::invalid(&Path::new("kind"), kind, format!("must be {}", expected.kind)));
    }
    errors.push(Error::invalid(&Path::new("apiVersion"), version, format!("must be {wanted}")));
    let (group, _) = meta::split_api_version(version).unwrap_or_default();
    Err(Status::invalid(group, kind, meta::name(value), errors))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        Expected { group: "g.io".into(), version: "v1".into(), kind: "A".into(), object_type: None }
    }

    #[test]
    fn an_outcome_has_to_say_what_it_is() {
        let why = |value: Value, custom: bool| unread(&value, custom).unwrap_or_default();
        let start = "couldn't get version/kind; json parse error: json: cannot unmarshal ";
        assert!(why(json!([]), false).starts_with(&format!("{start}array into Go value of type struct {{")));
        assert_eq!(why(json!({"kind": 5}), false), format!("{start}number into Go struct field .kind of type string"));
        assert_eq!(why(json!({"apiVersion": "a/b/c"}), false), "unexpected GroupVersion string: a/b/c");
        assert_eq!(why(json!({"apiVersion": "v1", "kind": null}), false), "");
        assert_eq!(why(json!({"a": [1]}), true), "Object 'Kind' is missing in '{\"a\":[1]}'");
        assert_eq!(why(json!({"kind": "A"}), true), "");
    }

    #[test]
    fn without_a_version_no_member_is_known() {
        let value = json!({"metadata": {}, "kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(foreign(&value), ["unknown field \"data\"", "unknown field \"metadata\""]);
    }

    #[test]
    fn a_custom_object_stays_of_its_kind_and_version() {
        let refused = |value: Value, versioned: bool| check_type("", &expected(), &value, versioned).unwrap_err();
        let other = json!({"apiVersion": "v2", "kind": "A", "metadata": {"name": "a"}});
        let why = refused(other.clone(), true);
        assert_eq!(
            (why.code(), &*why.message),
            (422, "A \"a\" is invalid: apiVersion: Invalid value: \"v2\": must be g.io/v1")
        );
        let both = refused(json!({"apiVersion": "h.io/v1", "kind": "B", "metadata": {"name": "a"}}), true);
        assert!(
            both.message.starts_with("B.h.io \"a\" is invalid: [kind: Invalid value: \"B\": must be A, apiVersion:")
        );
        let none = refused(json!({"apiVersion": "g.io/v1", "kind": "A"}), false);
        assert_eq!(
            &*none.message,
            "Internal error occurred: Object 'apiVersion' is missing in 'object has no apiVersion field'"
        );
        assert!(check_type("status", &expected(), &other, true).is_ok());
        assert!(check_type("", &expected(), &json!({"apiVersion": "g.io/v1", "kind": "B"}), true).is_ok());
    }
}
