use serde_json::{Value, json};

use super::{objects, pod, stateful_set, template, workload};

fn a_pod(spec: Value) -> Value {
    json!({"metadata": {"name": "a"}, "spec": spec})
}

#[test]
fn ports_of_several_containers_are_compared() {
    let port = |extra: Value| {
        let mut port = json!({"containerPort": 80, "protocol": "TCP"});
        port.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        port
    };
    let spec = json!({"containers": [
        {"name": "a", "ports": [port(json!({}))]},
        {"name": "b", "ports": [port(json!({"hostPort": 8080}))]},
        {"name": "c", "ports": [port(json!({"hostPort": 8080, "hostIP": "1.2.3.4"}))]},
    ]});
    assert_eq!(
        pod(&a_pod(spec)),
        [
            "spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[2].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[2].ports[0]: dangerously ambiguous port definition with spec.containers[1].ports[0]",
        ]
    );
}

#[test]
fn claims_of_a_new_set_are_elsewhere_than_those_of_a_changed_one() {
    let claim = json!({"spec": {"resources": {"requests": {"storage": "1500m"}}}});
    let set = json!({"metadata": {"name": "a", "generation": 1}, "spec": {"volumeClaimTemplates": [claim]}});
    let told = |place: &str| {
        vec![format!(
            "{place}.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer"
        )]
    };
    assert_eq!(stateful_set(&set, None), told("spec.volumeClaimTemplates[0]"));
    assert_eq!(stateful_set(&set, Some(&set)), told("spec.volumeClaimTemplates[0].Spec"));
}

#[test]
fn many_indexes_are_told_of_when_something_changes() {
    let spec = json!({"completionMode": "Indexed", "completions": 200_000, "parallelism": 20_000});
    let job = |generation: i64| json!({"metadata": {"name": "a", "generation": generation}, "spec": spec});
    assert_eq!(workload("spec.template", &job(1), None).len(), 1);
    assert_eq!(workload("spec.template", &job(2), Some(&job(1))).len(), 1);
    assert!(workload("spec.template", &job(1), Some(&job(1))).is_empty());
}

#[test]
fn old_labels_are_told_wherever_nodes_are_chosen() {
    let expression = json!({"key": "beta.kubernetes.io/arch", "operator": "In", "values": ["amd64"]});
    let spec = json!({
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [expression]}],
        }}},
        "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1}],
    });
    assert_eq!(
        pod(&a_pod(spec)),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
        ]
    );
}

#[test]
fn files_that_lie_over_each_other_are_told() {
    let sources = json!([
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "a"}]}},
        {"serviceAccountToken": {"path": "a/b"}},
    ]);
    let spec = json!({"volumes": [{"name": "v", "projected": {"sources": sources}}]});
    assert_eq!(
        pod(&a_pod(spec)),
        ["volume \"v\" (Projected): overlapping paths: \"a/b\" (ServiceAccountToken) with \"a\" (ConfigMap \"c\")"]
    );
}

#[test]
fn a_template_is_looked_at_again_only_when_something_changed() {
    let deployment = |generation: i64| {
        json!({
            "metadata": {"name": "a.b", "generation": generation},
            "spec": {"template": {"spec": {"terminationGracePeriodSeconds": -1}}},
        })
    };
    let grace = "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1";
    assert_eq!(workload("spec.template", &deployment(1), None).len(), 2);
    assert!(template("spec.template", &deployment(1), Some(&deployment(1))).is_empty());
    assert_eq!(template("spec.template", &deployment(2), Some(&deployment(1))), [grace]);
}

#[test]
fn a_headless_service_ignores_much() {
    let spec = json!({
        "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "sessionAffinity": "ClientIP",
        "externalIPs": ["1.2.3.4"],
    });
    assert_eq!(
        objects::service(&json!({"spec": spec})),
        ["spec.externalIPs is ignored for headless services", "spec.SessionAffinity is ignored for headless services"]
    );
}

#[test]
fn slices_are_warned_of_as_long_as_no_controller_keeps_them() {
    let mut slice = json!({"addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]});
    assert_eq!(objects::slice(&slice, None).len(), 1);
    slice["metadata"] =
        json!({"labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}});
    assert!(objects::slice(&slice, None).is_empty());
    let names = json!({"addressType": "FQDN", "endpoints": [{"addresses": ["a.b"]}]});
    assert_eq!(objects::slice(&names, None), ["spec.addressType: FQDN endpoints are deprecated"]);
    assert!(objects::slice(&names, Some(&names)).is_empty());
}
