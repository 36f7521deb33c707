//! Revisions that nobody can have been told.

use http::Method;
use serde_json::{Value, json};

use crate::support::{cluster, send, send_bytes};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_before_the_cluster_had_its_objects_is_too_old() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let (code, listed) = send(&mut admin, Method::GET, ROLES, &Value::Null).await;
    assert_eq!(code, 200);
    let path = format!("{MAPS}?watch=1&resourceVersion=1");
    let (code, told) = send_bytes(&mut admin, Method::GET, &path, "application/json", "").await;
    let event: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((code, &event["type"], &event["object"]["code"]), (200, &"ERROR".into(), &410.into()));
    let message = event["object"]["message"].as_str().unwrap();
    assert!(message.starts_with("too old resource version: 1 ("), "{message}");
    let path = format!("{MAPS}?resourceVersion=1&resourceVersionMatch=Exact");
    let (code, refused) = send(&mut admin, Method::GET, &path, &Value::Null).await;
    assert_eq!((code, &refused["reason"]), (410, &"Expired".into()));
    let now = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?resourceVersion={now}&resourceVersionMatch=Exact");
    assert_eq!(send(&mut admin, Method::GET, &path, &Value::Null).await.0, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_stays_known_whatever_becomes_of_the_clusters_own_objects() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let (_, listed) = send(&mut admin, Method::GET, MAPS, &Value::Null).await;
    let told = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    for name in ["default", "kube-system", "kube-public"] {
        let path = format!("/api/v1/namespaces/{name}");
        let labels = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
        assert_eq!(send_bytes(&mut admin, Method::PATCH, &path, "application/merge-patch+json", labels).await.0, 200);
    }
    assert_eq!(send(&mut admin, Method::DELETE, ROLES, &Value::Null).await.0, 200);
    let role = json!({"metadata": {"name": "new"}, "rules": []});
    assert_eq!(send(&mut admin, Method::POST, ROLES, &role).await.0, 201);
    let map = json!({"metadata": {"name": "a"}});
    assert_eq!(send(&mut admin, Method::POST, MAPS, &map).await.0, 201);
    let path = format!("{MAPS}?watch=1&resourceVersion={told}&fieldSelector=metadata.name=a&timeoutSeconds=1");
    let (_, text) = send_bytes(&mut admin, Method::GET, &path, "application/json", "").await;
    let event: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("a")));
    let path = format!("{ROLES}?resourceVersion={told}&resourceVersionMatch=Exact&limit=1");
    assert_eq!(send(&mut admin, Method::GET, &path, &Value::Null).await.0, 200);
    cluster.stop().await;
}
