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
