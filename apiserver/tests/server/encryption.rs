//! Secrets at rest.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use mainstay_apiserver::encryption::RootKeys;
use mainstay_proto::v1::RotateEncryptionKeyRequest;
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_store::{Freshness, ListQuery};
use serde_json::{Value, json};

use crate::support::{Cluster, cluster, pki_dir, send, send_bytes};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Every file below a folder that holds one of these texts.
fn files_with(dir: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, texts));
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        let holds = |text: &str| content.windows(text.len()).any(|part| part == text.as_bytes());
        if texts.iter().any(|text| holds(text)) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn secret(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": value}})
}

async fn value_of(cluster: &Cluster, name: &str) -> String {
    let (code, found) = send(&mut cluster.admin(), Method::GET, &format!("{SECRETS}/{name}"), &Value::Null).await;
    assert_eq!(code, 200, "{found}");
    String::from_utf8(STANDARD.decode(found["data"]["k"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_value_of_a_secret_is_in_no_file() {
    let (cluster, dir) = cluster().await;
    let mut admin = cluster.admin();
    let (value, later, control) = ("hush-4711-first-value", "hush-4711-later-value", "loud-4711-a-config-map");
    assert_eq!(send(&mut admin, Method::POST, SECRETS, &secret("s", value)).await.0, 201);
    assert_eq!(send(&mut admin, Method::POST, SECRETS, &secret("gone", value)).await.0, 201);
    let map = json!({"metadata": {"name": "c"}, "data": {"k": control}});
    assert_eq!(send(&mut admin, Method::POST, CONFIG_MAPS, &map).await.0, 201);
    let patch = json!({"stringData": {"k": later}}).to_string();
    let path = format!("{SECRETS}/s");
    let (code, _) = send_bytes(&mut admin, Method::PATCH, &path, "application/merge-patch+json", patch).await;
    assert_eq!(code, 200);
    assert_eq!(send(&mut admin, Method::DELETE, &format!("{SECRETS}/gone"), &Value::Null).await.0, 200);
    let backup = dir.path().join("backup");
    cluster.store.backup(&backup).await.unwrap();

    let encoded = [STANDARD.encode(value), STANDARD.encode(later)];
    let hidden = [value, later, &encoded[0], &encoded[1]];
    assert_eq!(files_with(dir.path(), &hidden), [""; 0]);
    assert!(!files_with(dir.path(), &[control]).is_empty(), "the search finds what is not encrypted");
    cluster.stop().await;
    assert_eq!(files_with(dir.path(), &hidden), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_read_gives_the_secret_and_its_revision() {
    let (cluster, dir) = cluster().await;
    let mut admin = cluster.admin();
    let (_, made) = send(&mut admin, Method::POST, SECRETS, &secret("s", "one")).await;
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    assert!(revision.parse::<u64>().unwrap() > 0);
    let selected = |query: &str| format!("{SECRETS}?fieldSelector=metadata.name=s{query}");
    let exact = selected(&format!("&resourceVersion={revision}&resourceVersionMatch=Exact"));
    for query in [selected(""), selected("&resourceVersion=0"), exact] {
        let (_, list) = send(&mut admin, Method::GET, &query, &Value::Null).await;
        assert_eq!(list["items"][0]["data"], made["data"], "{query}");
        assert_eq!(list["items"][0]["metadata"]["resourceVersion"], revision.as_str(), "{query}");
    }
    let update = json!({"metadata": {"name": "s", "resourceVersion": revision}, "stringData": {"k": "two"}});
    let (code, changed) = send(&mut admin, Method::PUT, &format!("{SECRETS}/s"), &update).await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(send(&mut admin, Method::PUT, &format!("{SECRETS}/s"), &update).await.0, 409);
    assert_eq!(send(&mut admin, Method::DELETE, &format!("{SECRETS}/s"), &Value::Null).await.0, 200);
    let watch = selected(&format!("&watch=1&timeoutSeconds=1&resourceVersion={revision}"));
    let (_, lines) = send_bytes(&mut admin, Method::GET, &watch, "application/json", "").await;
    let events: Vec<Value> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let seen: Vec<(&Value, &Value)> = events.iter().map(|event| (&event["type"], &event["object"]["data"])).collect();
    assert_eq!(seen, [(&json!("MODIFIED"), &changed["data"]), (&json!("DELETED"), &changed["data"])]);
    let last = |event: &Value| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(last(&events[1]) > last(&events[0]));

    send(&mut admin, Method::POST, SECRETS, &secret("kept", "three")).await;
    drop(admin);
    cluster.stop().await;
    let again = Cluster::start(dir.path()).await.unwrap();
    assert_eq!(value_of(&again, "kept").await, "three");
    again.stop().await;
}

/// The numbers of the keys that the secrets of the store are sealed with; `None`: not sealed.
async fn keys(cluster: &Cluster) -> Vec<Option<u32>> {
    let query = ListQuery { prefix: "/secrets\0".into(), after: None, limit: 0, fresh: Freshness::Consistent };
    let entries = cluster.store.list(query).await.unwrap().entries;
    let number =
        |value: &[u8]| value.strip_prefix(b"\x01mse").map(|rest| u32::from_be_bytes(*rest.first_chunk().unwrap()));
    entries.iter().map(|entry| number(&entry.value)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_writes_everything_anew() {
    let (cluster, dir) = cluster().await;
    for name in ["a", "b", "c"] {
        assert_eq!(send(&mut cluster.admin(), Method::POST, SECRETS, &secret(name, name)).await.0, 201);
    }
    assert_eq!(keys(&cluster).await, [Some(1); 3]);
    let mut operator = ClusterClient::new(cluster.admin());
    let rotated = operator.rotate_encryption_key(RotateEncryptionKeyRequest::default()).await.unwrap().into_inner();
    assert_eq!((rotated.key, rotated.rewritten), (2, 3));
    assert_eq!(keys(&cluster).await, [Some(2); 3]);
    let again = operator.rotate_encryption_key(RotateEncryptionKeyRequest { rewrite_only: true }).await.unwrap();
    assert_eq!(again.into_inner().rewritten, 0);
    drop(operator);
    cluster.stop().await;
    let again = Cluster::start(dir.path()).await.unwrap();
    assert_eq!(value_of(&again, "b").await, "b");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_from_before_are_read_and_sealed_by_a_rotation() {
    let (cluster, _dir) = cluster().await;
    assert_eq!(send(&mut cluster.admin(), Method::POST, SECRETS, &secret("new", "new")).await.0, 201);
    // As an earlier version wrote it: past what seals.
    let plain = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"resourceVersion":"","name":"old","namespace":"default"},"data":{"k":"b2xk"}}"#;
    let at = u32::try_from(plain.find(r#"":"","#).unwrap()).unwrap() + 3;
    let put = mainstay_store::Op::Put { key: "/secrets\0default\0old".into(), value: plain.into(), splice: Some(at) };
    cluster.store.propose(mainstay_store::Txn { guards: Vec::new(), ops: vec![put] }).await.unwrap();
    assert_eq!(keys(&cluster).await, [Some(1), None]);
    assert_eq!(value_of(&cluster, "old").await, "old");
    let mut operator = ClusterClient::new(cluster.admin());
    operator.rotate_encryption_key(RotateEncryptionKeyRequest { rewrite_only: true }).await.unwrap();
    assert_eq!(keys(&cluster).await, [Some(1); 2]);
    assert_eq!(value_of(&cluster, "old").await, "old");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_its_key_says_where_the_key_is() {
    let (cluster, dir) = cluster().await;
    assert_eq!(send(&mut cluster.admin(), Method::POST, SECRETS, &secret("s", "v")).await.0, 201);
    cluster.stop().await;
    let file = pki_dir(dir.path()).join("encryption.key");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, RootKeys::create().text()).unwrap();
    let error = Cluster::start(dir.path()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("copy pki/encryption.key from a master"), "{error}");
    // The right key as a second line is enough to read, and a rotation makes the first one do.
    std::fs::write(&file, format!("{}{right}", RootKeys::create().text())).unwrap();
    let both = Cluster::start(dir.path()).await.unwrap();
    ClusterClient::new(both.admin()).rotate_encryption_key(RotateEncryptionKeyRequest::default()).await.unwrap();
    both.stop().await;
    let first = std::fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
    std::fs::write(&file, first).unwrap();
    let without_the_old = Cluster::start(dir.path()).await.unwrap();
    assert_eq!(value_of(&without_the_old, "s").await, "v");
    without_the_old.stop().await;
}
