//! The APIServices of what this server serves itself: pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstay_api::{meta, resource};
use serde_json::{Value, json};

use super::{API_SERVICES, GROUP};
use crate::registry::Row;
use crate::strategy::Reader;

const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The APIServices that there should be for these rows, by name.
pub(super) fn wanted(rows: &[Arc<Row>]) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for row in rows {
        let (group, version) = (row.resource.group.as_str(), row.resource.version.as_str());
        if group == GROUP {
            continue;
        }
        let name = format!("{version}.{group}");
        out.entry(name.clone()).or_insert_with(|| object(&name, row));
    }
    out
}

fn object(name: &str, row: &Row) -> Value {
    let (group, version) = (row.resource.group.as_str(), row.resource.version.as_str());
    let known = resource::groups().iter().find(|known| known.name == group).filter(|_| !row.custom);
    let (group_priority, version_priority) = match known {
        Some(known) => {
            let at = known.versions.iter().position(|own| own == version).unwrap_or_default();
            (known.priority, known.version_priorities.get(at).copied().unwrap_or(15))
        }
        None => (1000, 100),
    };
    let managed = if row.custom { "true" } else { "onstart" };
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name, "labels": {MANAGED: managed}},
        "spec": {"group": group, "version": version,
                 "groupPriorityMinimum": group_priority, "versionPriority": version_priority},
    })
}

/// Whether an APIService was made for a definition that may be gone.
pub(super) fn is_stale(service: &Value, wanted: &BTreeMap<String, Value>) -> bool {
    let labels = service.pointer("/metadata/labels");
    let managed = labels.and_then(|labels| labels.get(MANAGED)).and_then(Value::as_str) == Some("true");
    managed && !wanted.contains_key(meta::name(service))
}

/// The status of a local APIService, if it has another.
pub(super) fn status(service: &Value, now: &str) -> Option<Value> {
    if service.pointer("/spec/service").is_some_and(|own| !own.is_null()) {
        return None;
    }
    let conditions = service.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    if conditions.into_iter().any(|own| own["type"] == "Available" && own["status"] == "True") {
        return None;
    }
    Some(json!({"conditions": [{
        "type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
        "message": "Local APIServices are always available",
    }]}))
}

/// The APIServices for these rows that nobody can use yet; those that another server has taken over are its affair.
pub(crate) fn unregistered(reader: &dyn Reader, rows: &[Arc<Row>]) -> Vec<String> {
    let registered = |name: &str| {
        let service = reader.get(GROUP, API_SERVICES, "", name);
        service.is_some_and(|service| status(&service, "").is_none())
    };
    wanted(rows).into_keys().filter(|name| !registered(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::strategy::testing::Objects;

    #[test]
    fn a_registration_is_complete_when_it_is_available() {
        let rows = [Registry::builtin().find("apps", "v1", "deployments").unwrap()];
        let mut objects = Objects::default();
        assert_eq!(unregistered(&objects, &rows), ["v1.apps"]);
        let (_, mut service) = wanted(&rows).pop_first().unwrap();
        objects.0.push((GROUP, API_SERVICES, service.clone()));
        assert_eq!(unregistered(&objects, &rows), ["v1.apps"]);
        service["status"] = status(&service, "t").unwrap();
        objects.0.push((GROUP, API_SERVICES, service.clone()));
        objects.0.remove(0);
        assert!(unregistered(&objects, &rows).is_empty());
        objects.0[0].2 = json!({"metadata": {"name": "v1.apps"}, "spec": {"service": {"name": "other"}}});
        assert!(unregistered(&objects, &rows).is_empty());
    }
}
