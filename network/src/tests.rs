use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use std::sync::Arc;

use super::*;

fn service(spec: Value) -> Arc<Service> {
    Arc::new(serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "d"}, "spec": spec})).unwrap())
}

fn slice(endpoints: Value) -> Arc<EndpointSlice> {
    let object = json!({
        "metadata": {"name": "web-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints,
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn plain(extra: Value) -> Value {
    let mut spec = json!({"clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    spec
}

fn two() -> Value {
    json!([{"addresses": ["10.1.0.2"], "nodeName": "a", "conditions": {"ready": true}},
           {"addresses": ["10.1.1.2"], "nodeName": "b", "conditions": {"ready": true}}])
}

fn text(spec: Value, endpoints: Value) -> String {
    ruleset(&ports(&[service(spec)], &[slice(endpoints)], "a"), &["10.1.0.0/16".into()])
}

#[test]
fn a_service_leads_to_its_ready_endpoints() {
    let text = text(plain(json!({})), two());
    assert!(text.contains("10.96.0.9 . tcp . 80 : goto svc-0"), "{text}");
    assert!(text.contains("tcp . 30080 : goto ext-0"));
    assert!(text.contains("numgen random mod 2 vmap { 0 : goto svc-0-ep-0, 1 : goto svc-0-ep-1 }"));
    assert!(text.contains("meta l4proto tcp dnat to 10.1.1.2:8080"));
}

#[test]
fn unready_endpoints_get_nothing_but_the_last_that_end_still_serve() {
    let unready = json!([{"addresses": ["10.1.0.2"], "conditions": {"ready": false}}]);
    assert!(text(plain(json!({})), unready).contains("elements = {\n      10.96.0.9 . tcp . 80\n"));
    let ending =
        json!([{"addresses": ["10.1.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}}]);
    assert!(text(plain(json!({})), ending).contains("dnat to 10.1.0.2:8080"));
}

#[test]
fn local_policies_keep_to_the_node() {
    let all = ports(&[service(plain(json!({"externalTrafficPolicy": "Local"})))], &[slice(two())], "a");
    assert_eq!((all[0].internal.len(), all[0].external.len()), (2, 1));
    let all = ports(&[service(plain(json!({"internalTrafficPolicy": "Local"})))], &[slice(two())], "a");
    assert_eq!((all[0].internal.len(), all[0].external.len()), (1, 2));
}

#[test]
fn headless_services_have_no_rules() {
    assert!(ports(&[service(plain(json!({"clusterIP": "None"})))], &[slice(two())], "a").is_empty());
}

#[test]
fn removed_udp_endpoints_are_told() {
    let udp = plain(json!({"ports": [{"port": 53, "protocol": "UDP"}]}));
    let before = ports(&[service(udp.clone())], &[slice(two())], "a");
    let after = ports(&[service(udp)], &[slice(json!([]))], "a");
    assert_eq!(conntrack::removed(&before, &after).len(), 2);
    assert!(conntrack::removed(&before, &before).is_empty());
}

/// The kernel takes the text, twice in a row, and the removal.
#[test]
fn nft_takes_the_rules() {
    let affinity = plain(json!({"sessionAffinity": "ClientIP", "externalIPs": ["192.0.2.9"]}));
    let rules = text(affinity, two());
    let script = format!("{rules}{rules}");
    let probe = std::process::Command::new("unshare").args(["--net", "nft", "list", "tables"]).output();
    if !probe.is_ok_and(|p| p.status.success()) {
        eprintln!("skipped: needs root and nft");
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script + &removal()).unwrap();
    let path = file.path().to_str().unwrap();
    let loaded = std::process::Command::new("unshare").args(["--net", "nft", "-f", path]).output().unwrap();
    assert!(loaded.status.success(), "{}\n{}", String::from_utf8_lossy(&loaded.stderr), rules);
}
