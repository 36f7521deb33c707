//! The `scale` subresource: an autoscaling/v1 `Scale` seen through the object's replicas.

use mainstay_api::field::{Error, Path};
use mainstay_api::selector::LabelSelector;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value, json};

use super::Target;

/// The `Scale` of an object.
pub(crate) fn of(target: &Target, object: &Value) -> ApiResult<Value> {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    let mut spec = Map::new();
    if let Some(replicas) = object.pointer("/spec/replicas").and_then(Value::as_i64).filter(|replicas| *replicas != 0) {
        spec.insert("replicas".into(), replicas.into());
    }
    let mut status = json!({"replicas": object.pointer("/status/replicas").and_then(Value::as_i64).unwrap_or(0)});
    let selector = selector_text(target, object)?;
    if !selector.is_empty() {
        status["selector"] = Value::String(selector);
    }
    Ok(json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status}))
}

fn selector_text(target: &Target, object: &Value) -> ApiResult<String> {
    let Some(selector) = object.pointer("/spec/selector") else { return Ok(String::new()) };
    let selector = match (target.resource(), selector.as_object()) {
        ("replicationcontrollers", Some(labels)) => LabelSelector::from_map(labels),
        _ => LabelSelector::from_object(selector).map_err(Status::internal)?,
    };
    Ok(selector.to_string())
}

/// The object with the replicas of a changed `Scale`.
pub(crate) fn take(target: &Target, live: &Value, scale: &Value) -> ApiResult<Value> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let error =
            Error::invalid(&Path::new("spec").child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", &target.name, [error].into_iter().collect()));
    }
    let mut object = live.clone();
    object["spec"]["replicas"] = replicas.into();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["resourceVersion", "uid"] {
            match scale.pointer(&format!("/metadata/{field}")) {
                Some(value) => metadata.insert(field.into(), value.clone()),
                None => metadata.remove(field),
            };
        }
    }
    Ok(object)
}
