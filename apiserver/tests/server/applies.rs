//! Writes that make what is not there, and what they are refused for.

use http::Method;
use mainstay_apiserver::InProcess;
use serde_json::{Value, json};

use crate::member;
use crate::support::{cluster, pod, send, send_bytes};

const MAP: &str = "/api/v1/namespaces/default/configmaps/a";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
const NO_NUMBER: &str = "strconv.ParseUint: parsing \"x\": invalid syntax";

async fn apply(face: &mut InProcess, query: &str, more: &str) -> (u16, Value) {
    let config = format!("apiVersion: v1\nkind: ConfigMap\n{more}");
    let path = format!("{MAP}?{query}");
    let (code, bytes) = send_bytes(face, Method::PATCH, &path, "application/apply-patch+yaml", config).await;
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_by_a_change_may_name_any_revision_but_only_a_revision() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let (code, said) = apply(&mut admin, "fieldManager=m", "metadata: {name: a, resourceVersion: x}").await;
    assert_eq!((code, &said["message"]), (500, &json!(NO_NUMBER)));
    assert_eq!(send(&mut admin, Method::GET, MAP, &Value::Null).await.0, 404);
    let lease = |revision: &str| json!({"metadata": {"name": "a", "resourceVersion": revision}});
    let (code, said) = send(&mut admin, Method::PUT, LEASE, &lease("x")).await;
    assert_eq!((code, &said["message"]), (500, &json!(NO_NUMBER)));
    assert_eq!(send(&mut admin, Method::PUT, LEASE, &lease("7")).await.0, 201);
    cluster.stop().await;
}

/// Lets members update leases, and nothing else.
async fn let_update(admin: &mut InProcess) {
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rule = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]});
    let role = json!({"metadata": {"name": "r"}, "rules": [rule]});
    assert_eq!(send(admin, Method::POST, &format!("{roles}/roles"), &role).await.0, 201);
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "nobody"}],
    });
    assert_eq!(send(admin, Method::POST, &format!("{roles}/rolebindings"), &binding).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_somebody_may_make_what_he_updates_is_asked_once_it_is_valid() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let_update(&mut admin).await;
    let mut nobody = cluster.server.in_process(member());
    let lease = |seconds: i64| json!({"metadata": {"name": "a"}, "spec": {"leaseDurationSeconds": seconds}});
    assert_eq!(send(&mut nobody, Method::PUT, LEASE, &lease(-1)).await.0, 422);
    let (code, said) = send(&mut nobody, Method::PUT, LEASE, &lease(1)).await;
    let words = "leases.coordination.k8s.io \"a\" is forbidden: User \"nobody\" cannot create resource \"leases\" in API \
                 group \"coordination.k8s.io\" in the namespace \"default\"";
    assert_eq!((code, &said["message"]), (403, &json!(words)));
    let (code, mut made) = send(&mut admin, Method::PUT, LEASE, &lease(1)).await;
    assert_eq!(code, 201);
    made["spec"]["leaseDurationSeconds"] = json!(2);
    assert_eq!(send(&mut nobody, Method::PUT, LEASE, &made).await.0, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_are_owned_as_the_version_names_them_that_was_written() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let scaler = json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": reference}});
    let path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let (code, made) = send(&mut admin, Method::POST, path, &scaler).await;
    let owned = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
    let owns = |field: &str| owned.get(field).is_some();
    assert_eq!((code, owns("f:targetCPUUtilizationPercentage"), owns("f:metrics")), (201, true, false));
    let (path, patch) = (format!("{path}/a?fieldManager=m"), r#"{"spec": {"maxReplicas": 4}}"#);
    let (code, bytes) = send_bytes(&mut admin, Method::PATCH, &path, "application/merge-patch+json", patch).await;
    let changed: Value = serde_json::from_slice(&bytes).unwrap();
    let mut entries = changed["metadata"]["managedFields"].as_array().into_iter().flatten();
    let own = entries.find(|entry| entry["manager"] == "m").map(|entry| &entry["fieldsV1"]);
    assert_eq!((code, own), (200, Some(&json!({"f:spec": {"f:maxReplicas": {}}}))));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_scale_is_replaced_is_asked_before_what_it_says() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod("p")["spec"]});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let made = send(&mut admin, Method::POST, path, &json!({"metadata": {"name": "d"}, "spec": spec})).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let own = made.1["metadata"]["uid"].as_str().unwrap();
    for (uid, code) in [("x", 409), (own, 422)] {
        let metadata = json!({"name": "d", "namespace": "default", "uid": uid});
        let scale =
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": -1}});
        let said = send(&mut admin, Method::PUT, &format!("{path}/d/scale"), &scale).await;
        assert_eq!(said.0, code, "{}", said.1);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_told_before_a_key_that_is_there_twice() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    assert_eq!(apply(&mut admin, "fieldManager=m", "metadata: {name: a}\ndata:\n  k: a\n").await.0, 201);
    let twice = "metadata: {name: a}\ndata:\n  k: b\n  k: c\n";
    let (code, said) = apply(&mut admin, "fieldManager=n&fieldValidation=Strict", twice).await;
    assert_eq!(code, 409, "{said}");
    let (code, said) = apply(&mut admin, "fieldManager=n&fieldValidation=Strict&force=true", twice).await;
    assert_eq!(code, 400, "{said}");
    assert_eq!(apply(&mut admin, "fieldManager=n&force=true", twice).await.0, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_listed_cannot_be_watched() {
    let (cluster, _dir) = cluster().await;
    let path = "/api/v1/componentstatuses?watch=true";
    let (code, said) = send(&mut cluster.admin(), Method::GET, path, &Value::Null).await;
    let words = "watch is not supported on resources of kind \"componentstatuses\"";
    assert_eq!((code, &said["message"]), (405, &json!(words)));
    cluster.stop().await;
}
