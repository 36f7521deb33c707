use serde_json::json;

use super::*;

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
        "spec": {
            "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            ],
            "behavior": {"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}},
        },
        "status": {"desiredReplicas": 0, "currentMetrics": null},
    })
}

#[test]
fn an_autoscaler_survives_the_old_version() {
    let old = to_version(autoscaler(), "autoscaling", "v1", "HorizontalPodAutoscaler").unwrap();
    assert_eq!(old["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(
        old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"],
        r#"[{"type":"Pods","pods":{"metricName":"hits","targetAverageValue":"10"}}]"#
    );
    let back = to_version(old, "autoscaling", "v2", "HorizontalPodAutoscaler").unwrap();
    // The metric that has a field of its own comes after those from the annotation.
    let mut expected = autoscaler();
    expected["spec"]["metrics"].as_array_mut().unwrap().reverse();
    assert_eq!(back, expected);
}

#[test]
fn annotations_of_autoscalers_are_what_go_prints() {
    let mut new = autoscaler();
    let selector =
        json!({"matchExpressions": [{"key": "k", "operator": "Exists"}], "matchLabels": {"app": "b", "name": "a"}});
    new["spec"]["metrics"] = json!([{"type": "Object", "object": {
        "metric": {"name": "m", "selector": selector}, "describedObject": {"kind": "Service", "name": "s"},
        "target": {"type": "AverageValue", "averageValue": "5"},
    }}]);
    new["status"]["currentMetrics"] = json!([
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 5}}},
        {"type": "External", "external": {"metric": {"name": "e"}, "current": {"averageValue": "1"}}},
    ]);
    new["status"]["conditions"] =
        json!([{"type": "A", "status": "True", "lastTransitionTime": null, "message": "a<b"}]);
    let old = to_version(new, "autoscaling", "v1", "HorizontalPodAutoscaler").unwrap();
    let told = |name: &str| old["metadata"]["annotations"][format!("autoscaling.alpha.kubernetes.io/{name}")].clone();
    assert_eq!(
        told("metrics"),
        r#"[{"type":"Object","object":{"target":{"kind":"Service","name":"s"},"metricName":"m","targetValue":"0","selector":{"matchLabels":{"app":"b","name":"a"},"matchExpressions":[{"key":"k","operator":"Exists"}]},"averageValue":"5"}}]"#
    );
    assert_eq!(
        told("current-metrics"),
        r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":5,"currentAverageValue":"0"}},{"type":"External","external":{"metricName":"e","currentValue":"0","currentAverageValue":"1"}}]"#
    );
    assert_eq!(told("conditions"), r#"[{"type":"A","status":"True","lastTransitionTime":null,"message":"a\u003cb"}]"#);
    assert_eq!(old["status"]["currentCPUUtilizationPercentage"], 5);
}

#[test]
fn an_old_autoscaler_without_target_aims_at_eighty() {
    let old = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 1}});
    let new = to_version(old, "autoscaling", "v2", "HorizontalPodAutoscaler").unwrap();
    assert_eq!(new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
}

#[test]
fn the_new_version_carries_nothing_in_annotations() {
    const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
    let mut object = json!({"metadata": {"annotations": {METRICS: "[]", "own": "x"}}});
    drop_foreign("autoscaling", "v1", "HorizontalPodAutoscaler", &mut object);
    assert_eq!(object["metadata"]["annotations"][METRICS], "[]");
    drop_foreign("autoscaling", "v2", "HorizontalPodAutoscaler", &mut object);
    assert_eq!(object, json!({"metadata": {"annotations": {"own": "x"}}}));
}

#[test]
fn numbers_in_annotations_must_be_numbers() {
    let why = |kind: &str, key: &str, text: &str| {
        unreadable("apps", kind, &json!({"metadata": {"annotations": {key: text}}}))
    };
    const TEMPLATE: &str = "deprecated.daemonset.template.generation";
    const ROLLBACK: &str = "deprecated.deployment.rollback.rollbackTo";
    assert_eq!(why("DaemonSet", TEMPLATE, "7"), None);
    assert_eq!(why("Deployment", TEMPLATE, "x"), None);
    assert_eq!(why("Deployment", ROLLBACK, ""), None);
    assert_eq!(why("DaemonSet", TEMPLATE, "x").as_deref(), Some(r#"strconv.ParseInt: parsing "x": invalid syntax"#));
    assert_eq!(
        why("Deployment", ROLLBACK, "x").as_deref(),
        Some(
            r#"failed to parse annotation[deprecated.deployment.rollback.rollbackTo]=x as int64: strconv.ParseInt: parsing "x": invalid syntax"#
        )
    );
}

#[test]
fn events_have_two_names_for_everything() {
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "hi", "reportingComponent": "c",
        "involvedObject": {"kind": "Pod"}, "count": 2, "reportingInstance": "i", "source": {},
        "eventTime": null, "firstTimestamp": null, "lastTimestamp": null,
    });
    let new = to_version(event.clone(), "events.k8s.io", "v1", "Event").unwrap();
    assert_eq!(
        (&new["note"], &new["regarding"]["kind"], &new["deprecatedCount"]),
        (&json!("hi"), &json!("Pod"), &json!(2))
    );
    assert_eq!(to_version(new, "", "v1", "Event").unwrap(), event);
}
