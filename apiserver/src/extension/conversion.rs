//! Conversion of custom objects by a webhook.

use std::time::Duration;

use mainstay_api::field::{Path, aggregate};
use mainstay_api::json::go_type;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value, json};

use super::{client, list, text};
use crate::custom::Served;
use crate::strategy::Reader;

/// How long a conversion may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a definition's versions are converted by a webhook.
pub(crate) fn by_webhook(served: &Served) -> bool {
    text(&served.conversion, "/strategy") == "Webhook"
}

/// Converts an object by the definition's webhook.
///
/// # Errors
/// 500 in Kubernetes' words, if the webhook fails or answers with something else.
pub(crate) async fn convert(
    served: &Served,
    object: Value,
    api_version: &str,
    reader: &dyn Reader,
) -> ApiResult<Value> {
    let from = meta::api_version(&object).to_owned();
    let kind = meta::kind(&object).to_owned();
    let refused = |why: String| Status::plain(format!("conversion webhook for {from}, Kind={kind} {why}"));
    let versions = list(&served.conversion, "/webhook/conversionReviewVersions").iter().filter_map(Value::as_str);
    let version = versions.into_iter().find(|version| matches!(*version, "v1" | "v1beta1")).unwrap_or("v1");
    let uid = uuid::Uuid::new_v4().to_string();
    let body = review(version, &uid, api_version, &object);
    let config = served.conversion.pointer("/webhook/clientConfig").cloned().unwrap_or_default();
    let answer = client::call(&config, &body, TIMEOUT, reader).await;
    let answer = answer.map_err(|why| refused(format!("failed: {why}")))?;
    let converted = answered(&answer, version, &uid).map_err(&refused)?;
    has_kind(&converted)?;
    let mut converted = checked(converted, &object, api_version).map_err(&refused)?;
    restore(&mut converted, &object).map_err(|why| refused(format!("returned invalid metadata: {why}")))?;
    Ok(converted)
}

/// What a webhook is asked. Kubernetes says with it what an answer looks like that says nothing.
fn review(version: &str, uid: &str, api_version: &str, object: &Value) -> Value {
    json!({
        "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": [object]},
        "response": {"uid": "", "convertedObjects": null, "result": {"metadata": {}}},
    })
}

/// What has no kind is no object at all: Kubernetes does not say then who has sent it.
fn has_kind(converted: &Value) -> ApiResult<()> {
    if meta::kind(converted).is_empty() {
        return Err(Status::plain(format!("Object 'Kind' is missing in '{converted}'")));
    }
    Ok(())
}

/// The one object of an answer to the review of this version; in the older one nobody looks at whose answer it is.
fn answered(answer: &Value, version: &str, uid: &str) -> Result<Value, String> {
    const KIND: &str = "ConversionReview";
    let (found, kind) = (text(answer, "/apiVersion"), text(answer, "/kind"));
    let wanted = format!("apiextensions.k8s.io/{version}");
    super::answer::check_kind(answer, "apiextensions.k8s.io", version, KIND).map_err(|why| format!("failed: {why}"))?;
    if version == "v1" && (found.is_empty() || kind.is_empty()) {
        let found = if found.is_empty() { "/" } else { found };
        return Err(format!("failed: expected webhook response of {wanted}, Kind={KIND}, got {found}, Kind={kind}"));
    }
    let Some(response) = answer.get("response").filter(|response| response.is_object()) else {
        return Err("failed: no response provided".to_owned());
    };
    let own = text(response, "/uid");
    if version == "v1" && own != uid {
        return Err(format!("failed: expected response.uid=\"{uid}\", got \"{own}\""));
    }
    match (text(response, "/result/status"), text(response, "/result/message")) {
        ("Success", _) => {}
        (status, "") => return Err(format!("failed: response.result.status was '{status}', not 'Success'")),
        (_, message) => return Err(format!("failed: {message}")),
    }
    match list(response, "/convertedObjects") {
        [only] => Ok(only.clone()),
        other => Err(format!("returned {} objects, expected 1", other.len())),
    }
}

/// A conversion changes neither what the object is nor whose it is.
fn checked(converted: Value, object: &Value, api_version: &str) -> Result<Value, String> {
    let invalid = |why: String| Err(format!("returned invalid object: {why}"));
    if meta::api_version(&converted) != api_version {
        let found = meta::api_version(&converted);
        return Err(format!(
            "returned invalid object at index 0: invalid groupVersion (expected {api_version}, received {found})"
        ));
    }
    if meta::kind(&converted) != meta::kind(object) {
        let (wanted, found) = (meta::kind(object), meta::kind(&converted));
        return Err(format!("returned invalid object at index 0: invalid kind (expected {wanted}, received {found})"));
    }
    for (what, wanted, found) in [
        ("name", meta::name(object), meta::name(&converted)),
        ("namespace", meta::namespace(object), meta::namespace(&converted)),
        ("UID", meta::uid(object), meta::uid(&converted)),
    ] {
        if wanted != found {
            return invalid(format!("must have the same {what}: {wanted} != {found}"));
        }
    }
    Ok(converted)
}

/// Of the metadata only labels and annotations may be converted.
fn restore(converted: &mut Value, object: &Value) -> Result<(), String> {
    let mut metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
    for field in ["labels", "annotations"] {
        match meta::metadata(converted).and_then(|own| own.get(field)).filter(|value| !value.is_null()) {
            Some(value) => {
                let texts = texts(value, field)?;
                if metadata.get(field).and_then(Value::as_object) != Some(texts) {
                    check_texts(texts, field)?;
                }
                metadata[field] = value.clone();
            }
            None => drop(metadata.as_object_mut().and_then(|map| map.remove(field))),
        }
    }
    converted["metadata"] = metadata;
    Ok(())
}

/// Labels or annotations are texts by name.
fn texts<'v>(value: &'v Value, field: &str) -> Result<&'v Map<String, Value>, String> {
    let Some(map) = value.as_object() else {
        return Err(format!("invalid metadata.{field} of type {} in converted object", go_type(value)));
    };
    match map.iter().find(|(_, value)| !value.is_string()) {
        Some((key, value)) => {
            let of = go_type(value);
            Err(format!("metadata.{field}[{key}] must be a string, but is {of} in converted object"))
        }
        None => Ok(map),
    }
}

fn check_texts(texts: &Map<String, Value>, field: &str) -> Result<(), String> {
    let path = Path::new("metadata");
    let errors = match field {
        "labels" => meta::validate_labels(Some(texts), &path.child("labels")),
        _ => meta::validate_annotations(Some(texts), &path.child("annotation")),
    };
    if errors.is_empty() { Ok(()) } else { Err(aggregate(&errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, name: &str) -> Value {
        json!({"apiVersion": version, "kind": "A", "metadata": {"name": name, "uid": "1", "labels": {"a": "b"}}})
    }

    #[test]
    fn identity_cannot_be_converted() {
        let why = checked(object("g/v2", "other"), &object("g/v1", "own"), "g/v2").unwrap_err();
        assert_eq!(why, "returned invalid object: must have the same name: own != other");
        assert!(checked(object("g/v1", "own"), &object("g/v1", "own"), "g/v2").is_err());
        assert!(checked(object("g/v2", "own"), &object("g/v1", "own"), "g/v2").is_ok());
    }

    #[test]
    fn what_is_converted_has_a_kind() {
        assert!(has_kind(&object("g/v2", "own")).is_ok());
        assert_eq!(has_kind(&json!({"a": 1})).unwrap_err().message, "Object 'Kind' is missing in '{\"a\":1}'");
        let asked = review("v1", "u", "g/v2", &object("g/v1", "own"));
        assert_eq!(asked["request"]["objects"][0]["apiVersion"], "g/v1");
        assert_eq!(asked["response"]["result"], json!({"metadata": {}}));
    }

    #[test]
    fn an_answer_says_that_it_went_well() {
        let said = |version: &str, response: Value| {
            let review = format!("apiextensions.k8s.io/{version}");
            let answer = json!({"kind": "ConversionReview", "apiVersion": review, "response": response});
            answered(&answer, "v1", "u").unwrap_err()
        };
        let failed = |status: &str| json!({"uid": "u", "result": {"status": status}});
        assert_eq!(said("v1", failed("Failed")), "failed: response.result.status was 'Failed', not 'Success'");
        assert_eq!(said("v1", failed("Success")), "returned 0 objects, expected 1");
        let why = "failed: converting (v1beta1.ConversionReview) to (v1.ConversionReview): unknown conversion";
        assert_eq!(said("v1beta1", failed("Success")), why);
    }

    #[test]
    fn of_the_metadata_only_labels_and_annotations_change() {
        let mut converted =
            json!({"apiVersion": "g/v2", "kind": "A", "metadata": {"name": "own", "annotations": {"x": "y"}}});
        assert_eq!(restore(&mut converted, &object("g/v1", "own")), Ok(()));
        assert_eq!(converted["metadata"], json!({"name": "own", "uid": "1", "annotations": {"x": "y"}}));
        let refused = |metadata: Value| {
            restore(&mut json!({"kind": "A", "metadata": metadata}), &object("g/v1", "own")).unwrap_err()
        };
        assert_eq!(
            refused(json!({"labels": {"a": 1}})),
            "metadata.labels[a] must be a string, but is int64 in converted object"
        );
        assert_eq!(
            refused(json!({"annotations": "x"})),
            "invalid metadata.annotations of type string in converted object"
        );
        assert!(refused(json!({"labels": {"a b": "c"}})).starts_with("metadata.labels: Invalid value: \"a b\""));
    }
}
