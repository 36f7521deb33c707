//! Writes that make what is not there, and what they are refused for.

use http::Method;
use mainstay_apiserver::InProcess;
use serde_json::{Value, json};

use crate::support::{cluster, send, send_bytes};

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
