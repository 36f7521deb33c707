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
    let places = Places::of(target);
    let replicas = object.pointer(&places.spec).and_then(Value::as_i64);
    if replicas.is_none() && target.row.custom {
        let path = places.spec.replace('/', ".");
        return Err(Status::internal(format!("the spec replicas field \"{path}\" does not exist")));
    }
    if let Some(replicas) = replicas.filter(|replicas| *replicas != 0) {
        spec.insert("replicas".into(), replicas.into());
    }
    let mut status = json!({"replicas": object.pointer(&places.status).and_then(Value::as_i64).unwrap_or(0)});
    let selector = selector_text(target, object)?;
    if !selector.is_empty() {
        status["selector"] = Value::String(selector);
    }
    Ok(json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status}))
}

/// The JSON pointer to an object's replicas.
pub(crate) fn place(target: &Target) -> String {
    Places::of(target).spec
}

/// JSON pointers of what a scale shows.
struct Places {
    spec: String,
    status: String,
}

impl Places {
    fn of(target: &Target) -> Self {
        let pointer = |path: &str| path.replace('.', "/");
        match target.row.served.as_ref().and_then(|served| served.scale.as_ref()) {
            Some(scale) => Self { spec: pointer(&scale.spec), status: pointer(&scale.status) },
            None => Self { spec: "/spec/replicas".into(), status: "/status/replicas".into() },
        }
    }
}

fn selector_text(target: &Target, object: &Value) -> ApiResult<String> {
    if let Some(served) = &target.row.served {
        let path = served.scale.as_ref().map(|scale| scale.selector.replace('.', "/")).unwrap_or_default();
        let found = Some(path).filter(|path| !path.is_empty()).and_then(|path| object.pointer(&path));
        return Ok(found.and_then(Value::as_str).unwrap_or_default().to_owned());
    }
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
    if replicas < 0 && !target.row.custom {
        let error =
            Error::invalid(&Path::new("spec").child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", &target.name, [error].into_iter().collect()));
    }
    let mut object = live.clone();
    crate::strategy::base::set(&mut object, &Places::of(target).spec, replicas.into());
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
