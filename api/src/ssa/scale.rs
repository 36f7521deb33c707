//! Managed fields between an object and its `Scale`: whoever owns the replicas of the one owns those of the other.

use std::collections::HashMap;

use serde_json::Value;

use super::managed::{Entry, Identity, Managers};
use super::set::FieldSet;
use crate::meta;

const SCALE: &str = "autoscaling/v1";

fn replicas() -> FieldSet {
    FieldSet::of_fields(&[&["spec", "replicas"]])
}

/// The field at a JSON pointer into an object.
fn field(pointer: &str) -> FieldSet {
    let path: Vec<&str> = pointer.split('/').filter(|step| !step.is_empty()).collect();
    FieldSet::of_fields(&[path.as_slice()])
}

fn owns(entry: &Entry, fields: &FieldSet) -> bool {
    !entry.set.intersection(fields).is_empty()
}

/// Gives a `Scale` the managers that own the replicas of its object, which are at the pointer `place`.
pub fn to_scale(object: &Value, place: &str, scale: &mut Value) {
    let managers = Managers::read(object).unwrap_or_default();
    let place = field(place);
    let owners = managers.0.into_iter().filter(|entry| owns(entry, &place)).map(|mut entry| {
        if !entry.identity.api_version.is_empty() {
            SCALE.clone_into(&mut entry.identity.api_version);
        }
        Entry { api_version: SCALE.to_owned(), set: replicas(), ..entry }
    });
    Managers(owners.collect()).write(scale);
}

/// Brings what a write of a `Scale` changed of its managers back to the object, which is of `api_version`
/// and has its replicas at the pointer `place`.
pub fn from_scale(object: &mut Value, place: &str, scale: &Value, api_version: &str) {
    let place = field(place);
    let replicas = replicas();
    let owners = Managers::read(scale).unwrap_or_default().0.into_iter().filter(|entry| owns(entry, &replicas));
    let mut owners: HashMap<Identity, Entry> = owners.map(|entry| (entry.identity.clone(), entry)).collect();
    let mut kept = Vec::new();
    for mut entry in Managers::read(object).unwrap_or_default().0 {
        // Kubernetes does not find who has updated the one among those of the other, for the versions differ: such a
        // manager comes back as an entry of its own. Appliers are the same at every version.
        if owns(&entry, &place) && owners.remove(&entry.identity).is_none() {
            entry.set.subtract(&place);
        }
        kept.push(entry);
    }
    kept.retain(|entry| !entry.set.is_empty());
    let gained = owners.into_values().map(|mut owner| {
        if !owner.identity.api_version.is_empty() {
            api_version.clone_into(&mut owner.identity.api_version);
        }
        // Kubernetes takes times from the object alone, so new ones have none.
        Entry { api_version: api_version.to_owned(), set: place.clone(), time: None, ..owner }
    });
    kept.extend(gained);
    meta::remove_field(object, "managedFields");
    Managers(kept).write(object);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, version: &str, fields: Value) -> Value {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": version, "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    }

    #[test]
    fn a_write_that_scales_nothing_parts_the_replicas_from_what_else_was_updated() {
        let all = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}});
        let mut applied = entry("b", "apps/v1", all.clone());
        applied["operation"] = "Apply".into();
        let mut object = json!({"metadata": {"managedFields": [applied, entry("a", "apps/v1", all.clone())]}});
        let mut scale = json!({"metadata": {}});
        to_scale(&object, "/spec/replicas", &mut scale);
        from_scale(&mut object, "/spec/replicas", &scale, "apps/v1");
        let fields: Vec<_> = meta::managed_fields(&object).iter().map(|entry| entry["fieldsV1"].clone()).collect();
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert_eq!(fields, [all, replicas, json!({"f:spec": {"f:paused": {}}})]);
    }

    #[test]
    fn who_scales_takes_the_replicas() {
        let all = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}});
        let mut object = json!({"metadata": {"managedFields": [entry("a", "apps/v1", all)]}});
        let mut scale = json!({"metadata": {}});
        to_scale(&object, "/spec/replicas", &mut scale);
        let seen = &scale["metadata"]["managedFields"][0];
        assert_eq!(
            (seen["apiVersion"].as_str(), &seen["fieldsV1"]),
            (Some(SCALE), &json!({"f:spec": {"f:replicas": {}}}))
        );
        let mut other = entry("b", SCALE, json!({"f:spec": {"f:replicas": {}}}));
        other["subresource"] = "scale".into();
        from_scale(&mut object, "/spec/replicas", &json!({"metadata": {"managedFields": [other]}}), "apps/v1");
        let fields = &object["metadata"]["managedFields"];
        assert_eq!(fields.as_array().map(Vec::len), Some(2));
        let find = |name: &str| fields.as_array().into_iter().flatten().find(|entry| entry["manager"] == name).unwrap();
        assert_eq!(find("a")["fieldsV1"], json!({"f:spec": {"f:paused": {}}}));
        assert_eq!((find("b")["apiVersion"].as_str(), find("b").get("time")), (Some("apps/v1"), None));
    }
}
