//! Conversion of custom objects by a webhook.

use std::time::Duration;

use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};

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
    let body = json!({
        "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": [object]},
    });
    let config = served.conversion.pointer("/webhook/clientConfig").cloned().unwrap_or_default();
    let answer = client::call(&config, &body, TIMEOUT, reader).await;
    let answer = answer.map_err(|why| refused(format!("failed: {why}")))?;
    let converted = answered(&answer, &uid).map_err(&refused)?;
    let mut converted = checked(converted, &object, api_version).map_err(&refused)?;
    restore(&mut converted, &object);
    Ok(converted)
}

/// The one object of an answer.
fn answered(answer: &Value, uid: &str) -> Result<Value, String> {
    let Some(response) = answer.get("response").filter(|response| response.is_object()) else {
        return Err("failed: no response provided".to_owned());
    };
    let own = text(response, "/uid");
    if own != uid {
        return Err(format!("failed: expected response.uid=\"{uid}\", got \"{own}\""));
    }
    if text(response, "/result/status") != "Success" {
        return Err(format!("failed: {}", text(response, "/result/message")));
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
            "returned invalid converted object at index 0: invalid groupVersion (expected {api_version}, received {found})"
        ));
    }
    if meta::kind(&converted) != meta::kind(object) {
        let (wanted, found) = (meta::kind(object), meta::kind(&converted));
        return Err(format!(
            "returned invalid converted object at index 0: invalid kind (expected {wanted}, received {found})"
        ));
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
fn restore(converted: &mut Value, object: &Value) {
    let mut metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
    for field in ["labels", "annotations"] {
        match meta::metadata(converted).and_then(|own| own.get(field)).filter(|value| !value.is_null()) {
            Some(value) => metadata[field] = value.clone(),
            None => drop(metadata.as_object_mut().and_then(|map| map.remove(field))),
        }
    }
    converted["metadata"] = metadata;
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
    fn of_the_metadata_only_labels_and_annotations_change() {
        let mut converted =
            json!({"apiVersion": "g/v2", "kind": "A", "metadata": {"name": "own", "annotations": {"x": "y"}}});
        restore(&mut converted, &object("g/v1", "own"));
        assert_eq!(converted["metadata"], json!({"name": "own", "uid": "1", "annotations": {"x": "y"}}));
    }
}
