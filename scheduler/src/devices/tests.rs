use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceSlice};
use serde_json::{Value, json};

use super::*;
use crate::testing::node;

fn claim(name: &str, spec: Value) -> ResourceClaim {
    serde_json::from_value(
        json!({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {"devices": spec}}),
    )
    .unwrap()
}

fn pod(claims: &[&str]) -> Pod {
    let entries: Vec<Value> = claims.iter().map(|name| json!({"name": name, "resourceClaimName": name})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "default", "uid": "p"},
        "spec": {"containers": [], "resourceClaims": entries},
    }))
    .unwrap()
}

fn slice(name: &str, place: Value, devices: Value) -> ResourceSlice {
    let mut spec = json!({"driver": "d.example.com", "devices": devices,
        "pool": {"name": name, "generation": 1, "resourceSliceCount": 1}});
    for (field, value) in place.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

fn known(claims: Vec<ResourceClaim>, slices: Vec<ResourceSlice>) -> Devices {
    let mut devices = Devices::default();
    let class = json!({"metadata": {"name": "gpu"}, "spec": {
        "selectors": [{"cel": {"expression": "device.driver == 'd.example.com'"}}],
        "config": [{"opaque": {"driver": "d.example.com", "parameters": {"a": 1}}}],
    }});
    devices.set_class("gpu", Some(Arc::new(serde_json::from_value(class).unwrap())));
    for claim in claims {
        devices.set_claim(Arc::new(claim));
    }
    for slice in slices {
        devices.set_slice(&slice.metadata.name.clone().unwrap_or_default(), Some(Arc::new(slice)));
    }
    devices
}

fn n1() -> Node {
    node("n1", &json!({"zone": "a"}), &json!({}))
}

fn exactly(extra: Value) -> Value {
    let mut request = json!({"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1});
    for (field, value) in extra.as_object().into_iter().flatten() {
        request[field] = value.clone();
    }
    json!({"requests": [{"name": "r", "exactly": request}]})
}

/// The names of the devices that one claim gets on `n1`, or why it gets none.
fn given(devices: &Devices, claim: &str) -> Result<Vec<String>, String> {
    let wanted = Wanted::new(&pod(&[claim]), devices).map_err(|obstacle| format!("{obstacle:?}"))?;
    wanted.check(&n1())?;
    let assigned = wanted.assign(&n1());
    let allocation = assigned[0].allocation.as_ref().and_then(|allocation| allocation.devices.as_ref());
    Ok(allocation.iter().flat_map(|of| of.results.iter().flatten()).map(|result| result.device.clone()).collect())
}

const CANNOT: &str = "cannot allocate all claims";

#[test]
fn devices_of_the_node_are_given_with_their_configuration() {
    let slices = vec![
        slice("far", json!({"nodeName": "n2"}), json!([{"name": "x"}])),
        slice(
            "near",
            json!({"nodeName": "n1"}),
            json!([{"name": "a", "attributes": {"model": {"string": "old"}}}, {"name": "b"}]),
        ),
    ];
    let selector = json!([{"cel": {"expression": "has(device.attributes['d.example.com'].model)"}}]);
    let devices = known(
        vec![claim("c", exactly(json!({"selectors": selector}))), claim("d", exactly(json!({"count": 3})))],
        slices,
    );
    assert_eq!(given(&devices, "d"), Err(CANNOT.to_owned()));
    let assigned = Wanted::new(&pod(&["c"]), &devices).ok().unwrap().assign(&n1());
    let allocation = serde_json::to_value(assigned[0].allocation.as_ref().unwrap()).unwrap();
    assert_eq!(
        allocation,
        json!({
            "devices": {
                "results": [{"request": "r", "driver": "d.example.com", "pool": "near", "device": "a"}],
                "config": [{"source": "FromClass", "requests": ["r"], "opaque": {"driver": "d.example.com", "parameters": {"a": 1}}}],
            },
            "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]},
        })
    );
}

#[test]
fn what_is_given_or_promised_is_not_given_again() {
    let slices = vec![slice("near", json!({"nodeName": "n1"}), json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]))];
    let mut taken = claim("t", exactly(json!({})));
    let allocation =
        json!({"devices": {"results": [{"request": "r", "driver": "d.example.com", "pool": "near", "device": "a"}]}});
    taken.status = serde_json::from_value(json!({"allocation": allocation})).unwrap();
    let mut devices =
        known(vec![taken, claim("c", exactly(json!({}))), claim("d", exactly(json!({"count": 2})))], slices);
    assert_eq!(given(&devices, "c"), Ok(vec!["b".to_owned()]));
    assert_eq!(given(&devices, "d"), Ok(vec!["b".to_owned(), "c".to_owned()]));
    let promised = Wanted::new(&pod(&["c"]), &devices).ok().unwrap().assign(&n1()).remove(0);
    devices.promise("c", promised.allocation.unwrap());
    assert_eq!(given(&devices, "d"), Err(CANNOT.to_owned()));
    assert_eq!(given(&devices, "c"), Err("NotYet".to_owned()));
    assert!(devices.withdraw("c"));
    assert_eq!(given(&devices, "d").map(|found| found.len()), Ok(2));
    // Who only looks after devices may have those of others.
    devices
        .set_claim(Arc::new(claim("e", exactly(json!({"adminAccess": true, "allocationMode": "All", "count": null})))));
    assert_eq!(given(&devices, "e").map(|found| found.len()), Ok(3));
}

#[test]
fn alternatives_are_tried_in_order_and_all_means_all() {
    let slices = vec![slice("near", json!({"allNodes": true}), json!([{"name": "a"}, {"name": "b"}]))];
    let many = json!({"name": "many", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 5});
    let all = json!({"name": "all", "deviceClassName": "gpu", "allocationMode": "All"});
    let spec = json!({"requests": [{"name": "r", "firstAvailable": [many, all]}]});
    let devices = known(vec![claim("c", spec)], slices);
    let assigned = Wanted::new(&pod(&["c"]), &devices).ok().unwrap().assign(&n1());
    let allocation = serde_json::to_value(assigned[0].allocation.as_ref().unwrap()).unwrap();
    let requests: Vec<&Value> =
        allocation["devices"]["results"].as_array().unwrap().iter().map(|of| &of["request"]).collect();
    assert_eq!(requests, ["r/all", "r/all"]);
    assert_eq!(allocation["nodeSelector"], Value::Null);
}

#[test]
fn constraints_and_taints_narrow_the_choice() {
    let numa = |number: i64| json!({"numa": {"int": number}});
    let taint = json!([{"key": "broken", "effect": "NoSchedule"}]);
    let offered = json!([
        {"name": "a", "attributes": numa(0)}, {"name": "b", "attributes": numa(1), "taints": taint},
        {"name": "c", "attributes": numa(1)}, {"name": "d", "attributes": numa(0)},
    ]);
    let two = |constraint: Value| {
        let mut spec = exactly(json!({"count": 2}));
        spec["constraints"] = json!([constraint]);
        spec
    };
    let same = two(json!({"matchAttribute": "d.example.com/numa"}));
    let other = two(json!({"distinctAttribute": "d.example.com/numa"}));
    let bearing = exactly(json!({"count": 4, "tolerations": [{"operator": "Exists"}]}));
    let claims = vec![
        claim("same", same),
        claim("other", other),
        claim("bearing", bearing),
        claim("four", exactly(json!({"count": 4}))),
    ];
    let devices = known(claims, vec![slice("near", json!({"nodeName": "n1"}), offered)]);
    assert_eq!(given(&devices, "same"), Ok(vec!["a".to_owned(), "d".to_owned()]));
    assert_eq!(given(&devices, "other"), Ok(vec!["a".to_owned(), "c".to_owned()]));
    assert_eq!(given(&devices, "bearing").map(|found| found.len()), Ok(4));
    assert_eq!(given(&devices, "four"), Err(CANNOT.to_owned()));
}

#[test]
fn parts_of_a_device_do_not_go_with_the_whole() {
    let takes = |amount: &str| json!([{"counterSet": "s", "counters": {"memory": {"value": amount}}}]);
    let offered = json!([
        {"name": "whole", "consumesCounters": takes("40Gi")},
        {"name": "half-0", "consumesCounters": takes("20Gi")}, {"name": "half-1", "consumesCounters": takes("20Gi")},
    ]);
    let place = json!({"nodeName": "n1", "sharedCounters": [{"name": "s", "counters": {"memory": {"value": "40Gi"}}}]});
    let claims = vec![
        claim("one", exactly(json!({}))),
        claim("two", exactly(json!({"count": 2}))),
        claim("three", exactly(json!({"count": 3}))),
    ];
    let devices = known(claims, vec![slice("near", place, offered)]);
    assert_eq!(given(&devices, "one"), Ok(vec!["whole".to_owned()]));
    assert_eq!(given(&devices, "two"), Ok(vec!["half-0".to_owned(), "half-1".to_owned()]));
    assert_eq!(given(&devices, "three"), Err(CANNOT.to_owned()));
}

#[test]
fn several_claims_have_shares_of_one_device() {
    let policy = json!({"default": "1Gi", "validRange": {"min": "1Gi", "step": "1Gi"}});
    let offered = json!([{"name": "a", "allowMultipleAllocations": true, "capacity": {"memory": {"value": "3Gi", "requestPolicy": policy}}}]);
    let asking = |amount: &str| exactly(json!({"capacity": {"requests": {"memory": amount}}}));
    let claims = vec![claim("c", asking("1500Mi")), claim("d", asking("2Gi")), claim("e", asking("1Gi"))];
    let mut devices = known(claims, vec![slice("near", json!({"nodeName": "n1"}), offered)]);
    let first = Wanted::new(&pod(&["c"]), &devices).ok().unwrap().assign(&n1()).remove(0).allocation.unwrap();
    let result = serde_json::to_value(&first).unwrap()["devices"]["results"][0].clone();
    assert_eq!(result["consumedCapacity"], json!({"memory": "2Gi"}));
    assert!(result["shareID"].is_string());
    devices.promise("c", first);
    assert_eq!(given(&devices, "d"), Err(CANNOT.to_owned()));
    assert_eq!(given(&devices, "e"), Ok(vec!["a".to_owned()]));
}

#[test]
fn devices_that_bind_and_have_conditions_say_so() {
    let offered = json!([{"name": "a", "bindsToNode": true, "bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]}]);
    let devices = known(vec![claim("c", exactly(json!({})))], vec![slice("near", json!({"allNodes": true}), offered)]);
    let assigned = Wanted::new(&pod(&["c"]), &devices).ok().unwrap().assign(&n1()).remove(0);
    let allocation = serde_json::to_value(assigned.allocation.unwrap()).unwrap();
    assert_eq!(allocation["devices"]["results"][0]["bindingConditions"], json!(["ready"]));
    assert_eq!(allocation["devices"]["results"][0]["bindingFailureConditions"], json!(["failed"]));
    assert_eq!(allocation["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"][0]["values"], json!(["n1"]));
}

#[test]
fn claims_that_are_not_there_are_waited_for() {
    let devices =
        known(vec![claim("c", json!({"requests": [{"name": "r", "exactly": {"deviceClassName": "no"}}]}))], vec![]);
    assert_eq!(given(&devices, "missing"), Err("NotYet".to_owned()));
    assert_eq!(given(&devices, "c"), Err("Never(\"request r: device class no does not exist\")".to_owned()));
    assert!(Wanted::new(&pod(&[]), &devices).is_ok_and(|wanted| wanted.is_nothing()));
}

#[test]
fn pools_that_are_being_changed_offer_nothing() {
    let mut half = slice("near", json!({"nodeName": "n1"}), json!([{"name": "a"}]));
    half.spec.pool.resource_slice_count = 2;
    let all = exactly(json!({"allocationMode": "All", "count": null}));
    let devices = known(vec![claim("c", exactly(json!({}))), claim("d", all)], vec![half]);
    assert_eq!(given(&devices, "c"), Err(CANNOT.to_owned()));
    let why = "request r: asks for all devices, but resource pool d.example.com/near is currently being updated";
    assert_eq!(given(&devices, "d"), Err(why.to_owned()));
}

#[test]
fn idle_claims_elsewhere_are_given_up() {
    let mut there = claim("c", exactly(json!({})));
    let by_name = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}]);
    let user = json!({"resource": "pods", "name": "p", "uid": "p"});
    let status = json!({"allocation": {"nodeSelector": {"nodeSelectorTerms": by_name}}, "reservedFor": [user]});
    there.status = serde_json::from_value(status).unwrap();
    let devices = known(vec![there], vec![]);
    let pod = pod(&["c"]);
    let wanted = Wanted::new(&pod, &devices).ok().unwrap();
    assert_eq!(wanted.check(&n1()), Err("resourceclaim not available on the node".to_owned()));
    assert!(wanted.to_deallocate("p", std::iter::once(&n1())).is_some());
    assert!(wanted.to_deallocate("other", std::iter::once(&n1())).is_none());
}

#[test]
fn first_choices_are_liked_best() {
    let big = json!([{"name": "x", "attributes": {"big": {"bool": true}}}]);
    let slices = vec![
        slice("far", json!({"nodeName": "n2"}), big),
        slice("near", json!({"nodeName": "n1"}), json!([{"name": "a"}])),
    ];
    let selector = json!([{"cel": {"expression": "has(device.attributes['d.example.com'].big)"}}]);
    let first = json!({"name": "big", "deviceClassName": "gpu", "count": 1, "selectors": selector});
    let second = json!({"name": "any", "deviceClassName": "gpu", "count": 1});
    let choice = json!({"requests": [{"name": "r", "firstAvailable": [first, second]}]});
    let devices = known(vec![claim("c", choice), claim("d", exactly(json!({})))], slices);
    let liking = |claim: &str| {
        let wanted = Wanted::new(&pod(&[claim]), &devices).ok().unwrap();
        [wanted.preference(&n1()), wanted.preference(&node("n2", &json!({}), &json!({})))]
    };
    assert_eq!(liking("c"), [7, 8]);
    assert_eq!(liking("d"), [0, 0]);
}
