//! Evictions of pods that must be those that the client has seen.

use http::Method;
use mainstay_apiserver::InProcess;
use serde_json::{Value, json};

use crate::support::{cluster, pod, send, with_account};

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn evict(face: &mut InProcess, preconditions: Value) -> u16 {
    let options = json!({"preconditions": preconditions});
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": options});
    send(face, Method::POST, &format!("{PODS}/a/eviction"), &eviction).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_evicted_at_the_revision_that_was_seen() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    with_account(&mut admin).await;
    let (code, made) = send(&mut admin, Method::POST, PODS, &pod("a")).await;
    assert_eq!(code, 201, "{made}");
    for other in [json!({"uid": "another"}), json!({"resourceVersion": "1"})] {
        assert_eq!(evict(&mut admin, other.clone()).await, 409, "{other}");
    }
    let path = format!("{PODS}/a");
    let (_, kept) = send(&mut admin, Method::GET, &path, &Value::Null).await;
    assert_eq!(kept, made, "a refused eviction has changed the pod");
    let seen = json!({"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]});
    assert_eq!(evict(&mut admin, seen).await, 201);
    assert_eq!(send(&mut admin, Method::GET, &path, &Value::Null).await.0, 404);
    cluster.stop().await;
}
