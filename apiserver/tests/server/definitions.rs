//! Definitions of custom kinds: what is served of them, and what becomes of their objects.

use std::time::Duration;

use futures::StreamExt;
use http::Method;
use mainstay_apiserver::InProcess;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::connections::{next_told, watch};
use crate::support::{cluster, eventually, send, send_bytes};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
const WIDGETS: &str = "/apis/example.com/v1/widgets";

fn versions(served: bool) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    json!([{"name": "v1", "served": served, "storage": true, "schema": schema, "subresources": {"status": {}}}])
}

/// Makes a definition, and waits until its objects can be listed; the list.
async fn define(admin: &mut InProcess, scope: &str) -> Value {
    let names = json!({"plural": "widgets", "kind": "Widget"});
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": scope, "names": names, "versions": versions(true)},
    });
    let (code, said) = send(admin, Method::POST, DEFINITIONS, &definition).await;
    assert_eq!(code, 201, "{said}");
    let mut list = Value::Null;
    eventually("the objects are served", async || {
        let (code, found) = send(admin, Method::GET, WIDGETS, &Value::Null).await;
        list = found;
        code == 200
    })
    .await;
    list
}

/// Gives the definition other versions.
async fn redefine(admin: &mut InProcess, versions: Value) {
    let change = json!({"spec": {"versions": versions}}).to_string();
    let (code, said) = send_bytes(admin, Method::PATCH, DEFINITION, "application/merge-patch+json", change).await;
    assert_eq!(code, 200, "{said:?}");
}

async fn make(admin: &mut InProcess, name: &str, spec: &Value) {
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec});
    let (code, said) = send(admin, Method::POST, WIDGETS, &widget).await;
    assert_eq!(code, 201, "{said}");
}

async fn wait_until_gone(admin: &mut InProcess, path: &str) {
    eventually("it is gone", async || send(admin, Method::GET, path, &Value::Null).await.0 == 404).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_with_their_definition_even_if_no_version_is_served() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    define(&mut admin, "Cluster").await;
    make(&mut admin, "a", &json!({})).await;
    redefine(&mut admin, versions(false)).await;
    wait_until_gone(&mut admin, WIDGETS).await;
    assert_eq!(send(&mut admin, Method::DELETE, DEFINITION, &Value::Null).await.0, 200);
    wait_until_gone(&mut admin, DEFINITION).await;
    assert_eq!(define(&mut admin, "Cluster").await["items"], json!([]));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_with_custom_objects_is_refused_in_their_own_words() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    define(&mut admin, "Namespaced").await;
    // Across all namespaces nothing can be done but to list and to watch.
    for (method, path) in [(Method::POST, WIDGETS.to_owned()), (Method::DELETE, WIDGETS.to_owned())]
        .into_iter()
        .chain([(Method::GET, format!("{WIDGETS}/a"))])
    {
        let (code, text) = send_bytes(&mut admin, method, &path, "application/json", "").await;
        assert_eq!((code, &text[..]), (404, &b"404 page not found\n"[..]), "{path}");
    }
    let collection = "/apis/example.com/v1/namespaces/default/widgets";
    let (code, said) = send(&mut admin, Method::DELETE, &format!("{collection}/a/status"), &Value::Null).await;
    let words = "delete is not supported on resources of kind \"widgets.example.com\"";
    assert_eq!((code, &said["message"]), (405, &json!(words)));
    let (code, body) = send_bytes(&mut admin, Method::HEAD, collection, "application/json", "").await;
    assert_eq!((code, body.len()), (200, 0));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_when_its_objects_are_defined_otherwise() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    define(&mut admin, "Cluster").await;
    let mut socket = watch(&cluster, &format!("{WIDGETS}?watch=1")).await;
    make(&mut admin, "a", &json!({})).await;
    assert_eq!(next_told(&mut socket).await, ("ADDED".to_owned(), "a".to_owned()));
    let mut changed = versions(true);
    changed[0]["schema"]["openAPIV3Schema"]["properties"] = json!({"spec": {"type": "string"}});
    redefine(&mut admin, changed).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap();
    assert!(matches!(ended, Some(Ok(Message::Close(_)))), "{ended:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_objects_are_selected_by_their_own_fields() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    define(&mut admin, "Cluster").await;
    let mut changed = versions(true);
    let properties = json!({"host": {"type": "string", "default": "a"}});
    let spec = json!({"type": "object", "properties": properties});
    changed[0]["schema"]["openAPIV3Schema"]["properties"] = json!({"spec": spec});
    changed[0]["selectableFields"] = json!([{"jsonPath": ".spec.host"}]);
    redefine(&mut admin, changed).await;
    let selected = format!("{WIDGETS}?fieldSelector=spec.host=a");
    eventually("the field is offered", async || send(&mut admin, Method::GET, &selected, &Value::Null).await.0 == 200)
        .await;
    for (name, spec) in [("x", json!({})), ("y", json!({"host": "b"}))] {
        make(&mut admin, name, &spec).await;
    }
    let (_, list) = send(&mut admin, Method::GET, &selected, &Value::Null).await;
    assert_eq!((&list["items"][0]["metadata"]["name"], &list["items"][1]), (&json!("x"), &Value::Null));
    let watch = format!("{selected}&watch=1&timeoutSeconds=1");
    let (_, told) = send_bytes(&mut admin, Method::GET, &watch, "application/json", "").await;
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((&told["type"], &told["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("x")));
    assert_eq!(send(&mut admin, Method::DELETE, &selected, &Value::Null).await.0, 200);
    let (_, left) = send(&mut admin, Method::GET, WIDGETS, &Value::Null).await;
    assert_eq!((&left["items"][0]["metadata"]["name"], &left["items"][1]), (&json!("y"), &Value::Null));
    cluster.stop().await;
}
