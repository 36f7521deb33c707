use serde_json::json;

use super::*;
use crate::strategy::testing::{Objects, with_objects};

fn claim(status: Value) -> Value {
    let spec = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}});
    json!({"metadata": {"name": "a", "namespace": "n"}, "spec": spec, "status": status})
}

fn result(extra: Value) -> Value {
    let mut result = json!({"request": "r", "driver": "d.example.com", "pool": "p", "device": "dev"});
    for (field, value) in extra.as_object().into_iter().flatten() {
        result[field] = value.clone();
    }
    result
}

fn allocation(results: Value) -> Value {
    json!({"devices": {"results": results}})
}

fn judge(new: Value, old: Value) -> Vec<String> {
    let mut errors = Errors::default();
    claim_status(&claim(new), &claim(old), &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

fn device(extra: Value) -> Value {
    let mut device = json!({"driver": "d.example.com", "pool": "p", "device": "dev"});
    for (field, value) in extra.as_object().into_iter().flatten() {
        device[field] = value.clone();
    }
    device
}

#[test]
fn drivers_speak_of_devices_that_the_claim_has() {
    let of = |devices: Value| {
        judge(json!({"allocation": allocation(json!([result(json!({}))])), "devices": devices}), json!({}))
    };
    assert_eq!(of(json!([device(json!({}))])), Vec::<String>::new());
    assert_eq!(
        of(json!([device(json!({"device": "other"}))])),
        [
            r#"status.devices[0]: Invalid value: {"Driver":"d.example.com","Pool":"p","Device":"other","ShareID":""}: must be an allocated device in the claim"#
        ]
    );
    assert_eq!(
        of(json!([device(json!({})), device(json!({}))])),
        [r#"status.devices[1]: Duplicate value: {"Driver":"d.example.com","Pool":"p","Device":"dev","ShareID":""}"#]
    );
    let condition =
        json!({"type": "Ready", "status": "Yes", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    assert_eq!(
        of(json!([device(json!({"conditions": [condition], "data": [1]}))])),
        [
            r#"status.devices[0].conditions[0].status: Unsupported value: "Yes": supported values: "False", "True", "Unknown""#,
            r#"status.devices[0].data: Invalid value: "<value omitted>": must be a valid JSON object"#,
        ]
    );
}

#[test]
fn a_device_has_addresses_with_their_networks() {
    let of = |network: Value| {
        let devices = json!([device(json!({"networkData": network}))]);
        judge(json!({"allocation": allocation(json!([result(json!({}))])), "devices": devices}), json!({}))
    };
    let good = json!({"interfaceName": "eth1", "hardwareAddress": "02:42:ac:11:00:02", "ips": ["10.9.8.7/24", "2001:db8::1/64"]});
    assert_eq!(of(good), Vec::<String>::new());
    let bad =
        json!({"interfaceName": "x".repeat(257), "ips": ["10.9.8.7", "10.9.8.07/24", "10.9.8.7/24", "10.9.8.7/24"]});
    assert_eq!(
        of(bad),
        [
            "status.devices[0].networkData.interfaceName: Too long: may not be more than 256 bytes",
            r#"status.devices[0].networkData.ips[0]: Invalid value: "10.9.8.7": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"#,
            r#"status.devices[0].networkData.ips[1]: Invalid value: "10.9.8.07/24": must be in canonical form ("10.9.8.7/24")"#,
            r#"status.devices[0].networkData.ips[3]: Duplicate value: "10.9.8.7/24""#,
        ]
    );
}

#[test]
fn shares_are_uuids() {
    assert_eq!(uid_flaw("5a6f0d9c-9a2d-4a0e-8a53-0c2a2d6f0d11"), None);
    assert_eq!(uid_flaw("urn:uuid:5a6f0d9c-9a2d-4a0e-8a53-0c2a2d6f0d11"), None);
    assert_eq!(uid_flaw("x").as_deref(), Some("invalid UUID length: 1"));
    assert_eq!(uid_flaw("5a6f0d9c-9a2d-4a0e-8a53-0c2a2d6f0d1g").as_deref(), Some("invalid UUID format"));
    let of =
        |share: &str| judge(json!({"allocation": allocation(json!([result(json!({"shareID": share}))]))}), json!({}));
    assert_eq!(of("5a6f0d9c-9a2d-4a0e-8a53-0c2a2d6f0d11"), Vec::<String>::new());
    assert!(of("5A6F0D9C-9A2D-4A0E-8A53-0C2A2D6F0D11")[0].contains("uid must be in RFC 4122 normalized form"));
}

#[test]
fn conditions_of_binding_come_in_pairs_and_apart() {
    let of = |extra: Value| judge(json!({"allocation": allocation(json!([result(extra)]))}), json!({}));
    let both =
        json!({"bindingConditions": ["a.example.com/ready"], "bindingFailureConditions": ["a.example.com/failed"]});
    assert_eq!(of(both), Vec::<String>::new());
    assert_eq!(
        of(json!({"bindingConditions": ["a", "a"], "bindingFailureConditions": ["a"]})),
        [
            r#"status.allocation.devices.results[0].bindingConditions[1]: Duplicate value: "a""#,
            r#"status.allocation.devices.results[0].bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with bindingConditions"#,
        ]
    );
    assert_eq!(
        of(json!({"bindingConditions": ["a"]})),
        [
            "status.allocation.devices.results[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions"
        ]
    );
}

#[test]
fn what_drivers_said_goes_with_the_devices() {
    let results = json!([result(json!({})), result(json!({"device": "kept"}))]);
    let devices = json!([device(json!({})), device(json!({"device": "kept"}))]);
    let old = claim(json!({"allocation": allocation(results), "devices": devices}));
    let mut fewer = old.clone();
    fewer["status"]["allocation"]["devices"]["results"] = json!([result(json!({"device": "kept"}))]);
    forget_deallocated(&mut fewer, Some(&old));
    assert_eq!(fewer["status"]["devices"], json!([device(json!({"device": "kept"}))]));
    let mut none = old.clone();
    none["status"].as_object_mut().unwrap().remove("allocation");
    forget_deallocated(&mut none, Some(&old));
    assert_eq!(none["status"], json!({}));
    // What was never allocated is left to be refused.
    let mut strange = claim(json!({"devices": [device(json!({}))]}));
    forget_deallocated(&mut strange, Some(&claim(json!({}))));
    assert_eq!(strange["status"]["devices"].as_array().map(Vec::len), Some(1));
}

#[test]
fn devices_are_administered_from_labeled_namespaces() {
    let asked = claim(json!({"allocation": allocation(json!([result(json!({"adminAccess": true}))]))}));
    let judge = |labels: Value, old: &Value| {
        let namespace = json!({"metadata": {"name": "n", "labels": labels}});
        let mut errors = Errors::default();
        with_objects("resource.k8s.io", "resourceclaims", &Objects(vec![("", "namespaces", namespace)]), |cx| {
            admin_access(cx, &asked, old, &mut errors);
        });
        errors.0.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
    };
    assert_eq!(judge(json!({}), &claim(json!({}))), ["status.allocation.devices.results[0].adminAccess"]);
    assert_eq!(judge(json!({}), &asked), Vec::<String>::new());
    let labels = json!({"resource.kubernetes.io/admin-access": "true"});
    assert_eq!(judge(labels, &claim(json!({}))), Vec::<String>::new());
}

#[test]
fn an_allocation_goes_but_does_not_change() {
    let with = |device: &str| json!({"allocation": allocation(json!([result(json!({"device": device}))]))});
    assert_eq!(judge(json!({}), with("dev")), Vec::<String>::new());
    let changed = judge(with("other"), with("dev"));
    assert_eq!(changed.len(), 1);
    assert!(changed[0].starts_with("status.allocation: Invalid value: ") && changed[0].ends_with("field is immutable"));
}
