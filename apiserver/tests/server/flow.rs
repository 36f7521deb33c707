//! Flow control and limits, as clients meet them.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, StreamBody};
use mainstay_apiserver::InProcess;
use mainstay_apiserver::user::UserInfo;
use mainstay_proto::v1::objects_client::ObjectsClient;
use mainstay_proto::v1::{ListRequest, ResourceRef};
use serde_json::{Value, json};
use tonic::body::Body;
use tower::Service;

use crate::support::{Cluster, cluster, eventually, send};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const GROUP: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";

fn user(name: &str) -> UserInfo {
    UserInfo { name: name.into(), groups: vec!["tight".into(), "system:authenticated".into()], ..UserInfo::default() }
}

/// A level of one seat without queues, and its schema for the group `tight`, which may do everything.
async fn tighten(cluster: &Cluster) -> (String, String) {
    let mut admin = cluster.admin();
    let limited = json!({"nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}});
    let level = json!({"metadata": {"name": "tight"}, "spec": {"type": "Limited", "limited": limited}});
    let (code, level) = send(&mut admin, Method::POST, &format!("{GROUP}/prioritylevelconfigurations"), &level).await;
    assert_eq!(code, 201, "{level}");
    let everything =
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true});
    let schema = json!({"metadata": {"name": "tight"}, "spec": {
        "matchingPrecedence": 50,
        "priorityLevelConfiguration": {"name": "tight"},
        "rules": [{"subjects": [{"kind": "Group", "group": {"name": "tight"}}], "resourceRules": [everything]}],
    }});
    let (code, schema) = send(&mut admin, Method::POST, &format!("{GROUP}/flowschemas"), &schema).await;
    assert_eq!(code, 201, "{schema}");
    let binding = json!({
        "metadata": {"name": "tight"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "tight"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    assert_eq!(send(&mut admin, Method::POST, bindings, &binding).await.0, 201);
    let uid = |object: Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    (uid(schema), uid(level))
}

/// A create whose body never comes: it keeps its seat until its time is up.
fn held(mut face: InProcess) -> tokio::task::JoinHandle<u16> {
    let body =
        StreamBody::new(futures::stream::pending::<Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>>());
    let request = Request::post(CONFIG_MAPS).header("content-type", "application/json").body(Body::new(body)).unwrap();
    tokio::spawn(async move { face.call(request).await.unwrap().status().as_u16() })
}

async fn get(cluster: &Cluster, name: &str, path: &str) -> http::Response<Body> {
    let request = Request::get(path).body(Body::empty()).unwrap();
    cluster.server.in_process(user(name)).call(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_is_full_turns_away_and_says_which_it_was() {
    let dir = tempfile::tempdir().unwrap();
    // One seat for the level "tight", whose share of all is small.
    let cluster = Cluster::with(dir.path(), |server| server.security.flow.seats = 100).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    let (schema, level) = tighten(&cluster).await;
    let header = |response: &http::Response<Body>, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    eventually("the schema is in force", async || {
        let response = get(&cluster, "u", CONFIG_MAPS).await;
        header(&response, "x-kubernetes-pf-flowschema-uid").as_deref() == Some(&schema) && response.status() == 200
    })
    .await;
    let mut holding = held(cluster.server.in_process(user("holder")));
    eventually("the seat is taken", async || {
        // A read of ours may have had the seat when the holder came.
        if holding.is_finished() {
            holding = held(cluster.server.in_process(user("holder")));
        }
        get(&cluster, "u", CONFIG_MAPS).await.status() == 429
    })
    .await;
    let refused = get(&cluster, "u", CONFIG_MAPS).await;
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("1"));
    assert_eq!(header(&refused, "x-kubernetes-pf-prioritylevel-uid"), Some(level));
    assert_eq!(header(&refused, "content-type").as_deref(), Some("text/plain; charset=utf-8"));
    let said = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(said, "Too many requests, please try again later.\n");
    let place = ResourceRef { version: "v1".into(), resource: "configmaps".into(), ..ResourceRef::default() };
    let list = ListRequest { r#ref: Some(place), ..ListRequest::default() };
    let over_grpc = ObjectsClient::new(cluster.server.in_process(user("u"))).list(list).await.unwrap_err();
    assert_eq!(over_grpc.code(), tonic::Code::ResourceExhausted);
    // Others have seats of their own, and so have superusers.
    assert_eq!(send(&mut cluster.admin(), Method::GET, CONFIG_MAPS, &Value::Null).await.0, 200);
    let (_, metrics) = crate::support::send_bytes(&mut cluster.admin(), Method::GET, "/metrics", "", "").await;
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(metrics.contains(r#"apiserver_flowcontrol_rejected_requests_total{flow_schema="tight""#), "{metrics}");
    holding.abort();
    eventually("the seat is free again", async || get(&cluster, "u", CONFIG_MAPS).await.status() == 200).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_watches_take_no_seats() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::with(dir.path(), |server| server.security.flow.seats = 100).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    let (schema, _) = tighten(&cluster).await;
    eventually("the schema is in force", async || {
        let response = get(&cluster, "u", CONFIG_MAPS).await;
        response.headers().get("x-kubernetes-pf-flowschema-uid").is_some_and(|uid| *uid == *schema)
    })
    .await;
    let mut watches = Vec::new();
    for _ in 0..10 {
        let watch = get(&cluster, "u", &format!("{CONFIG_MAPS}?watch=1")).await;
        assert_eq!(watch.status(), 200);
        watches.push(watch);
    }
    assert_eq!(get(&cluster, "u", CONFIG_MAPS).await.status(), 200);
    drop(watches);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_times_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(300);
    let cluster = Cluster::with(dir.path(), |server| server.security.request_timeout = short).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    let data = "x".repeat(3 << 20);
    let map = json!({"metadata": {"name": "m"}, "data": {"k": data}});
    let (code, said) = send(&mut cluster.admin(), Method::POST, CONFIG_MAPS, &map).await;
    assert_eq!((code, &said["reason"]), (413, &json!("RequestEntityTooLarge")));
    assert_eq!(held(cluster.admin()).await.unwrap(), 504);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_begins_with_kubernetes_levels() {
    let (cluster, _dir) = cluster().await;
    // 600 seats over 245 shares.
    for (level, seats) in [("system", 74), ("workload-low", 245), ("global-default", 49), ("catch-all", 13)] {
        let line = format!("apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"{level}\"}} {seats}\n");
        eventually(&line, async || {
            let (_, metrics) = crate::support::send_bytes(&mut cluster.admin(), Method::GET, "/metrics", "", "").await;
            String::from_utf8_lossy(&metrics).contains(&line)
        })
        .await;
    }
    cluster.stop().await;
}
