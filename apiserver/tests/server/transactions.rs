//! Transactions over gRPC: what each of their writes does, together.

use http::Method;
use mainstay_proto::v1::objects_client::ObjectsClient;
use mainstay_proto::v1::txn_operation::Operation;
use mainstay_proto::v1::{CreateRequest, DeleteRequest, ResourceRef, TxnOperation, TxnRequest, WriteOptions};
use serde_json::{Value, json};

use crate::support::{cluster, pod, send, with_account};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn at(resource: &str, name: &str) -> Option<ResourceRef> {
    Some(ResourceRef {
        version: "v1".into(),
        resource: resource.into(),
        namespace: "default".into(),
        name: name.into(),
        ..ResourceRef::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_without_grace_goes_with_the_transaction_that_deletes_it() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    with_account(&mut admin).await;
    for name in ["now", "later"] {
        let mut bound = pod(name);
        bound["spec"]["nodeName"] = "elsewhere".into();
        assert_eq!(send(&mut admin, Method::POST, PODS, &bound).await.0, 201);
    }
    let delete = |name: &str, options: Value| {
        let delete_options = options.to_string().into();
        Operation::Delete(DeleteRequest { r#ref: at("pods", name), delete_options, options: None })
    };
    let object = json!({"metadata": {"name": "instead"}}).to_string().into();
    let create = CreateRequest { r#ref: at("configmaps", "instead"), object, options: None };
    let operations =
        [Operation::Create(create), delete("now", json!({"gracePeriodSeconds": 0})), delete("later", json!({}))];
    let operations = operations.map(|operation| TxnOperation { operation: Some(operation) }).to_vec();
    let mut objects = ObjectsClient::new(cluster.admin());
    objects.txn(TxnRequest { operations, options: None }).await.unwrap();
    assert_eq!(send(&mut admin, Method::GET, &format!("{PODS}/now"), &Value::Null).await.0, 404);
    let (code, kept) = send(&mut admin, Method::GET, &format!("{PODS}/later"), &Value::Null).await;
    assert_eq!((code, &kept["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(30)), "{kept}");
    let made = send(&mut admin, Method::GET, "/api/v1/namespaces/default/configmaps/instead", &Value::Null).await;
    assert_eq!(made.0, 200);
    cluster.stop().await;
}

/// One transaction that makes these config maps.
fn making(objects: &[Value], dry_run: bool) -> TxnRequest {
    let create = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let create = CreateRequest { r#ref: at("configmaps", name), object: object.to_string().into(), options: None };
        TxnOperation { operation: Some(Operation::Create(create)) }
    };
    let options = WriteOptions { dry_run, ..WriteOptions::default() };
    TxnRequest { operations: objects.iter().map(create).collect(), options: Some(options) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_told_of_dry_runs_too() {
    let (cluster, _dir) = cluster().await;
    let mut objects = ObjectsClient::new(cluster.admin());
    let named = |name: &str| json!({"metadata": {"name": name}});
    let tried = objects.txn(making(&[named("a"), named("b")], true)).await.unwrap().into_inner();
    for result in &tried.results {
        let object: Value = serde_json::from_slice(&result.object).unwrap();
        assert_eq!(object["metadata"].get("resourceVersion"), None, "{object}");
    }
    let kept = json!({"metadata": {"name": "b", "finalizers": ["example.com/keep"]}});
    objects.txn(making(&[kept], false)).await.unwrap();
    for dry_run in [true, false] {
        let refused = objects.txn(making(&[named("a"), named("b")], dry_run)).await.unwrap_err();
        assert_eq!(refused.message(), "configmaps \"b\" already exists");
    }
    let delete = DeleteRequest { r#ref: at("configmaps", "b"), delete_options: "{}".into(), options: None };
    objects.delete(delete).await.unwrap();
    let refused = objects.txn(making(&[named("b")], false)).await.unwrap_err();
    assert_eq!(refused.message(), "object is being deleted: configmaps \"b\" already exists");
    objects.txn(making(&[json!({"metadata": {"generateName": "b-"}})], false)).await.unwrap();
    cluster.stop().await;
}
