//! Between the versions of one kind: HorizontalPodAutoscaler v1 and v2, and the two forms of events.

mod autoscaler;
mod event;

use serde_json::Value;

use crate::decode;
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

#[cfg(test)]
mod tests;
