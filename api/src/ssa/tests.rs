use serde_json::json;

use super::*;
use crate::types::type_of;

fn config_map() -> Schema<'static> {
    Schema::Struct(type_of("", "v1", "ConfigMap").unwrap())
}

fn write<'a>(schema: Schema<'a>, manager: &'a str, ignored: &'a FieldSet) -> Write<'a> {
    let api_version = match schema {
        Schema::Struct(of) if of.gvk.is_some_and(|[group, ..]| group == "apps") => "apps/v1",
        Schema::Custom(_) => "example.com/v1",
        _ => "v1",
    };
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    Write { schema, manager, api_version, subresource: "", ignored, now }
}

fn applied(live: Option<&Value>, config: Value, schema: Schema<'_>, manager: &str, force: bool) -> ApiResult<Value> {
    apply(live, &config, &write(schema, manager, &FieldSet::default()), force)
}

fn updated(old: Option<&Value>, mut new: Value, schema: Schema<'_>, manager: &str) -> Value {
    if let Some(old) = old {
        new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
    }
    track_update(old, &mut new, &write(schema, manager, &FieldSet::default()));
    new
}

fn cm(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

fn fields(object: &Value, at: usize) -> &Value {
    &object["metadata"]["managedFields"][at]["fieldsV1"]
}

#[test]
fn an_apply_owns_what_it_sets() {
    let object = applied(None, cm(json!({"a": "1"})), config_map(), "mgr", false).unwrap();
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{"manager": "mgr", "operation": "Apply", "apiVersion": "v1", "time": "2024-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}])
    );
    let object = applied(Some(&object), cm(json!({"b": "2"})), config_map(), "mgr", false).unwrap();
    assert_eq!(object["data"], json!({"b": "2"}));
    assert_eq!(fields(&object, 0), &json!({"f:data": {"f:b": {}}}));
}

#[test]
fn times_without_a_value_belong_to_nobody() {
    let event = Schema::Struct(type_of("", "v1", "Event").unwrap());
    let new = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a"}, "involvedObject": {},
        "source": {}, "reason": "r", "reportingComponent": "", "reportingInstance": "",
        "eventTime": null, "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": null});
    let made = updated(None, new, event, "mgr");
    assert_eq!(fields(&made, 0), &json!({"f:firstTimestamp": {}, "f:reason": {}}));
}

#[test]
fn fields_of_two_appliers_survive_one_of_them() {
    let one = applied(None, cm(json!({"a": "1", "b": "1"})), config_map(), "one", false).unwrap();
    let two = applied(Some(&one), cm(json!({"a": "1"})), config_map(), "two", false).unwrap();
    let less = applied(Some(&two), cm(json!({})), config_map(), "one", false).unwrap();
    assert_eq!(less["data"], json!({"a": "1"}));
    assert_eq!(fields(&less, 1), &json!({"f:data": {}}), "entries without a time come first");
    assert!(two["metadata"]["managedFields"][0].get("time").is_none(), "an apply without effect leaves no time");
}

#[test]
fn conflicts_name_manager_and_field() {
    let live = applied(None, cm(json!({"a": "1"})), config_map(), "one", false).unwrap();
    let status = applied(Some(&live), cm(json!({"a": "2"})), config_map(), "two", false).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    let cause = &status.details.unwrap().causes[0];
    assert_eq!((cause.reason.as_str(), cause.field.as_str()), ("FieldManagerConflict", ".data.a"));
    let forced = applied(Some(&live), cm(json!({"a": "2"})), config_map(), "two", true).unwrap();
    assert_eq!(forced["metadata"]["managedFields"].as_array().unwrap().len(), 1);
    assert_eq!(forced["data"]["a"], "2");

    let live = updated(None, cm(json!({"a": "1", "b": "1"})), config_map(), "up");
    let status = applied(Some(&live), cm(json!({"a": "2", "b": "2"})), config_map(), "two", false).unwrap_err();
    assert_eq!(status.message, "Apply failed with 2 conflicts: conflicts with \"up\" using v1:\n- .data.a\n- .data.b");
}

#[test]
fn updates_own_what_they_change() {
    let object = updated(None, cm(json!({"a": "1"})), config_map(), "up");
    assert_eq!(fields(&object, 0), &json!({"f:data": {".": {}, "f:a": {}}}));
    let mut new = object.clone();
    new["data"] = json!({"b": "2"});
    new["metadata"]["labels"] = json!({"l": "1"});
    let object = updated(Some(&object), new, config_map(), "other");
    assert_eq!(fields(&object, 1), &json!({"f:data": {}}));
    assert_eq!(fields(&object, 0), &json!({"f:data": {"f:b": {}}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}}));
}

fn deployment() -> Schema<'static> {
    Schema::Struct(type_of("apps", "v1", "Deployment").unwrap())
}

fn pods(containers: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}}})
}

#[test]
fn typed_sets_are_those_of_kubernetes() {
    let config = pods(json!([{"name": "c", "image": "i"}]));
    let object = applied(None, config.clone(), deployment(), "mgr", false).unwrap();
    assert_eq!(
        fields(&object, 0),
        &json!({"f:spec": {"f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}}}}}})
    );
    let mut created = config;
    created["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    created["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    created["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    created["status"] = json!({});
    let object = updated(None, created, deployment(), "up");
    assert_eq!(
        fields(&object, 0),
        &json!({"f:spec": {"f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {
                "k:{\"name\":\"c\"}": {".": {}, "f:env": {".": {}, "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}},
                    "f:image": {}, "f:name": {}, "f:resources": {}}}}}}})
    );
}

#[test]
fn keyed_lists_merge_in_order_and_lose_their_elements() {
    let list = |names: &[&str]| pods(names.iter().map(|name| json!({"name": name, "image": "i"})).collect());
    let names = |object: &Value| -> Vec<String> {
        let list = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        list.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let one = applied(None, list(&["a", "b"]), deployment(), "one", false).unwrap();
    let two = applied(Some(&one), list(&["c", "b"]), deployment(), "two", false).unwrap();
    assert_eq!(names(&two), ["a", "c", "b"]);
    let less = applied(Some(&two), list(&["a"]), deployment(), "one", false).unwrap();
    assert_eq!(names(&less), ["a", "c", "b"]);
    let gone = applied(Some(&less), list(&["c"]), deployment(), "two", false).unwrap();
    assert_eq!(names(&gone), ["a", "c"]);
}

#[test]
fn list_keys_have_defaults() {
    let service = Schema::Struct(type_of("", "v1", "Service").unwrap());
    let config =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}});
    let object = applied(None, config, service, "mgr", false).unwrap();
    assert_eq!(
        fields(&object, 0),
        &json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}})
    );
}

#[test]
fn custom_resources() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "single": {"type": "string"},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "p": {"type": "integer", "default": 80}, "v": {"type": "string"}}}}}}}});
    let schema = Schema::Custom(&schema);
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let live =
        applied(None, widget(json!({"map": [{"k": "a", "v": "1"}], "set": ["x"]})), schema, "m1", false).unwrap();
    assert_eq!(
        fields(&live, 0),
        &json!({"f:spec": {"f:map": {"k:{\"k\":\"a\",\"p\":80}": {".": {}, "f:k": {}, "f:v": {}}}, "f:set": {"v:\"x\"": {}}}})
    );
    let error = |spec: Value| applied(Some(&live), widget(spec), schema, "m2", false).unwrap_err().message.into_owned();
    assert_eq!(
        error(json!({"map": [{"k": "a", "p": 80, "v": "2"}]})),
        "Apply failed with 1 conflict: conflict with \"m1\": .spec.map[k=\"a\",p=80].v"
    );
    let prefix = "failed to create typed patch object (/w; example.com/v1, Kind=Widget): ";
    let undeclared = format!("{prefix}.spec.nope: field not declared in schema");
    assert_eq!(error(json!({"nope": 1, "nothing": 1})), undeclared);
    assert_eq!(error(json!({"set": ["a", "a"]})), format!("{prefix}.spec.set: duplicate entries for key [=\"a\"]"));
    let created = updated(None, widget(json!({"single": "s"})), schema, "up");
    assert_eq!(fields(&created, 0), &json!({"f:spec": {".": {}, "f:single": {}}}));
}

#[test]
fn type_errors() {
    let error = |config: Value, schema| applied(None, config, schema, "m", false).unwrap_err().message.into_owned();
    let prefix = "failed to create typed patch object (/a; /v1, Kind=ConfigMap): ";
    assert_eq!(
        error(cm(json!({"a": 5})), config_map()),
        format!("{prefix}.data.a: expected string, got &value.valueUnstructured{{Value:5}}")
    );
    assert_eq!(error(cm(json!([])), config_map()), format!("{prefix}.data: expected map, got &{{[]}}"));
    let mut replicas = pods(json!([]));
    replicas["spec"]["replicas"] = "x".into();
    assert!(error(replicas, deployment()).ends_with(".spec.replicas: expected numeric (int or float), got string"));
    let mut paused = pods(json!([]));
    paused["spec"]["paused"] = "x".into();
    assert!(error(paused, deployment()).ends_with(".spec.paused: expected boolean, got &{x}"));
}

#[test]
fn elements_without_an_identity_end_their_list() {
    let error = |containers: Value| {
        let error = applied(None, pods(containers), deployment(), "m", false).unwrap_err().message.into_owned();
        error.rsplit("containers: ").next().unwrap_or_default().to_owned()
    };
    // The name of a container is an empty text if it is not given.
    assert_eq!(error(json!([{"name": "c"}, {"image": "i"}, {"image": "j"}])), "duplicate entries for key [name=\"\"]");
    assert_eq!(error(json!([null])), "element 0: associative list with keys may not have a null element");
    assert_eq!(error(json!(["c"])), "element 0: associative list with keys may not have non-map elements");
    let mut object = cm(json!({}));
    object["metadata"]["finalizers"] = json!([{}]);
    let error = applied(None, object, config_map(), "m", false).unwrap_err().message.into_owned();
    assert!(
        error.ends_with("finalizers: element 0: associative list without keys has an element that's a map type"),
        "{error}"
    );
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string"}}}}}}}});
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {"map": [{"k": "a"}, {"v": "1"}]}});
    let error = applied(None, widget, Schema::Custom(&schema), "m", false).unwrap_err().message.into_owned();
    let omits = "element 1: associative list with keys has an element that omits all key fields [\"k\"]";
    assert!(error.contains(omits), "{error}");
}

#[test]
fn the_first_apply_meets_what_was_there() {
    let mut live = cm(json!({"a": "1"}));
    live["metadata"]["uid"] = "u".into();
    let status = applied(Some(&live), cm(json!({"a": "2"})), config_map(), "m", false).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
    let mut new = live.clone();
    new["data"]["b"] = "2".into();
    let tracked = updated(Some(&live), new, config_map(), "up");
    assert!(tracked["metadata"].get("managedFields").is_none_or(Value::is_null));
}

#[test]
fn old_updaters_are_folded() {
    let mut object = updated(None, cm(json!({})), config_map(), "m");
    for at in 0..12 {
        let mut new = object.clone();
        new["data"][format!("k{at:02}")] = "v".into();
        object = updated(Some(&object), new, config_map(), &format!("m{at:02}"));
    }
    let managers: Vec<&str> =
        meta::managed_fields(&object).iter().map(|entry| entry["manager"].as_str().unwrap()).collect();
    assert_eq!(managers.len(), 10);
    assert!(managers.contains(&"ancient-changes"));
}

#[test]
fn thousands_of_managers_are_folded_into_one() {
    let entry = |at: usize| {
        json!({"manager": format!("m{at:05}"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {format!("f:k{at:05}"): {}}}})
    };
    let mut object = cm(json!({}));
    object["metadata"]["managedFields"] = (0..20_000).map(entry).collect();
    let mut managers = Managers::read(&object).unwrap();
    managers.cap();
    let names: Vec<&str> = managers.0.iter().map(|entry| entry.identity.manager.as_str()).collect();
    assert_eq!((names.len(), names[0], names[1]), (10, "ancient-changes", "m19991"));
    assert_eq!(managers.0[0].set.paths().len(), 19_991);
}

#[test]
fn long_lists_with_keys_are_compared_and_merged_at_once() {
    let listed = |from: usize| {
        let mut object = cm(json!({}));
        object["metadata"]["finalizers"] = (from..from + 100_000).map(|at| Value::from(format!("a/{at:06}"))).collect();
        object
    };
    let change = walk::compare(&listed(0), &listed(1), config_map());
    assert_eq!(change.removed.paths(), [".metadata.finalizers[=\"a/000000\"]"]);
    assert_eq!(change.added.paths(), [".metadata.finalizers[=\"a/100000\"]"]);
    let merged = merge::merge(&listed(0), &listed(1), config_map());
    assert_eq!(merged["metadata"]["finalizers"].as_array().map(Vec::len), Some(100_001));
}

#[test]
fn kubectl_takes_over_from_the_client() {
    let mut live = cm(json!({"a": "1"}));
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": cm(json!({"a": "1"})).to_string()});
    let live = updated(None, live, config_map(), "kubectl-client-side-apply");
    let object = applied(Some(&live), cm(json!({"a": "2"})), config_map(), "kubectl", false).unwrap();
    assert_eq!(object["data"]["a"], "2");
    let annotation = meta::annotation(&object, legacy::LAST_APPLIED).unwrap();
    assert_eq!(annotation, format!("{}\n", cm(json!({"a": "2"}))));
    assert!(applied(Some(&live), cm(json!({"a": "2"})), config_map(), "me", false).is_err());
}

#[test]
fn an_annotation_of_another_version_hands_nothing_over() {
    let other = cm(json!({"a": "1"})).to_string().replace("\"v1\"", "\"v2\"");
    for last in ["", "{}", other.as_str()] {
        let mut live = cm(json!({"a": "1"}));
        live["metadata"]["annotations"] = json!({(legacy::LAST_APPLIED): last});
        let live = updated(None, live, config_map(), "kubectl-client-side-apply");
        let apply = |force: bool| applied(Some(&live), cm(json!({"a": "2"})), config_map(), "kubectl", force);
        assert!(apply(false).is_err(), "{last}");
        let annotated = meta::annotation(&apply(true).unwrap(), legacy::LAST_APPLIED).is_some_and(|text| text != last);
        assert_eq!(annotated, !last.is_empty(), "{last}");
    }
}

#[test]
fn the_annotation_holds_the_configuration_without_itself() {
    let mut live = cm(json!({"a": "<"}));
    live["metadata"]["annotations"] = json!({(legacy::LAST_APPLIED): "x".repeat(meta::ANNOTATIONS_MAX)});
    let config = live.clone();
    legacy::sync_annotation(&mut live, &config);
    let text =
        r#"{"apiVersion":"v1","data":{"a":"\u003c"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"a"}}"#;
    assert_eq!(meta::annotation(&live, legacy::LAST_APPLIED), Some(format!("{text}\n").as_str()));
}

#[test]
fn of_two_entries_of_one_manager_the_later_counts() {
    let entry = |name: &str| {
        json!({"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {(format!("f:{name}")): {}}}})
    };
    let mut live = cm(json!({"a": "1", "b": "1"}));
    live["metadata"]["managedFields"] = json!([entry("a"), entry("b")]);
    let less = applied(Some(&live), cm(json!({})), config_map(), "x", false).unwrap();
    assert_eq!(less["data"], json!({"a": "1"}));
}

#[test]
fn times_alone_are_no_change() {
    let old = updated(None, cm(json!({"a": "1"})), config_map(), "up");
    let mut new = old.clone();
    new["metadata"]["managedFields"][0]["time"] = "2030-01-01T00:00:00Z".into();
    keep_times_if_unchanged(&old, &mut new);
    assert_eq!(old, new);
}

#[test]
fn what_is_replaced_as_a_whole_is_found() {
    let pods = Schema::Struct(type_of("", "v1", "Pod").unwrap());
    let config = json!({
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "args": ["x"], "ports": [{"containerPort": 1}]}], "nodeSelector": {"a": "b"}},
    });
    let mut found = atomics(&config, pods);
    found.sort();
    assert_eq!(found, [".spec.containers[0].args", ".spec.nodeSelector"]);
}

#[test]
fn what_fits_the_schema_but_not_the_type_is_told_by_its_place_and_kind() {
    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "n"}});
    let told = unconvertible(&config, "cannot convert float64 to int32");
    assert_eq!(
        (told.code, told.message.as_ref()),
        (
            500,
            "failed to convert new object (n/a; apps/v1, Kind=Deployment) to proper version: \
             unable to convert unstructured object to apps/v1, Kind=Deployment: cannot convert float64 to int32"
        )
    );
    let core = unconvertible(&json!({"apiVersion": "v1", "kind": "Pod"}), "x").message.into_owned();
    assert!(core.starts_with("failed to convert new object (/; /v1, Kind=Pod) to proper version"), "{core}");
}

#[test]
fn managers_that_cannot_be_read_do_not_replace_those_there_are() {
    let live = updated(None, cm(json!({"a": "1"})), config_map(), "one");
    let given = |entry: Value| {
        let mut new = cm(json!({"a": "1"}));
        new["metadata"]["managedFields"] = json!([entry]);
        let mut old = live.clone();
        old["metadata"]["uid"] = "u".into();
        track_update(Some(&old), &mut new, &write(config_map(), "two", &FieldSet::default()));
        new["metadata"]["managedFields"][0]["manager"].clone()
    };
    let whole = json!({"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:a": {}}}});
    assert_eq!(given(whole.clone()), "x");
    for (field, odd) in [("operation", "Look"), ("fieldsType", "FieldsV2"), ("fieldsType", ""), ("apiVersion", "")] {
        let mut entry = whole.clone();
        entry[field] = odd.into();
        assert_eq!(given(entry), "one", "{field}");
    }
}
