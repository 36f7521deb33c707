use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::types::type_of;

fn deployment() -> &'static Type {
    type_of("apps", "v1", "Deployment").unwrap()
}

fn live() -> Value {
    json!({"metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["a/a", "a/b"]}, "spec": {
        "replicas": 2,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {"spec": {
            "containers": [
                {"name": "c", "image": "c:1", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                {"name": "d", "image": "d:1"}],
            "tolerations": [{"key": "k"}]}}}})
}

fn patched(patch: Value) -> Value {
    apply(&live(), &patch, deployment()).unwrap()
}

fn pod_spec(patch: Value) -> Value {
    patched(json!({"spec": {"template": {"spec": patch}}}))["spec"]["template"]["spec"].clone()
}

fn error(patch: Value) -> (u16, String) {
    let status = apply(&live(), &patch, deployment()).unwrap_err();
    (status.code, status.message.into_owned())
}

#[test]
fn merges_lists_by_key() {
    let spec = pod_spec(
        json!({"containers": [{"name": "d", "image": "d:2"}, {"name": "n", "image": "n:1"}], "tolerations": []}),
    );
    assert_eq!(spec["containers"][0]["name"], "c");
    assert_eq!(spec["containers"][1], json!({"name": "d", "image": "d:2"}));
    assert_eq!(spec["containers"][2]["name"], "n");
    assert_eq!(spec["tolerations"], json!([]));
    let spec = pod_spec(json!({"containers": [{"name": "c", "args": ["z"], "env": [{"name": "A", "value": "9"}]}]}));
    assert_eq!(spec["containers"][0]["args"], json!(["z"]));
    assert_eq!(spec["containers"][0]["env"], json!([{"name": "A", "value": "9"}, {"name": "B", "value": "2"}]));
}

#[test]
fn directives() {
    let spec = pod_spec(json!({"containers": [{"name": "d", "$patch": "delete"}]}));
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    let spec = pod_spec(json!({"containers": [{"name": "n", "image": "n:1"}, {"$patch": "replace"}]}));
    assert_eq!(spec["containers"], json!([{"name": "n", "image": "n:1"}]));
    assert_eq!(
        patched(json!({"metadata": {"labels": {"$patch": "replace", "y": "2"}}}))["metadata"]["labels"],
        json!({"y": "2"})
    );
    assert_eq!(patched(json!({"spec": {"strategy": {"$patch": "delete"}}}))["spec"]["strategy"], json!({}));
    let union = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(patched(union)["spec"]["strategy"], json!({"type": "Recreate"}));
    let removed = patched(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"]}}));
    assert_eq!(removed["metadata"]["finalizers"], json!(["a/b"]));
    let added = patched(json!({"metadata": {"finalizers": ["a/c"]}}));
    assert_eq!(added["metadata"]["finalizers"], json!(["a/c", "a/a", "a/b"]));
}

#[test]
fn element_order() {
    let spec = pod_spec(json!({"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}]}));
    assert_eq!(spec["containers"][0]["name"], "d");
    let spec = pod_spec(json!({
        "$setElementOrder/containers": [{"name": "n"}, {"name": "c"}, {"name": "d"}],
        "containers": [{"name": "n", "image": "n:1"}]}));
    let names: Vec<&str> = spec["containers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["n", "c", "d"]);
    // Where nothing is yet, a directive finds nothing to do.
    let spec = pod_spec(json!({
        "$setElementOrder/volumes": [{"name": "v"}],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "$patch": "delete"}]}));
    assert_eq!(spec["volumes"], json!([{"name": "v", "emptyDir": {}}]));
}

#[test]
fn errors() {
    let containers = |list: Value| json!({"spec": {"template": {"spec": {"containers": list}}}});
    assert_eq!(
        error(containers(json!([{"name": "c", "$patch": "explode"}]))),
        (500, "unknown patch type: explode in map: map[$patch:explode name:c]".to_owned())
    );
    assert_eq!(
        error(containers(json!([{"image": "noname"}]))),
        (500, "map: map[image:noname] does not contain declared merge key: name".to_owned())
    );
    assert_eq!(error(json!({"$patch": "what"})).1, "unknown patch type: what in map: map[$patch:what]");
    assert_eq!(error(json!({"$patch": 3})).1, "unknown patch type: %!s(int64=3) in map: map[$patch:3]");
    assert_eq!(error(json!({"$patch": null})).1, "unknown patch type: %!s(<nil>) in map: map[$patch:<nil>]");
    assert!(
        error(containers(json!(["c"])))
            .1
            .starts_with("list element types are not identical: [[map[args:[x y] env:[map[name:A value:1]")
    );
    let retain = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "R", "rollingUpdate": {}}}});
    assert_eq!(error(retain), (400, "invalid patch format of retainKeys".to_owned()));
    let order = json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "c"}], "containers": [{"name": "zz", "image": "q:1"}]}}}});
    assert_eq!(
        error(order).1,
        "The order in patch list:\n[map[image:q:1 name:zz]]\n doesn't match $setElementOrder list:\n[map[name:c]]\n"
    );
    let ordered = |order: Value, list: Value| {
        error(json!({"spec": {"template": {"spec": {"$setElementOrder/containers": order, "containers": list}}}})).1
    };
    let directives = json!([{"name": "c"}, {"name": "d", "$patch": "delete"}, {"name": "d", "$patch": "merge"}]);
    assert_eq!(
        ordered(json!([{"name": "c"}]), directives),
        "The order in patch list:\n[map[name:c] map[$patch:delete name:d] map[$patch:merge name:d]]\n doesn't match $setElementOrder list:\n[map[name:c]]\n"
    );
    assert_eq!(
        ordered(json!([{"name": "c"}]), json!([{"name": "c"}, null])),
        "expected a map[string]interface {}, but received a %!s(<nil>)"
    );
    assert_eq!(
        error(json!({"metadata": {"$setElementOrder": null}})).1,
        "expected a []interface {}, but received a %!s(<nil>)"
    );
    assert_eq!(error(json!({"metadata": {"$setElementOrder": []}})).0, 400);
    assert_eq!(error(json!([])).1, "json: cannot unmarshal array into Go value of type map[string]interface {}");
}

#[test]
fn what_replaces_as_a_whole_is_taken_as_it_stands() {
    let spec = pod_spec(json!({"tolerations": [{"$patch": "replace"}, {"key": "n"}]}));
    assert_eq!(spec["tolerations"], json!([{"$patch": "replace"}, {"key": "n"}]));
    // So is a new element of a keyed list, but not what was not there at all.
    let spec = pod_spec(json!({"containers": [{"name": "n", "$setElementOrder/env": []}]}));
    assert_eq!(spec["containers"][0], json!({"name": "n", "$setElementOrder/env": []}));
    let volumes = json!([{"name": "v", "$retainKeys": ["name"], "csi": null}, {"name": "w", "$patch": "delete"}]);
    assert_eq!(pod_spec(json!({"volumes": volumes}))["volumes"], json!([{"name": "v", "$retainKeys": ["name"]}]));
}

#[test]
fn scalars_are_deleted_from_lists_that_replace_too() {
    let spec = pod_spec(json!({"containers": [{"name": "c", "$deleteFromPrimitiveList/args": ["x"]}]}));
    assert_eq!(spec["containers"][0]["args"], json!(["y"]));
    let kept = patched(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a/a"}}));
    assert_eq!(kept["metadata"]["finalizers"], json!(["a/a", "a/b"]));
}

#[test]
fn a_patch_does_not_change_the_type() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}});
    let patch = json!({"apiVersion": "apps/v2", "kind": null, "metadata": {"labels": {"x": "1"}}});
    let patched = apply(&object, &patch, deployment()).unwrap();
    assert_eq!((&patched["apiVersion"], &patched["kind"]), (&object["apiVersion"], &object["kind"]));
    assert_eq!(patched["metadata"]["labels"], json!({"x": "1"}));
}

#[test]
fn orders_that_do_not_fit() {
    let refused = |patch: Value| error(json!({"spec": {"template": {"spec": patch}}}));
    let told = |text: &str| (500, text.to_owned());
    assert_eq!(refused(json!({"$setElementOrder/containers": ["c"]})), told("value for key 0 is not a map"));
    assert_eq!(
        refused(json!({"$setElementOrder/containers": [{"image": "c"}]})),
        told("map: map[image:c] does not contain declared merge key: name")
    );
    assert_eq!(
        refused(json!({"$setElementOrder/nope": [{"name": "c"}]})),
        told("unable to find api field in struct PodSpec for the json field \"nope\"")
    );
    assert_eq!(
        refused(json!({"$setElementOrder/volumes": [], "volumes": []})),
        told("no elements in any of the given slices")
    );
    assert_eq!(
        refused(json!({"$setElementOrder/volumes": [{"csi": {}}], "volumes": []})),
        told("no elements in any of the given slices")
    );
}

fn objects() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-C]", "[0-9]", 0..3)
        .prop_map(|env| env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>());
    let container =
        (env, prop::collection::vec("[a-c]", 0..3)).prop_map(|(env, args)| json!({"env": env, "args": args}));
    (
        prop::collection::hash_map("[a-d]", container, 0..4),
        prop::collection::btree_map("[a-c]", "[0-9]", 0..3),
        prop::collection::hash_set("[a-d]/[a-c]", 0..4),
        prop::bool::ANY,
    )
        .prop_map(|(containers, labels, finalizers, recreate)| {
            let containers: Vec<Value> = containers
                .into_iter()
                .map(|(name, mut container)| {
                    container["name"] = name.into();
                    container
                })
                .collect();
            let strategy = if recreate {
                json!({"type": "Recreate"})
            } else {
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})
            };
            json!({
                "metadata": {"labels": labels, "finalizers": finalizers.into_iter().collect::<Vec<_>>()},
                "spec": {"strategy": strategy, "template": {"spec": {"containers": containers}}}})
        })
}

proptest! {
    #[test]
    fn a_diff_applied_gives_the_other_object(original in objects(), modified in objects()) {
        let patch = create_two_way(&original, &modified, deployment());
        prop_assert_eq!(apply(&original, &patch, deployment()).unwrap(), modified);
    }
}
