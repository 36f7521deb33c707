//! What one connection carries, one request after the other.

use http::Method;
use serde_json::{Value, json};

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
