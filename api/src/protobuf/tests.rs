use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::canonical;
use crate::types::type_of;

fn round(value: Value) {
    let bytes = encode(&value).unwrap();
    let back = decode(&bytes).unwrap();
    assert_eq!(back, value);
    assert_eq!(encode(&back).unwrap(), bytes);
}

fn object(group: &str, kind: &str, value: Value) -> Value {
    let mut value = canonical(type_of(group, "v1", kind).unwrap(), &value);
    value["apiVersion"] = crate::resource::api_version(group, "v1").into();
    value["kind"] = kind.into();
    value
}

#[test]
fn a_config_map_is_these_bytes() {
    let value = object("", "ConfigMap", json!({"metadata": {"name": "a"}, "data": {"k": "v"}}));
    let meta = b"\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00";
    let mut raw = vec![0x0a, u8::try_from(meta.len()).unwrap()];
    raw.extend_from_slice(meta);
    raw.extend_from_slice(b"\x12\x06\x0a\x01k\x12\x01v");
    let mut expected = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    expected.push(u8::try_from(raw.len()).unwrap());
    expected.extend_from_slice(&raw);
    expected.extend_from_slice(b"\x1a\x00\x22\x00");
    assert_eq!(encode(&value).unwrap(), expected);
}

#[test]
fn objects_survive_the_round_trip() {
    round(object(
        "",
        "Pod",
        json!({"metadata": {"name": "a", "creationTimestamp": "2024-01-02T03:04:05Z", "labels": {"a": "b"}},
        "spec": {"terminationGracePeriodSeconds": 0, "priority": -5, "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
                 "containers": [{"name": "c", "livenessProbe": {"httpGet": {"port": "http"}},
                                 "resources": {"limits": {"cpu": "100m"}}}],
                 "ephemeralContainers": [{"name": "d", "targetContainerName": "c"}]}}),
    ));
    round(object("", "Secret", json!({"data": {"a": "eA==", "empty": ""}})));
    round(object("coordination.k8s.io", "Lease", json!({"spec": {"renewTime": "2024-01-02T03:04:05.123456Z"}})));
    round(object(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        json!({"spec": {"versions": [{"name": "v1", "schema":
        {"openAPIV3Schema": {"type": "object", "default": {"a": [1]}, "additionalProperties": false,
                             "properties": {"x": {"items": {"type": "string"}}}}}}]}}),
    ));
    round(object("", "PodList", json!({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]})));
}

/// A ControllerRevision that holds another, so many times.
fn revisions(count: usize) -> Vec<u8> {
    let mut body = envelope("apps/v1", "ControllerRevision", &[]);
    for _ in 0..count {
        let (mut raw, mut revision) = (Writer::default(), Writer::default());
        raw.bytes(1, &body);
        revision.bytes(2, &raw.into_bytes());
        body = envelope("apps/v1", "ControllerRevision", &revision.into_bytes());
    }
    body
}

#[test]
fn objects_within_objects_are_read_to_a_depth() {
    let read = decode(&revisions(10)).unwrap();
    assert_eq!(read.pointer("/data/data/kind"), Some(&json!("ControllerRevision")));
    assert_eq!(decode(&revisions(1_000)), Err(ProtobufError::Depth));
}

#[test]
fn json_within_objects_is_no_deeper_than_theirs() {
    let revision = |depth: usize| {
        let (mut raw, mut revision) = (Writer::default(), Writer::default());
        raw.bytes(1, ("[".repeat(depth) + &"]".repeat(depth)).as_bytes());
        revision.bytes(2, &raw.into_bytes());
        envelope("apps/v1", "ControllerRevision", &revision.into_bytes())
    };
    let most = crate::json::DEEPEST - 1;
    assert!(decode(&revision(most)).is_ok());
    assert_eq!(decode(&revision(most + 1)), Err(ProtobufError::Depth));
}

#[test]
fn malformed_bodies_are_refused() {
    assert_eq!(decode(b"{}"), Err(ProtobufError::Prefix));
    assert_eq!(decode(b"k8s\0\x0a\x7f"), Err(ProtobufError::Truncated));
    assert!(matches!(decode(b"k8s\0\x0a\x03\x12\x01X"), Err(ProtobufError::Kind { .. })));
}

#[test]
fn watch_frames_begin_with_their_length() {
    let frame = watch_frame("ADDED", &object("", "ConfigMap", json!({}))).unwrap();
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
    assert_eq!(&frame[4..11], b"\x0a\x05ADDED");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let body = [b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12".as_slice(), &[u8::try_from(bytes.len()).unwrap() & 0x7f], &bytes].concat();
        prop_assert!(decode(&body).is_ok() || decode(&body).is_err());
    }

    #[test]
    fn any_config_map_survives(data in proptest::collection::btree_map("[a-z.]{1,8}", ".*", 1..6), name in "[a-z]{1,9}") {
        round(object("", "ConfigMap", json!({"metadata": {"name": name}, "data": data})));
    }
}
