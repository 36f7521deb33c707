use serde_json::Value;

use super::*;

fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            out.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|v| references(v, out));
        }
        Value::Array(values) => values.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

fn assert_closed(document: &Value) {
    let mut links = Vec::new();
    references(document, &mut links);
    for link in links {
        let pointer = link.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{link} leads nowhere");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for (place, _) in places(resource::builtin()) {
        assert_closed(&v3_group_version(resource::builtin(), &place).unwrap());
    }
    assert_closed(&v2(resource::builtin()));
}

#[test]
fn clients_find_the_parameters_and_extensions_they_look_for() {
    let apps = v3_group_version(resource::builtin(), "apis/apps/v1").unwrap();
    let item = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let patch = item["patch"]["parameters"].as_array().unwrap();
    assert!(patch.iter().any(|p| p["name"] == "fieldValidation"));
    assert_eq!(item["get"]["operationId"], "readAppsV1NamespacedDeployment");
    let scale = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"];
    assert_eq!(scale["get"]["x-kubernetes-group-version-kind"]["kind"], "Scale");
    let containers = &apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
}

#[test]
fn the_index_points_at_documents() {
    let index = v3_index(resource::builtin());
    for place in index["paths"].as_object().unwrap().keys() {
        assert!(v3_group_version(resource::builtin(), place).is_some(), "{place}");
    }
    assert!(v3_group_version(resource::builtin(), "apis/nope/v1").is_none());
}
