//! What one connection carries: one request after the other, or a WebSocket.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::https::Socket;
use crate::support::{Cluster, cluster};

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

/// A watch as a browser asks for it: on a WebSocket, with the administrator's token among what is spoken there.
pub(crate) async fn watch(cluster: &Cluster, path: &str) -> Socket {
    let token = URL_SAFE_NO_PAD.encode(&cluster.admin_token);
    let offered = format!("base64url.bearer.authorization.k8s.io.{token}, events");
    cluster.listen().await.open(path, &offered).await
}

/// What is told next, and the name of the object that it is told of.
pub(crate) async fn next_told(socket: &mut Socket) -> (String, String) {
    let told = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let event: Value = serde_json::from_str(&told).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_watch_on_a_websocket() {
    const DEFAULT: &str = "/api/v1/namespaces?watch=1&timeoutSeconds=20&fieldSelector=metadata.name=default";
    let (cluster, _dir) = cluster().await;
    let mut socket = watch(&cluster, DEFAULT).await;
    assert_eq!(next_told(&mut socket).await, ("ADDED".to_owned(), "default".to_owned()));
    socket.close(None).await.unwrap();
    let answered = socket.next().await;
    assert!(matches!(answered, Some(Ok(Message::Close(_)))), "{answered:?}");
    cluster.stop().await;
}
