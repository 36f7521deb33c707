use serde_json::json;

use super::*;
use crate::strategy::testing::{Objects, context, with_objects};

fn service(spec: Value) -> Value {
    let mut full = json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]});
    for (field, value) in spec.as_object().into_iter().flatten() {
        full[field] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "n"}, "spec": full})
}

#[test]
fn an_address_and_ports_are_allocated_and_guarded() {
    let mut object = service(json!({"type": "NodePort", "externalTrafficPolicy": "Cluster"}));
    let writes = context("", "services", |cx| Service.allocate(cx, &mut object, None)).expect("there is room");
    assert_eq!(object["spec"]["clusterIP"], object["spec"]["clusterIPs"][0]);
    assert!(object["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.96.")));
    assert!(object["spec"]["ports"][0]["nodePort"].as_i64().is_some_and(|port| (30_000..=32_767).contains(&port)));
    assert_eq!(object["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(writes.len(), 2, "an address and a port are marked as taken");
    assert_eq!(Service.release(&fake(), &object).len(), 2, "and are free again");
}

fn fake() -> Context<'static> {
    use std::sync::LazyLock;
    static ROW: LazyLock<mainstay_api::resource::Resource> = LazyLock::new(Default::default);
    static USER: LazyLock<crate::user::UserInfo> = LazyLock::new(|| crate::user::UserInfo {
        name: String::new(),
        uid: String::new(),
        groups: Vec::new(),
        extra: Default::default(),
    });
    static READER: Objects = Objects(Vec::new());
    Context {
        resource: &ROW,
        subresource: "",
        namespace: "n",
        name: "a",
        user: &USER,
        now: jiff::Timestamp::UNIX_EPOCH,
        reader: &READER,
        dry_run: false,
    }
}

#[test]
fn endpoints_go_with_their_service() {
    let endpoints = |finalizers: Value| {
        let metadata = json!({"name": "a", "namespace": "n", "finalizers": finalizers});
        Objects(vec![("", "endpoints", json!({"metadata": metadata}))])
    };
    let freed = |objects: &Objects| {
        with_objects("", "services", objects, |cx| Service.release(cx, &service(json!({"clusterIP": "None"}))))
    };
    let delete =
        SideWrite::Delete { group: "", resource: "endpoints", namespace: "n".to_owned(), name: "a".to_owned() };
    assert_eq!(freed(&endpoints(json!([]))), [delete]);
    assert!(freed(&endpoints(json!(["example.com/f"]))).is_empty());
    assert!(freed(&Objects::default()).is_empty());
}

#[test]
fn a_policy_that_is_left_out_stays() {
    let address = json!({"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "ipFamilies": ["IPv4"]});
    let mut old = service(address.clone());
    old["spec"]["ipFamilyPolicy"] = "PreferDualStack".into();
    let mut object = service(address);
    context("", "services", |cx| Service.allocate(cx, &mut object, Some(&old))).expect("it has all it needs");
    assert_eq!(object["spec"]["ipFamilyPolicy"], "PreferDualStack");
}

#[test]
fn what_is_taken_is_refused() {
    let mut other = service(json!({"type": "NodePort"}));
    other["metadata"]["name"] = "b".into();
    other["spec"]["ports"][0]["nodePort"] = 30_061.into();
    let objects = Objects(vec![("", "services", other)]);
    let mut object = service(json!({"type": "NodePort"}));
    object["spec"]["ports"][0]["nodePort"] = 30_061.into();
    let refused =
        with_objects("", "services", &objects, |cx| Service.allocate(cx, &mut object, None)).expect_err("taken");
    assert_eq!(
        refused.message,
        "Service \"a\" is invalid: spec.ports[0].nodePort: Invalid value: 30061: provided port is already allocated"
    );
}

#[test]
fn a_headless_service_gets_no_address() {
    let mut object = service(json!({"clusterIP": "None", "selector": {"a": "b"}}));
    let writes = context("", "services", |cx| Service.allocate(cx, &mut object, None)).expect("nothing to allocate");
    assert!(writes.is_empty());
    assert_eq!(object["spec"]["clusterIPs"], json!(["None"]));
}

#[test]
fn fields_that_do_not_go_together() {
    let errors = |spec: Value| -> Vec<String> {
        context("", "services", |cx| {
            Service.validate_create(cx, &service(spec)).iter().map(ToString::to_string).collect()
        })
    };
    assert_eq!(errors(json!({})), Vec::<String>::new());
    assert_eq!(errors(json!({"ports": []})), ["spec.ports: Required value"]);
    assert_eq!(
        errors(json!({"loadBalancerClass": "a"})),
        ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"]
    );
}

/// Allocates in a dry run.
fn rehearsed(object: &mut Value, old: Option<&Value>) -> ApiResult<()> {
    let mut other = service(json!({"type": "NodePort"}));
    other["metadata"]["name"] = "b".into();
    other["spec"]["ports"][0]["nodePort"] = 30_061.into();
    let objects = Objects(vec![("", "services", other)]);
    with_objects("", "services", &objects, |cx| {
        Service.allocate(&Context { dry_run: true, ..*cx }, object, old).map(|_| ())
    })
}

fn node_ports(object: &Value) -> Vec<i64> {
    At::spec(object).get("ports").items().map(|at| at.get("nodePort").int()).collect()
}

#[test]
fn a_dry_run_draws_nothing() {
    let port = |number: i64, node: i64| json!({"name": format!("p{number}"), "port": number, "protocol": "TCP", "nodePort": node});
    let mut object = service(json!({"type": "NodePort", "ports": [port(80, 0), port(81, 0)]}));
    rehearsed(&mut object, None).expect("there is room");
    assert_eq!(object["spec"]["clusterIP"], "10.96.0.0");
    assert_eq!(node_ports(&object), [32_769, 32_770]);

    let mut object = service(json!({"type": "NodePort", "ports": [port(80, 20), port(81, 0)]}));
    rehearsed(&mut object, None).expect("no range is looked at");
    assert_eq!(node_ports(&object), [20, 21]);

    let mut object = service(json!({"type": "NodePort", "ports": [port(80, 0), port(80, 40), port(81, 30)]}));
    rehearsed(&mut object, None).expect("ports of one number share a node port");
    assert_eq!(node_ports(&object), [40, 40, 30]);

    let old = service(json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"]}));
    let mut object = service(json!({"type": "NodePort", "ports": [port(81, 0)]}));
    for field in ["clusterIP", "clusterIPs", "ipFamilies"] {
        object["spec"][field] = old["spec"][field].clone();
    }
    rehearsed(&mut object, Some(&old)).expect("there is room");
    assert_eq!(object["spec"]["clusterIP"], "10.96.0.9");
    assert_eq!(node_ports(&object), [32_769]);
}

#[test]
fn a_dry_run_refuses_ports_of_others_and_addresses_of_other_networks() {
    let mut object = service(json!({"type": "NodePort"}));
    object["spec"]["ports"][0]["nodePort"] = 30_061.into();
    let refused = rehearsed(&mut object, None).expect_err("taken");
    assert_eq!(
        refused.message,
        "Service \"a\" is invalid: spec.ports[0].nodePort: Invalid value: 30061: provided port is already allocated"
    );
    let mut object = service(json!({"clusterIP": "10.97.0.1"}));
    let refused = rehearsed(&mut object, None).expect_err("elsewhere");
    assert_eq!(
        refused.message,
        "Service \"a\" is invalid: spec.clusterIPs: Invalid value: [\"10.97.0.1\"]: failed to allocate IP 10.97.0.1: the provided IP (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
    );
}

#[test]
fn a_changed_service_has_a_node_port_once_for_a_protocol() {
    let old = service(json!({"type": "NodePort"}));
    let mut object = service(json!({"type": "NodePort"}));
    object["spec"]["ports"] = json!([
        {"name": "a", "port": 80, "protocol": "TCP", "nodePort": 30_062},
        {"name": "b", "port": 81, "protocol": "TCP", "nodePort": 30_062},
    ]);
    let refused = context("", "services", |cx| Service.allocate(cx, &mut object, Some(&old))).expect_err("twice");
    assert_eq!((refused.code, &*refused.message), (500, "duplicate nodePort: {TCP 30062}"));
}
