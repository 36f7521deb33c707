use serde_json::json;

use super::*;
use crate::types::type_of;

fn first_error(group: &str, kind: &str, value: Value) -> String {
    strict(type_of(group, "v1", kind).unwrap(), &value).errors.first().unwrap().to_owned()
}

#[test]
fn type_errors_read_as_go_writes_them() {
    let cases = [
        ("", "ConfigMap", json!({"data": {"a": 5}}), "number into Go struct field ConfigMap.data of type string"),
        (
            "",
            "ConfigMap",
            json!({"metadata": "x"}),
            "string into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (
            "",
            "ConfigMap",
            json!({"metadata": {"labels": ["x"]}}),
            "array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"replicas": 1.5}}),
            "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": {}}}}}),
            "object into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
        (
            "",
            "Pod",
            json!({"spec": {"restartPolicy": 5}}),
            "number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
        ),
        ("", "Event", json!({"firstTimestamp": 5}), "number into Go struct field Event.firstTimestamp of type string"),
        ("", "Secret", json!({"data": {"a": 1}}), "number into Go struct field Secret.data of type []uint8"),
        ("", "Secret", json!({"data": "x"}), "string into Go struct field Secret.data of type map[string][]uint8"),
    ];
    for (group, kind, value, expected) in cases {
        assert_eq!(first_error(group, kind, value), format!("json: cannot unmarshal {expected}"));
    }
}

#[test]
fn bytes_may_be_a_list_of_numbers() {
    let secret = strict(type_of("", "v1", "Secret").unwrap(), &json!({"data": {"a": [65, null]}}));
    assert_eq!(secret.value["data"]["a"], "QQA=");
    let error = first_error("", "Secret", json!({"data": {"a": [256]}}));
    assert_eq!(error, "json: cannot unmarshal number 256 into Go struct field Secret.data of type uint8");
}

#[test]
fn faults_of_base64_are_where_go_finds_them() {
    let cases = [
        ("***", 0),
        ("QUE", 0),
        ("QUFBQUE", 4),
        ("QUE\n", 1),
        ("A\n*A=", 2),
        ("=", 0),
        ("QQ=", 3),
        ("QQ=a", 2),
        ("QQ==QQ==", 4),
        ("QUE=*", 4),
    ];
    for (text, at) in cases {
        let error = first_error("", "Secret", json!({"data": {"a": text}}));
        assert_eq!(error, format!("illegal base64 data at input byte {at}"), "{text}");
    }
}

#[test]
fn conversions_of_maps_have_words_of_their_own() {
    let first = |group: &str, kind: &str, value: Value| {
        strict(type_of(group, "v1", kind).unwrap(), &value).conversions.first().cloned()
    };
    let deployment = |spec: Value| first("apps", "Deployment", json!({"spec": spec}));
    let pod = |spec: Value| first("", "Pod", json!({"spec": spec}));
    let cases = [
        (deployment(json!({"replicas": "x"})), "unrecognized type: int32"),
        (deployment(json!({"replicas": 1.5})), "cannot convert float64 to int32"),
        (deployment(json!({"paused": "x"})), "unrecognized type: bool"),
        (deployment(json!({"template": "x"})), "cannot restore struct from: string"),
        (pod(json!({"restartPolicy": 5})), "cannot convert int64 to v1.RestartPolicy"),
        (pod(json!({"nodeName": true})), "unrecognized type: string"),
        (pod(json!({"nodeSelector": []})), "cannot restore map from slice"),
        (first("", "ConfigMap", json!({"data": {"a": 5}})), "cannot convert int64 to string"),
        (
            first("", "Secret", json!({"data": {"a": "*"}})),
            "error decoding from json: illegal base64 data at input byte 0",
        ),
        (
            first("", "Event", json!({"firstTimestamp": 5})),
            "json: cannot unmarshal number into Go value of type string",
        ),
        (
            deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": true}}})),
            "json: cannot unmarshal bool into Go value of type int32",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found.as_deref(), Some(expected));
    }
    let whole = strict(type_of("apps", "v1", "Deployment").unwrap(), &json!({"spec": {"replicas": 3.0}}));
    assert_eq!((whole.conversions.len(), &whole.value["spec"]["replicas"]), (0, &json!(3)));
    assert!(whole.errors.first().is_some());
}

#[test]
fn values_that_do_not_parse_are_told() {
    let quantity = first_error("", "ResourceQuota", json!({"spec": {"hard": {"pods": {}}}}));
    assert!(quantity.starts_with("quantities must match the regular expression"), "{quantity}");
    let base64 = first_error("", "Secret", json!({"data": {"a": "***"}}));
    assert_eq!(base64, "illegal base64 data at input byte 0");
    let time = first_error("coordination.k8s.io", "Lease", json!({"spec": {"acquireTime": "x"}}));
    assert_eq!(time, r#"parsing time "x" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "x" as "2006""#);
}

#[test]
fn unknown_fields_are_named_and_dropped() {
    let service = json!({"kind": "Service", "spec": {"ports": [{"port": 80, "name2": "x"}]}, "datas": 1});
    let decoded = strict(type_of("", "v1", "Service").unwrap(), &service);
    assert_eq!(decoded.unknown, [r#"unknown field "datas""#, r#"unknown field "spec.ports[0].name2""#]);
    assert_eq!(
        decoded.value,
        json!({"kind": "Service", "metadata": {}, "status": {"loadBalancer": {}},
               "spec": {"ports": [{"port": 80, "targetPort": 0}]}})
    );
}

#[test]
fn what_go_reads_by_itself_has_no_unknown_fields() {
    let read = |schema: Value| {
        let definition = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}});
        strict(type_of("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap(), &definition)
    };
    let odd = json!({"odd": 1});
    let found = read(json!({"items": odd, "additionalProperties": odd, "not": odd, "dependencies": {"a": odd}}));
    assert_eq!(found.unknown, [r#"unknown field "spec.versions[0].schema.openAPIV3Schema.not.odd""#]);
    assert_eq!(read(json!({"items": "x"})).errors.first(), None);
    assert_eq!(read(json!({"additionalProperties": "x"})).errors.first(), Some("boolean or JSON schema expected"));
}

#[test]
fn empty_values_appear_as_their_go_form_would() {
    let role = canonical(type_of("rbac.authorization.k8s.io", "v1", "ClusterRole").unwrap(), &json!({"rules": []}));
    assert_eq!(role, json!({"metadata": {}, "rules": null}));
    let pod = json!({"spec": {"hostNetwork": false, "terminationGracePeriodSeconds": 0, "containers": [
        {"name": "c", "resources": {"limits": {"cpu": "1000m", "memory": "1024Ki"}}}]}});
    assert_eq!(
        canonical(type_of("", "v1", "Pod").unwrap(), &pod),
        json!({"metadata": {}, "status": {}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Mi"}}}]}})
    );
}

#[test]
fn no_scaling_policies_are_told_from_policies_not_given() {
    let rules = json!({"spec": {"behavior": {"scaleUp": {"policies": []}, "scaleDown": {}}, "metrics": []}});
    let scaler = canonical(type_of("autoscaling", "v2", "HorizontalPodAutoscaler").unwrap(), &rules);
    assert_eq!(scaler["spec"]["behavior"], json!({"scaleUp": {"policies": []}, "scaleDown": {}}));
    assert_eq!(scaler["spec"].get("metrics"), None);
}

#[test]
fn the_normal_form_is_stable() {
    let event = type_of("", "v1", "Event").unwrap();
    let once = canonical(event, &json!({"involvedObject": {}, "eventTime": "2024-01-02T03:04:05.123456Z"}));
    assert_eq!(canonical(event, &once), once);
}
