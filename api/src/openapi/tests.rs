use serde_json::Value;

use super::*;
use crate::resource;

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
fn operations_that_connect_and_those_that_tell_text() {
    let core = v3_group_version(resource::builtin(), "api/v1").unwrap();
    let pod = |sub: &str| &core["paths"][format!("/api/v1/namespaces/{{namespace}}/pods/{{name}}{sub}")];
    let exec = &pod("/exec")["post"];
    assert_eq!(exec["operationId"], "connectCoreV1PostNamespacedPodExec");
    assert_eq!(exec["x-kubernetes-action"], "connect");
    assert_eq!(exec["responses"]["200"]["content"], serde_json::json!({"*/*": {"schema": {"type": "string"}}}));
    assert!(exec["requestBody"].is_null() && exec["responses"]["201"].is_null());
    let log = &pod("/log")["get"];
    assert_eq!(log["operationId"], "readCoreV1NamespacedPodLog");
    assert_eq!(log["responses"]["200"]["content"]["text/plain"]["schema"]["type"], "string");
    let answer = |item: &serde_json::Value| {
        item["delete"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].clone()
    };
    assert_eq!(answer(pod("")), "#/components/schemas/io.k8s.api.core.v1.Pod");
    let namespace = &core["paths"]["/api/v1/namespaces/{name}"];
    assert_eq!(answer(namespace), "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Status");
}

#[test]
fn schemas_are_put_together_as_kubernetes_does() {
    let apps = v3_group_version(resource::builtin(), "apis/apps/v1").unwrap();
    let schemas = &apps["components"]["schemas"];
    let spec = &schemas["io.k8s.api.apps.v1.DeploymentSpec"];
    assert_eq!(spec["required"], serde_json::json!(["selector", "template"]), "in the order of the fields");
    // What is said of a field beside its type goes around a reference to the type; elements of lists say nothing more.
    let template = &spec["properties"]["template"];
    assert!(template["description"].is_string() && template["$ref"].is_null(), "{template}");
    assert_eq!(template["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec");
    assert_eq!(template["default"], serde_json::json!({}));
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["items"], serde_json::json!({"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}));
    let metadata = &schemas["io.k8s.api.apps.v1.DeploymentList"]["properties"]["metadata"];
    assert!(metadata["description"].as_str().unwrap().starts_with("Standard list metadata."), "{metadata}");
    let options = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]["x-kubernetes-group-version-kind"];
    assert_eq!(*options, serde_json::json!([{"group": "apps", "kind": "DeleteOptions", "version": "v1"}]));

    let v2 = v2(resource::builtin());
    let spec = &v2["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"];
    assert_eq!(spec["template"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodTemplateSpec");
}

#[test]
fn what_a_path_is_asked_with_is_told_once() {
    let core = v3_group_version(resource::builtin(), "api/v1").unwrap();
    let asked = |path: &str| -> Vec<String> {
        let all = core["paths"][format!("/api/v1/{path}")]["parameters"].as_array().unwrap();
        all.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    let pod = "namespaces/{namespace}/pods/{name}";
    let exec = ["command", "container", "name", "namespace", "stderr", "stdin", "stdout", "tty"];
    assert_eq!(asked(&format!("{pod}/exec")), exec);
    assert_eq!(asked(&format!("{pod}/proxy/{{path}}")), ["name", "namespace", "path", "path"]);
    assert!(asked(&format!("{pod}/log")).contains(&"tailLines".to_owned()));
    assert_eq!(asked(pod), ["name", "namespace", "pretty"]);
    let collection = &core["paths"]["/api/v1/namespaces/{namespace}/pods"];
    let deleted = collection["delete"]["parameters"].as_array().unwrap();
    assert!(deleted.iter().all(|p| p["name"] != "allowWatchBookmarks" && p["name"] != "watch"));
    assert_eq!(collection["post"]["description"], "create a Pod");
}

#[test]
fn bodies_are_told_of_in_the_older_version_too() {
    let v2 = v2(resource::builtin());
    let body = |path: &str, method: &str| {
        v2["paths"][format!("/api/v1/namespaces/{{namespace}}/configmaps{path}")][method]["parameters"][0].clone()
    };
    for (path, method, required) in [("", "post", true), ("/{name}", "put", true), ("/{name}", "patch", true)] {
        assert_eq!(body(path, method)["required"], required, "{method}");
    }
    for path in ["", "/{name}"] {
        assert_eq!(body(path, "delete")["name"], "body", "it comes first");
        assert!(body(path, "delete")["required"].is_null(), "options may be left out");
    }
    let taken = |path: &str| v2["paths"][path]["patch"]["consumes"].clone();
    let patches = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    assert_eq!(taken("/api/v1/nodes/{name}"), serde_json::json!(patches));
    assert_eq!(taken("/api/v1/nodes/{name}/proxy"), serde_json::json!(["*/*"]));
}

#[test]
fn watches_and_what_tells_of_the_server_have_paths_too() {
    let core = v3_group_version(resource::builtin(), "api/v1").unwrap();
    let id = |path: &str| core["paths"][path]["get"]["operationId"].clone();
    assert_eq!(id("/api/v1/"), "getCoreV1APIResources");
    assert_eq!(id("/api/v1/watch/pods"), "watchCoreV1PodListForAllNamespaces");
    assert_eq!(id("/api/v1/watch/namespaces/{namespace}/pods/{name}"), "watchCoreV1NamespacedPod");
    assert_eq!(id("/api/v1/watch/nodes"), "watchCoreV1NodeList");
    let proxied = &core["paths"]["/api/v1/nodes/{name}/proxy/{path}"]["head"];
    assert_eq!(proxied["operationId"], "connectCoreV1HeadNodeProxyWithPath");
    let version = v3_group_version(resource::builtin(), "version").unwrap();
    assert_closed(&version);
    assert_eq!(version["components"]["schemas"].as_object().unwrap().len(), 1);
    assert_eq!(v2(resource::builtin())["paths"]["/apis/apps/"]["get"]["operationId"], "getAppsAPIGroup");
}

#[test]
fn the_index_points_at_documents() {
    let index = v3_index(resource::builtin());
    for (place, entry) in index["paths"].as_object().unwrap() {
        assert!(v3_group_version(resource::builtin(), place).is_some(), "{place}");
        let hash = v3_hash(resource::builtin(), place).unwrap();
        assert_eq!(entry["serverRelativeURL"], v3_url(place, &hash));
    }
    assert!(v3_hash(resource::builtin(), "apis/nope/v1").is_none());
    assert!(v3_group_version(resource::builtin(), "apis/nope/v1").is_none());
}

#[test]
fn custom_kinds_are_told_of_as_kubernetes_does() {
    let scale = resource::Subresource {
        name: "scale".into(),
        group: "autoscaling".into(),
        version: "v1".into(),
        kind: "Scale".into(),
        verbs: vec!["get".into(), "patch".into()],
        ..resource::Subresource::default()
    };
    let row = Resource {
        group: "g.io".into(),
        version: "v1".into(),
        resource: "as".into(),
        kind: "A".into(),
        list_kind: "Many".into(),
        verbs: ["deletecollection", "get", "list", "patch"].map(str::to_owned).to_vec(),
        subresources: vec![scale],
        ..Resource::default()
    };
    let rows = [row];
    let document = v3_group_version(&rows, "apis/g.io/v1").unwrap();
    assert_closed(&document);
    assert_eq!(document["info"]["title"], "Kubernetes CRD Swagger");
    assert!(document["components"].get("securitySchemes").is_none());
    let (all, one) = (&document["paths"]["/apis/g.io/v1/as"], &document["paths"]["/apis/g.io/v1/as/{name}"]);
    let answer = &all["get"]["responses"]["200"]["content"];
    assert_eq!(answer["application/json"]["schema"]["$ref"], "#/components/schemas/io.g.v1.Many");
    assert_eq!(answer.as_object().unwrap().len(), 2);
    assert!(all["delete"]["requestBody"].is_null());
    assert!(one["patch"]["responses"]["201"].is_null());
    let asked = one["get"]["parameters"].as_array().unwrap();
    assert!(asked.iter().any(|parameter| parameter["name"] == "resourceVersion"));
    let scale = &document["paths"]["/apis/g.io/v1/as/{name}/scale"]["get"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "A");
    assert_eq!(v2(&rows)["paths"]["/apis/g.io/v1/as/{name}"]["patch"]["consumes"].as_array().unwrap().len(), 3);
}
