//! Changes that webhooks and policies make to an object.

use mainstay_api::meta;
use mainstay_api::patch::{self, PatchRefused};
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::review;
use crate::registry::Row;

/// What becomes of fields that an object has been given and does not know.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unknown {
    /// They are dropped.
    Dropped,
    /// They are refused.
    Refused,
}

/// An object after operations of a JSON patch; one that no longer says what it is goes on being that.
///
/// # Errors
/// The first operation that does not apply; that nothing is left that could be an object.
pub(super) fn patched(seen: &Value, operations: &[Value]) -> Result<Value, PatchRefused> {
    let mut changed = patch::amend(seen, operations)?;
    let Some(map) = changed.as_object_mut() else {
        return Err(PatchRefused::Failed("replace operation hit impossible case".to_owned()));
    };
    for field in ["apiVersion", "kind"] {
        let says_so = map.get(field).is_some_and(|said| !said.is_null() && said != "");
        if let Some(own) = seen.get(field).filter(|_| !says_so) {
            map.insert(field.to_owned(), own.clone());
        }
    }
    Ok(changed)
}

/// A changed object, read again as a request would be: checked for types and defaulted, in the stored version.
///
/// # Errors
/// 500 if the change has made something that is no such object.
pub(super) fn settle(changed: Value, before: &Value, row: &Row, unknown: Unknown) -> ApiResult<Value> {
    if let Some(served) = row.served.as_ref().filter(|_| meta::kind(before) == row.resource.kind) {
        let mut changed = changed;
        served.decode(&mut changed).map_err(Status::internal)?;
        // It may have been seen in another version.
        changed["apiVersion"] = meta::api_version(before).into();
        check_kind(&changed, before)?;
        return Ok(changed);
    }
    let settled = review::in_stored(read(changed, unknown)?, before);
    check_kind(&settled, before)?;
    Ok(settled)
}

/// An object in the version that it says it is of; only what can be read can be converted.
fn read(changed: Value, unknown: Unknown) -> ApiResult<Value> {
    let (api_version, kind) = (meta::api_version(&changed), meta::kind(&changed));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let Some(of) = mainstay_api::types::type_of(group, version, kind) else { return Ok(changed) };
    let decoded = mainstay_api::decode::strict(of, &changed);
    if let Some(why) = decoded.errors.first() {
        return Err(Status::internal(why));
    }
    if unknown == Unknown::Refused && !decoded.unknown.is_empty() {
        return Err(Status::internal(format!("strict decoding error: {}", decoded.unknown.join(", "))));
    }
    let mut value = decoded.value;
    mainstay_api::defaults::apply(group, version, kind, &mut value);
    Ok(value)
}

/// Nothing becomes another kind of object.
fn check_kind(changed: &Value, before: &Value) -> ApiResult<()> {
    let named = |object: &Value| {
        let version = meta::api_version(object).rsplit('/').next().unwrap_or_default().to_owned();
        format!("({version}.{})", meta::kind(object))
    };
    if meta::kind(changed) == meta::kind(before) && meta::api_version(changed) == meta::api_version(before) {
        return Ok(());
    }
    Err(Status::internal(format!("converting {} to {}: unknown conversion", named(changed), named(before))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::Registry;

    #[test]
    fn an_object_does_not_become_another() {
        let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
        let before = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        let settled = |operation: Value| {
            let changed = patched(&before, &[operation]).map_err(Status::internal)?;
            settle(changed, &before, &row, Unknown::Dropped)
        };
        assert_eq!(settled(json!({"op": "replace", "path": "/kind", "value": null})).unwrap()["kind"], "ConfigMap");
        let refused = |field: &str, value: &str| {
            settled(json!({"op": "replace", "path": field, "value": value})).unwrap_err().message.into_owned()
        };
        let why =
            |found: &str| format!("Internal error occurred: converting {found} to (v1.ConfigMap): unknown conversion");
        assert_eq!(refused("/kind", "Secret"), why("(v1.Secret)"));
        assert_eq!(refused("/apiVersion", "v9"), why("(v9.ConfigMap)"));
        for nothing in [json!(null), json!(1), json!([])] {
            let operation = json!({"op": "replace", "path": "", "value": nothing});
            assert!(settled(operation).is_err(), "{nothing}");
        }
    }

    #[test]
    fn an_object_is_read_in_the_version_that_it_was_changed_in() {
        let row = Registry::builtin().find("autoscaling", "v2", "horizontalpodautoscalers").unwrap();
        let kind = "HorizontalPodAutoscaler";
        let before = json!({"apiVersion": "autoscaling/v2", "kind": kind, "metadata": {"name": "h"}});
        let settled = |spec: Value| {
            let changed =
                json!({"apiVersion": "autoscaling/v1", "kind": kind, "metadata": {"name": "h"}, "spec": spec});
            settle(changed, &before, &row, Unknown::Dropped)
        };
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
        let spec = json!({"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50});
        let read = settled(spec).unwrap();
        assert_eq!(read["apiVersion"], "autoscaling/v2");
        assert_eq!(read["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
        assert_eq!(settled(json!(5)).unwrap_err().code, 500);
    }

    #[test]
    fn an_object_keeps_its_kind() {
        let seen = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        let gone = |path: &str| patched(&seen, &[json!({"op": "remove", "path": path})]).unwrap();
        assert_eq!(gone("/kind"), seen);
        assert_eq!(gone("/data/a"), json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}}));
        let replaced = patched(&seen, &[json!({"op": "replace", "path": "", "value": {}})]).unwrap();
        assert_eq!(replaced, json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    }
}
