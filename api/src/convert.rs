//! Between the versions of one kind: HorizontalPodAutoscaler v1 and v2, and the two forms of events.

mod autoscaler;
mod event;

use serde_json::Value;

use crate::decode;
use crate::meta;
use crate::numbers::parse_int_error;
use crate::resource::{api_version, split_api_version};
use crate::status::{ApiResult, Status};
use crate::types;

/// The object as another version has it; `apiVersion` and `kind` say so afterwards.
///
/// # Errors
/// If there is no way from the object's version to the other.
pub fn to_version(mut object: Value, group: &str, version: &str, kind: &str) -> ApiResult<Value> {
    let from = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let to = api_version(group, version);
    if from == to {
        return Ok(object);
    }
    let (from_group, from_version) = split_api_version(&from);
    match (kind, from_group, from_version, group, version) {
        ("HorizontalPodAutoscaler", "autoscaling", "v1", "autoscaling", "v2") => autoscaler::to_v2(&mut object),
        ("HorizontalPodAutoscaler", "autoscaling", "v2", "autoscaling", "v1") => autoscaler::to_v1(&mut object),
        ("Event", "", "v1", "events.k8s.io", "v1") => event::to_new(&mut object),
        ("Event", "events.k8s.io", "v1", "", "v1") => event::to_core(&mut object),
        _ => return Err(Status::internal(format!("no conversion of {kind} from {from} to {to}"))),
    }
    object["apiVersion"] = to.into();
    Ok(match types::type_of(group, version, kind) {
        Some(of) => decode::canonical(of, &object),
        None => object,
    })
}

/// Why an object cannot be read although each of its fields can: annotations carry numbers that old versions had fields
/// for.
#[must_use]
pub fn unreadable(group: &str, kind: &str, object: &Value) -> Option<String> {
    const ROLLBACK: &str = "deprecated.deployment.rollback.rollbackTo";
    const TEMPLATE: &str = "deprecated.daemonset.template.generation";
    let flaw = |key: &str| {
        let text = meta::annotation(object, key)?;
        text.parse::<i64>().is_err().then(|| (text, parse_int_error("ParseInt", text)))
    };
    match (group, kind) {
        ("apps", "Deployment") => flaw(ROLLBACK)
            .filter(|(text, _)| !text.is_empty())
            .map(|(text, why)| format!("failed to parse annotation[{ROLLBACK}]={text} as int64: {why}")),
        ("apps", "DaemonSet") => flaw(TEMPLATE).map(|(_, why)| why),
        _ => None,
    }
}

/// Takes from an object what its version has no place for: annotations in which another version carries fields.
pub fn drop_foreign(group: &str, version: &str, kind: &str, object: &mut Value) {
    if (group, version, kind) == ("autoscaling", "v2", "HorizontalPodAutoscaler") {
        autoscaler::forget_annotations(object);
    }
}

#[cfg(test)]
mod tests;
