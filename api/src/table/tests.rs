use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2024-01-02T00:00:00Z".parse().unwrap()
}

fn row(group: &str, resource: &str, object: Value) -> Vec<Value> {
    cells(group, resource, &object, now())
}

#[test]
fn durations() {
    let cases = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (28_800, "8h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ];
    for (seconds, text) in cases {
        assert_eq!(duration(seconds), text);
    }
}

#[test]
fn every_definition_has_a_cell() {
    for (key, columns) in COLUMNS.iter() {
        let mut parts = key.split('/');
        let (group, _, resource) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
        let cells = row(group, resource, json!({"metadata": {"name": "a"}}));
        let extra = usize::from(resource == "ipaddresses");
        assert_eq!(cells.len(), columns.len() + extra, "{key}");
        for (cell, column) in cells.iter().zip(columns) {
            let good = match column["type"].as_str().unwrap() {
                "integer" => cell.is_number(),
                "boolean" => cell.is_boolean() || key == "batch/v1/cronjobs",
                _ => true,
            };
            assert!(good, "{key} {column} {cell}");
        }
    }
}

#[test]
fn all_columns_but_one_are_described() {
    let columns = COLUMNS.iter().flat_map(|(key, columns)| columns.iter().map(move |column| (key, column)));
    let bare = columns.filter(|(key, column)| described(key, column)["description"] == "");
    let bare: Vec<String> = bare.map(|(key, column)| format!("{key} {}", column["name"])).collect();
    // What Kubernetes looks its description up by is not there.
    assert_eq!(bare, ["node.k8s.io/v1/runtimeclasses \"Handler\""]);
}

#[test]
fn pods() {
    let pod = json!({"metadata": {"name": "a", "creationTimestamp": "2024-01-01T23:59:00Z"},
        "spec": {"containers": [{"name": "c"}, {"name": "d"}], "nodeName": "n"},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "containerStatuses": [
            {"name": "c", "ready": true, "restartCount": 2, "state": {"running": {}},
             "lastState": {"terminated": {"finishedAt": "2024-01-01T23:50:00Z"}}},
            {"name": "d", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
    let cells = row("", "pods", pod);
    assert_eq!(
        cells,
        [
            json!("a"),
            json!("1/2"),
            json!("CrashLoopBackOff"),
            json!("2 (10m ago)"),
            json!("60s"),
            json!("10.0.0.1"),
            json!("n"),
            json!("<none>"),
            json!("<none>")
        ]
    );
    let init = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]},
        "status": {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]}});
    assert_eq!(row("", "pods", init)[2], "Init:0/1");
}

#[test]
fn services_and_deployments() {
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIPs": ["10.96.0.9"],
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}], "selector": {"a": "b"}}});
    assert_eq!(row("", "services", service)[1..5], ["NodePort", "10.96.0.9", "<none>", "80:30080/TCP"]);
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}, "status": {"readyReplicas": 1}});
    let cells = row("apps", "deployments", deployment);
    assert_eq!((cells[1].as_str(), cells[7].as_str()), (Some("1/3"), Some("a=b")));
}

#[test]
fn custom_columns() {
    let printer = [
        json!({"name": "Size", "type": "integer", "jsonPath": ".spec.size"}),
        json!({"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}),
        json!({"name": "None", "type": "string", "jsonPath": ".spec.none"}),
    ];
    let object = json!({"metadata": {"name": "w"}, "spec": {"size": 3},
        "status": {"conditions": [{"type": "X", "status": "False"}, {"type": "Ready", "status": "True"}]}});
    let table = render_custom(&printer, &[object], now());
    assert_eq!(table.rows[0]["cells"], json!(["w", 3, "True", null]));
}

#[test]
fn there_are_no_columns_after_one_that_cannot_be_read() {
    let printer =
        [".spec.a", ".spec.b[", ".spec.c"].map(|path| json!({"name": "A", "type": "string", "jsonPath": path}));
    let table = render_custom(&printer, &[json!({"metadata": {"name": "w"}, "spec": {"a": null}})], now());
    assert_eq!(table.rows[0]["cells"], json!(["w", "<no value>"]));
    assert_eq!(table.columns.as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_left_over() {
    let ingress = |hosts: &[&str]| {
        let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host})).collect();
        row("networking.k8s.io", "ingresses", json!({"metadata": {"name": "i"}, "spec": {"rules": rules}}))[2].clone()
    };
    assert_eq!(ingress(&["", "a", "b", "c"]), "a,b,c");
    assert_eq!(ingress(&["a", "b", "c", ""]), "a,b,c + 1 more...");
    assert_eq!(ingress(&[""]), "*");
    let slice = json!({"metadata": {"name": "s"}, "addressType": "IPv4", "ports": [{"name": ""}, {}]});
    assert_eq!(row("discovery.k8s.io", "endpointslices", slice)[2], ",*");
    let nameless = json!({"metadata": {"name": "s"}, "addressType": "IPv4", "ports": [{"name": ""}]});
    assert_eq!(row("discovery.k8s.io", "endpointslices", nameless)[2], "<unset>");
    let binding = json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "paramRef": {"selector": {
        "matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]}}}});
    assert_eq!(
        row("admissionregistration.k8s.io", "validatingadmissionpolicybindings", binding)[2],
        "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
    );
}

#[test]
fn restarts_of_init_containers_count_up_to_the_one_that_holds_the_pod_up() {
    let init = |name: &str, state: Value| json!({"name": name, "restartCount": 2, "state": state});
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}, {"name": "k"}]},
        "status": {"phase": "Pending", "initContainerStatuses": [
            init("i", json!({"terminated": {"exitCode": 0}})),
            init("j", json!({"terminated": {"exitCode": 1}})),
            init("k", json!({"waiting": {"reason": "PodInitializing"}}))]}});
    assert_eq!(row("", "pods", pod)[2..4], ["Init:ExitCode:1", "4"]);
}

#[test]
fn metrics_of_an_autoscaler_that_lack_their_current_value() {
    let scaler = |current: Value| {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}});
        let external = json!({"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "2"}}});
        row(
            "autoscaling",
            "horizontalpodautoscalers",
            json!({"metadata": {"name": "a"}, "spec": {"metrics": [metric, external]},
            "status": {"currentMetrics": current}}),
        )[2]
        .clone()
    };
    assert_eq!(scaler(json!([])), "cpu: <unknown>/1, <unknown>/2 (avg)");
    let empty =
        json!([{"type": "Resource", "resource": {"current": {}}}, {"type": "External", "external": {"current": {}}}]);
    assert_eq!(scaler(empty), "cpu: <nil>/1, <unknown>/2 (avg)");
}
