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

fn container(extra: Value) -> Value {
    let mut container =
        json!({"name": "c", "image": "i:1", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"});
    for (field, value) in extra.as_object().into_iter().flatten() {
        container[field] = value.clone();
    }
    container
}

#[test]
fn containers_are_judged_one_by_one() {
    let init = json!({"name": "i", "restartPolicy": "Odd", "lifecycle": {}, "resizePolicy": [
        {"resourceName": "cpu", "restartPolicy": "RestartContainer"},
    ]});
    assert_eq!(
        errors(json!({"initContainers": [container(init)]})),
        [
            "spec.initContainers[0].restartPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
            "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' for non-sidecar initContainers",
        ]
    );
    let unnamed = || container(json!({"name": ""}));
    assert_eq!(
        errors(json!({"containers": [unnamed(), unnamed()]})),
        [
            "spec.containers[0].name: Required value",
            "spec.containers[1].name: Required value",
            "spec.containers[1].name: Duplicate value: \"\"",
        ]
    );
    let file =
        json!({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}}]});
    assert_eq!(
        errors(json!({"containers": [container(file)]})),
        ["spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: \"v\""]
    );
    let huge = json!({"resources": {"limits": {"cpu": "1", "hugepages-2Mi": "3Mi"}}});
    assert_eq!(
        errors(json!({"containers": [container(huge)]})),
        [
            "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi"
        ]
    );
}

#[test]
fn claims_are_used_once() {
    let claims = json!({"resources": {"claims": [{"name": "x", "request": "r"}, {"name": "x"}, {}]}});
    let pod = json!({"containers": [container(claims)], "resourceClaims": [{"name": "x", "resourceClaimName": "n"}]});
    assert_eq!(
        errors(pod),
        [
            "spec.containers[0].resources.claims[1]: Duplicate value: \"x\"",
            "spec.containers[0].resources.claims[2]: Required value",
        ]
    );
}

#[test]
fn what_selects_pods_and_nodes() {
    let constraint = |extra: Value| {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"});
        constraint.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        constraint
    };
    let selector =
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]});
    let keyed = constraint(json!({"matchLabelKeys": ["a"], "labelSelector": selector}));
    assert_eq!(
        errors(json!({"topologySpreadConstraints": [keyed, constraint(json!({"matchLabelKeys": ["b c"]}))]})),
        [
            "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{z, DoNotSchedule}\"",
            "spec.topologySpreadConstraints[0][0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector",
            "spec.topologySpreadConstraints[1].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ]
    );
    assert_eq!(
        errors(json!({"tolerations": [{"key": "a", "operator": "Lt", "value": "1"}]})),
        [
            "spec.tolerations[0].operator: Unsupported value: \"Lt\": supported values: \"Equal\", \"Exists\", \"Lt\", \"Gt\""
        ]
    );
}

#[test]
fn what_goes_with_the_host() {
    let process = json!({"securityContext": {"windowsOptions": {"hostProcess": true}}});
    assert_eq!(
        errors(json!({"containers": [container(process), container(json!({"name": "d"}))]})),
        [
            "spec: Invalid value: \"\": If pod contains any hostProcess containers then all containers must be HostProcess containers",
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ]
    );
    assert_eq!(
        errors(json!({"hostUsers": false, "hostPID": true, "hostnameOverride": "h", "setHostnameAsFQDN": true})),
        [
            "spec.HostPID: Forbidden: when `hostUsers` is false",
            "spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
        ]
    );
}

#[test]
fn an_update_is_told_all_that_it_may_not() {
    let old = pod(json!({"tolerations": [{"operator": "Exists"}]}));
    let new = pod(json!({"nodeName": "n"}));
    context("", "pods", |cx| {
        let fields: Vec<String> = Pod.validate_update(cx, &new, &old).iter().map(|error| error.field.clone()).collect();
        assert!(fields.ends_with(&["spec.tolerations".to_owned(), "spec".to_owned()]), "{fields:?}");
    });
}

#[test]
fn an_update_is_told_the_lines_that_it_may_not_change() {
    let told = |tolerations: usize| {
        let tolerations = vec![json!({"operator": "Exists"}); tolerations];
        let old = pod(json!({"tolerations": tolerations}));
        let mut new = old.clone();
        new["spec"]["hostname"] = "h".into();
        let mut errors = Errors::default();
        change::spec(&new, &old, &mut errors);
        errors.0.pop().expect("it may not change").detail
    };
    let lines =
        "  \"ImagePullSecrets\": null,\n- \"Hostname\": \"\",\n+ \"Hostname\": \"h\",\n  \"Subdomain\": \"\",\n";
    assert!(told(1).contains("\n@@ -") && told(1).contains(lines), "{}", told(1));
    assert!(told(10_000).ends_with(" if it was previously negative)\n"));
}

#[test]
fn an_amount_in_another_form_is_no_change() {
    let sized = |size: &str| pod(json!({"overhead": {"memory": size}}));
    let judge = |size: &str| {
        let mut errors = Errors::default();
        change::spec(&sized(size), &sized("1Gi"), &mut errors);
        errors.0.len()
    };
    assert_eq!((judge("1073741824"), judge("1G")), (0, 1));
}

#[test]
fn an_ended_container_stays_so_unless_something_restarts_it() {
    let ended = |code: i64| json!({"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}]});
    let runs = json!({"containerStatuses": [{"name": "c", "state": {"running": {}}}], "podIPs": [
        {"ip": "10.0.0.1"}, {"ip": "10.0.0.2"},
    ]});
    let judge = |spec: Value, code: i64| {
        let (mut old, mut new) = (pod(spec.clone()), pod(spec));
        (old["status"], new["status"]) = (ended(code), runs.clone());
        let mut errors = Errors::default();
        status::validate(&new, &old, &mut errors);
        errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    const IPS: &str = "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.2\"}]: may specify no more than one IP for each IP family";
    const STATE: &str = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
    assert_eq!(judge(json!({}), 0), [IPS]);
    assert_eq!(judge(json!({"restartPolicy": "OnFailure"}), 1), [IPS]);
    assert_eq!(judge(json!({"restartPolicy": "Never"}), 1), [STATE, IPS]);
    let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    let own = container(json!({"restartPolicy": "Never", "restartPolicyRules": rules}));
    assert_eq!(judge(json!({"restartPolicy": "Never", "containers": [own]}), 42), [IPS]);
}

#[test]
fn a_resize_changes_nothing_but_compute() {
    let sized = |resources: Value| pod(json!({"containers": [container(json!({"resources": resources}))]}));
    let old = sized(json!({"requests": {"cpu": "1", "memory": "1Gi"}}));
    let judge = |mut new: Value| {
        resize::prepare(&mut new, &old);
        let mut errors = Errors::default();
        resize::validate(&new, &old, &mut errors);
        errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(judge(sized(json!({"requests": {"cpu": "2", "memory": "1Gi"}}))), Vec::<String>::new());
    assert_eq!(
        judge(sized(json!({"requests": {"cpu": "2", "ephemeral-storage": "1Gi"}}))),
        [
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            "spec: Forbidden: only cpu and memory resources are mutable",
        ]
    );
    let two = pod(json!({"containers": [container(json!({})), container(json!({"name": "d"}))]}));
    assert!(
        judge(two).contains(&"spec.containers: Forbidden: containers may not be added or removed on resize".to_owned())
    );
}

#[test]
fn a_status_names_users_and_addresses_that_there_can_be() {
    let judge = |os: &str, status: Value| {
        let (old, mut new) = (pod(json!({})), pod(json!({"os": {"name": os}})));
        new["status"] = status;
        let mut errors = Errors::default();
        status::validate(&new, &old, &mut errors);
        errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let users = json!({"containerStatuses": [{"name": "c", "user": {"linux": {"uid": -1, "gid": 0}}}]});
    assert_eq!(
        judge("windows", users.clone()),
        ["status.containerStatuses[0].user.linux: Forbidden: cannot be set for a windows pod"]
    );
    assert_eq!(
        judge("linux", users),
        ["status.containerStatuses[0].user.linux.uid: Invalid value: -1: must be between 0 and 2147483647, inclusive"]
    );
    let told = judge("linux", json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "x"}]}));
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[1], "status.podIPs: Internal error: failed to check for dual stack with error:invalid IP[1]: x");
}

#[test]
fn resources_of_the_whole_pod_hold_those_of_its_containers() {
    let huge = |amount: &str| json!({"cpu": "1", "hugepages-2Mi": amount});
    let own = container(json!({"resources": {"requests": huge("4Mi"), "limits": huge("4Mi")}}));
    let whole = json!({"requests": huge("4Mi"), "limits": huge("2Mi")});
    let told = errors(json!({"containers": [own], "resources": whole}));
    assert!(
        told.contains(
            &"spec.resources.limits[hugepages-2Mi]: Invalid value: \"2Mi\": must be greater than or equal to aggregate container limits of 4Mi".to_owned()
        ),
        "{told:?}"
    );
    let told = errors(json!({"resources": {"requests": {"cpu": "1"}, "claims": [{"name": "x"}]}}));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("spec.resources.claims[0]: Not found: \"x\""), "{told:?}");
}

#[test]
fn what_is_missing_is_shown_as_nothing() {
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone"}]);
    let told = errors(json!({"topologySpreadConstraints": spread}));
    assert!(told[0].contains("whenUnsatisfiable: Unsupported value: \"\": supported values: "), "{told:?}");
    let told = errors(json!({"ephemeralContainers": [container(json!({"name": "e", "lifecycle": {}}))]}));
    assert_eq!(
        told,
        [
            "spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral Container",
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ]
    );
}
