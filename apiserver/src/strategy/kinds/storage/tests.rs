use serde_json::json;

use super::*;

fn judge(rule: fn(&Value, &mut Errors), object: Value) -> Vec<String> {
    let mut errors = Errors::default();
    rule(&object, &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

#[test]
fn an_inline_volume_is_what_its_driver_needs() {
    let attach = |inline: Value| {
        judge(attachment, json!({"spec": {"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": inline}}}))
    };
    let csi = json!({"driver": "a", "volumeHandle": "h"});
    assert_eq!(attach(json!({"accessModes": ["ReadWriteOnce"], "csi": csi})), Vec::<String>::new());
    assert_eq!(
        attach(json!({"capacity": {"storage": "1"}, "storageClassName": "s", "hostPath": {"path": "/x"}})),
        [
            "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.accessModes: Required value",
            "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
        ]
    );
}

#[test]
fn drivers_of_a_node_stay_as_they_are_registered() {
    let node = |driver: Value| json!({"spec": {"drivers": [driver]}});
    let (old, more) = (json!({"name": "a", "nodeID": "n"}), json!({"count": 2}));
    let change = |new: Value| {
        let mut errors = Errors::default();
        crate::strategy::testing::context("storage.k8s.io", "csinodes", |cx| {
            (NODE.change)(cx, &node(new), &node(old.clone()), &mut errors);
        });
        errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(change(json!({"name": "a", "nodeID": "n", "allocatable": more})), Vec::<String>::new());
    assert_eq!(
        change(json!({"name": "a", "nodeID": "m"})),
        [
            "spec.drivers: Invalid value: {\"Name\":\"a\",\"NodeID\":\"m\",\"TopologyKeys\":null,\"Allocatable\":null}: field is immutable"
        ]
    );
}

#[test]
fn a_topology_key_that_is_no_name_is_told_at_its_driver() {
    let driver = json!({"name": "a", "nodeID": "n", "topologyKeys": ["good", "a b"]});
    let found = judge(node, json!({"spec": {"drivers": [driver]}}));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(r#"spec.drivers[0]: Invalid value: "a b": name part must"#), "{found:?}");
}

#[test]
fn an_audience_is_judged_once() {
    let requests = json!([{"audience": "a"}, {"audience": "a", "expirationSeconds": 5}]);
    let spec = json!({"attachRequired": true, "podInfoOnMount": true, "storageCapacity": true, "tokenRequests": requests, "volumeLifecycleModes": ["X"]});
    assert_eq!(
        judge(driver, json!({"spec": spec})),
        [
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            "spec.volumeLifecycleModes: Unsupported value: \"X\": supported values: \"Persistent\", \"Ephemeral\"",
        ]
    );
}
