//! What one connection carries: one request after the other, or a WebSocket.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_read_does_not_cost_the_connection() {
    let (cluster, _dir) = cluster().await;
    let client = cluster.listen().await.token(&cluster.admin_token);
    let long = json!({"data": "x".repeat(200 << 10)});
    let [refused, unknown, told, answered] = client
        .send_in_turn([
            (Method::PATCH, "/api/v1/namespaces/default/finalize", &long),
            (Method::POST, "/apis/of/nobody", &long),
            (Method::POST, "/metrics", &long),
            (Method::GET, "/api/v1/namespaces/default", &Value::Null),
        ])
        .await;
    assert_eq!((refused.code, unknown.code, told.code, answered.code), (405, 404, 200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_watch_on_a_websocket() {
    const DEFAULT: &str = "/api/v1/namespaces?watch=1&timeoutSeconds=20&fieldSelector=metadata.name=default";
    let (cluster, _dir) = cluster().await;
    let token = URL_SAFE_NO_PAD.encode(&cluster.admin_token);
    let offered = format!("base64url.bearer.authorization.k8s.io.{token}, events");
    let mut socket = cluster.listen().await.open(DEFAULT, &offered).await;
    let told = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let event: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("default")));
    socket.close(None).await.unwrap();
    let answered = socket.next().await;
    assert!(matches!(answered, Some(Ok(Message::Close(_)))), "{answered:?}");
    cluster.stop().await;
}
