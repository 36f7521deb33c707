//! What is taken of quotas: once for what is made, nothing for what is not.

use http::Method;
use mainstay_apiserver::InProcess;
use serde_json::{Value, json};

use crate::support::{cluster, pod, send, send_bytes, with_account};

const PODS: &str = "/api/v1/namespaces/default/pods";
const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";

async fn used(face: &mut InProcess) -> Value {
    send(face, Method::GET, &format!("{QUOTAS}/q"), &Value::Null).await.1["status"]["used"]["pods"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_made_is_charged() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    with_account(&mut admin).await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}});
    assert_eq!(send(&mut admin, Method::POST, QUOTAS, &quota).await.0, 201);
    let counted = json!({"status": {"hard": {"pods": "2"}, "used": {"pods": "0"}}}).to_string();
    let path = format!("{QUOTAS}/q/status");
    assert_eq!(send_bytes(&mut admin, Method::PATCH, &path, "application/merge-patch+json", counted).await.0, 200);
    let mut broken = pod("b");
    broken["spec"]["containers"] = json!([]);
    for (path, object, code, charged) in [
        (format!("{PODS}?dryRun=All"), pod("a"), 201, "0"),
        (PODS.to_owned(), pod("a"), 201, "1"),
        (PODS.to_owned(), pod("a"), 409, "1"),
        (PODS.to_owned(), broken, 422, "1"),
        (PODS.to_owned(), pod("b"), 201, "2"),
        (PODS.to_owned(), pod("c"), 403, "2"),
    ] {
        let (answered, said) = send(&mut admin, Method::POST, &path, &object).await;
        assert_eq!(answered, code, "{path} {said}");
        assert_eq!(used(&mut admin).await, charged, "{path} {object}");
    }
    cluster.stop().await;
}
