use serde_json::{Value, json};

use crate::decode::canonical;
use crate::types::type_of;

fn defaulted(group: &str, version: &str, kind: &str, object: Value) -> Value {
    let mut object = canonical(type_of(group, version, kind).unwrap(), &object);
    super::apply(group, version, kind, &mut object);
    object
}

#[test]
fn a_pod_of_one_container() {
    let pod = defaulted(
        "",
        "v1",
        "Pod",
        json!({"spec": {"containers": [{"name": "c", "image": "nginx"}], "volumes": [{"name": "v"}]}}),
    );
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{"name": "c", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
            "volumes": [{"name": "v", "emptyDir": {}}],
        })
    );
}

#[test]
fn probes_and_limits() {
    let pod = defaulted(
        "",
        "v1",
        "Pod",
        json!({"spec": {"containers": [{"name": "c", "image": "a:1",
        "livenessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": "1"}}}]}}),
    );
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["livenessProbe"],
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
               "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
    );
    assert_eq!(container["resources"], json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}));
}

#[test]
fn workloads_default_their_strategy_and_template() {
    let template = json!({"spec": {"containers": [{"name": "c", "image": "a:1"}]}});
    let deployment = defaulted("apps", "v1", "Deployment", json!({"spec": {"template": template}}));
    assert_eq!(
        deployment["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(deployment["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    assert!(deployment["spec"]["template"]["spec"].get("enableServiceLinks").is_none());
    let job = defaulted("batch", "v1", "Job", json!({"spec": {"template": template, "parallelism": 3}}));
    assert_eq!((job["spec"].get("completions"), &job["spec"]["backoffLimit"]), (None, &json!(6)));
}

#[test]
fn services_of_each_type() {
    let service = defaulted("", "v1", "Service", json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}));
    assert_eq!(
        service["spec"],
        json!({"type": "LoadBalancer", "sessionAffinity": "None", "externalTrafficPolicy": "Cluster",
               "internalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true,
               "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
    );
}

#[test]
fn secrets_take_plain_text() {
    let secret = defaulted("", "v1", "Secret", json!({"stringData": {"a": "b"}, "data": {"a": "eA=="}}));
    assert_eq!(secret, json!({"metadata": {}, "data": {"a": "Yg=="}, "type": "Opaque"}));
}

#[test]
fn defaulting_twice_changes_nothing() {
    for row in crate::resource::builtin().iter().filter(|r| r.is_stored()) {
        let once = defaulted(&row.group, &row.version, &row.kind, json!({"spec": {}, "metadata": {"name": "a"}}));
        let mut twice = once.clone();
        super::apply(&row.group, &row.version, &row.kind, &mut twice);
        assert_eq!(once, twice, "{}", row.kind);
    }
}

#[test]
fn amounts_are_rounded_up() {
    let claim =
        defaulted("", "v1", "PersistentVolumeClaim", json!({"spec": {"resources": {"requests": {"storage": "1n"}}}}));
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1m");
}

#[test]
fn annotations_of_old_clients_are_forgotten() {
    let template = json!({"metadata": {"annotations": {"pod.beta.kubernetes.io/init-containers": "[]", "a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]}});
    let pod = defaulted("", "v1", "Pod", template.clone());
    assert_eq!(pod["metadata"]["annotations"], json!({"a": "b"}));
    let cron = defaulted("batch", "v1", "CronJob", json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}));
    let kept = cron.pointer("/spec/jobTemplate/spec/template/metadata").unwrap();
    assert_eq!(kept, &json!({"annotations": {"a": "b"}}));
    let held = defaulted(
        "",
        "v1",
        "PodTemplate",
        json!({"template": {"metadata": {"annotations": {"pod.alpha.kubernetes.io/init-container-statuses": "[]"}}}}),
    );
    assert_eq!(held["template"]["metadata"], json!({}));
}

#[test]
fn daemon_sets_always_tell_how_often_their_template_changed() {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let counted = |object: Value| defaulted("apps", "v1", "DaemonSet", object)["metadata"]["annotations"].clone();
    assert_eq!(counted(json!({"spec": {}})), json!({COUNT: "0"}));
    assert_eq!(counted(json!({"metadata": {"annotations": {COUNT: "7", "a": "b"}}})), json!({COUNT: "7", "a": "b"}));
    assert_eq!(counted(json!({"metadata": {"annotations": {COUNT: "+07"}}})), json!({COUNT: "7"}));
}

#[test]
fn the_revision_to_go_back_to_is_a_number() {
    const REVISION: &str = "deprecated.deployment.rollback.rollbackTo";
    let read = |text: &str| {
        let object = json!({"metadata": {"annotations": {REVISION: text}}});
        defaulted("apps", "v1", "Deployment", object)["metadata"]["annotations"][REVISION].clone()
    };
    assert_eq!([read("007"), read("x"), read("")], ["7", "x", ""]);
}
