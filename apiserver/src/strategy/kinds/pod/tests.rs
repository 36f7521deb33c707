use serde_json::{Value, json};

use super::*;
use crate::strategy::testing::context;

fn pod(spec: Value) -> Value {
    let mut full = json!({
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "c", "image": "i:1", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}],
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        full[field] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "spec": full})
}

fn errors(spec: Value) -> Vec<String> {
    context("", "pods", |cx| Pod.validate_create(cx, &pod(spec)).iter().map(ToString::to_string).collect())
}

#[test]
fn a_plain_pod_is_valid() {
    assert_eq!(errors(json!({})), Vec::<String>::new());
}

#[test]
fn texts_are_those_of_kubernetes() {
    assert_eq!(errors(json!({"containers": []})), ["spec.containers: Required value"]);
    assert_eq!(
        errors(json!({"activeDeadlineSeconds": 0})),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"]
    );
    assert_eq!(
        errors(json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]})),
        ["spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"]
    );
    assert_eq!(
        errors(json!({"nodeName": "n", "schedulingGates": [{"name": "a"}]})),
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"]
    );
}

#[test]
fn deletion_is_graceful_only_where_something_runs() {
    let mut object = pod(json!({}));
    context("", "pods", |cx| {
        assert_eq!(Pod.delete_grace(cx, &object, None), Some(0));
        object["spec"]["nodeName"] = "n".into();
        assert_eq!(Pod.delete_grace(cx, &object, None), Some(30));
        assert_eq!(Pod.delete_grace(cx, &object, Some(-3)), Some(1));
        object["status"] = json!({"phase": "Succeeded"});
        assert_eq!(Pod.delete_grace(cx, &object, Some(5)), Some(0));
    });
}

#[test]
fn binding_twice_is_refused() {
    let mut object = pod(json!({}));
    let now = jiff::Timestamp::UNIX_EPOCH;
    assert_eq!(bind(&mut object, "n1", &json!({}), now), Ok(()));
    assert_eq!(object["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(bind(&mut object, "n2", &json!({}), now), Err("pod a is already assigned to node \"n1\"".to_owned()));
}

#[test]
fn classes_of_service() {
    let with = |resources: Value| qos_class(&pod(json!({"containers": [{"name": "c", "resources": resources}]})));
    assert_eq!(with(json!({})), "BestEffort");
    assert_eq!(with(json!({"limits": {"cpu": "1"}})), "Burstable");
    assert_eq!(
        with(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}})),
        "Guaranteed"
    );
}
