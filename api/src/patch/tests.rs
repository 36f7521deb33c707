use serde_json::json;

use super::*;

#[test]
fn json_patches() {
    let object = json!({"data": {"a": "1", "b": "2"}});
    let patch = json!([
        {"op": "replace", "path": "/data/a", "value": "9"},
        {"op": "remove", "path": "/data/b"},
        {"op": "test", "path": "/data/a", "value": "9"},
    ]);
    assert_eq!(json_patch(&object, &patch).unwrap(), json!({"data": {"a": "9"}}));
    for failing in [json!([{"op": "test", "path": "/data/a", "value": "no"}]), json!([null])] {
        assert_eq!(json_patch(&object, &failing).unwrap_err(), Status::unprocessable());
    }
    assert_eq!(json_patch(&object, &Value::Null).unwrap(), object);
}

#[test]
fn what_does_not_apply_is_told_in_the_words_of_the_library() {
    let refused = |operation: Value| amend(&json!({"a": {"b": "1"}, "l": [1]}), &[operation]).unwrap_err();
    let words = |operation: Value| refused(operation).to_string();
    let test = json!({"op": "test", "path": "/a/b", "value": "2"});
    assert_eq!(refused(test.clone()), PatchRefused::Test("/a/b".to_owned()));
    for (operation, said) in [
        (test, "testing value /a/b failed: test failed"),
        (json!({"op": "test", "path": "/x/b"}), "test operation does not apply: is missing path: /x/b: missing value"),
        (json!({"op": "add", "value": 1}), "add operation failed to decode path: missing value"),
        (
            json!({"op": "add", "path": "/x/y", "value": 1}),
            "add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!({"op": "add", "path": "/l/5", "value": 1}),
            "error in add for path: '/l/5': Unable to access invalid index: 5: invalid index referenced",
        ),
        (
            json!({"op": "add", "path": "/l/x", "value": 1}),
            "error in add for path: '/l/x': value was not a proper array index: 'x': \
             strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            json!({"op": "remove", "path": "/a/c"}),
            "error in remove for path: '/a/c': Unable to remove nonexistent key: c: missing value",
        ),
        (
            json!({"op": "replace", "path": "/l/1", "value": 1}),
            "replace operation does not apply: doc is missing key: /l/1: missing value",
        ),
        (
            json!({"op": "move", "path": "/a/c"}),
            "move operation failed to decode from: operation, missing from field: missing value",
        ),
        (
            json!({"op": "copy", "from": "/x/y", "path": "/a/c"}),
            "copy operation does not apply: doc is missing from path: /x/y: missing value",
        ),
        (json!({"op": "explode", "path": "/a"}), "Unexpected kind: explode"),
        (json!({"path": "/a"}), "Unexpected kind: unknown"),
    ] {
        assert_eq!(words(operation), said);
    }
}

#[test]
fn patches_do_not_grow_without_end() {
    let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let twice = json_patch(&json!({"a": [1]}), &json!([double, double])).unwrap();
    assert_eq!(twice, json!({"a": [1, [1], [1, [1]]]}));
    let often = Value::Array(vec![double; 40]);
    assert_eq!(json_patch(&json!({"a": ["x".repeat(100)]}), &often).unwrap_err(), Status::unprocessable());
}

#[test]
fn patches_do_not_go_deeper_than_can_be_read() {
    let nest = [
        json!({"op": "add", "path": "/b", "value": {}}),
        json!({"op": "move", "from": "/a", "path": "/b/x"}),
        json!({"op": "move", "from": "/b", "path": "/a"}),
    ];
    let patch = |times: usize| Value::Array(vec![nest.to_vec(); times].concat());
    let most = crate::json::DEEPEST - 2;
    let deep = json_patch(&json!({"a": {}}), &patch(most)).unwrap();
    assert_eq!(crate::json::parse(deep.to_string().as_bytes()).as_ref(), Ok(&deep));
    assert_eq!(json_patch(&json!({"a": {}}), &patch(most + 1)).unwrap_err(), Status::unprocessable());
    assert_eq!(json_patch(&json!({"a": {}}), &patch(3_000)).unwrap_err(), Status::unprocessable());
    let value = deep["a"].clone();
    let further = json!([{"op": "add", "path": "/c/d", "value": value}]);
    assert_eq!(json_patch(&json!({"c": {}}), &further).unwrap_err(), Status::unprocessable());
}

#[test]
fn malformed_patches() {
    let error = |patch: Value| json_patch(&json!({}), &patch).unwrap_err().message.into_owned();
    assert_eq!(
        error(json!("x")),
        "error decoding patch: json: cannot unmarshal string into Go value of type []handlers.jsonPatchOp"
    );
    assert_eq!(
        error(json!([1])),
        "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"
    );
    assert_eq!(
        error(json!([{"op": 1}])),
        "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"
    );
    let many = vec![json!({"op": "test", "path": "/a", "value": 1}); 10_001];
    assert_eq!(
        error(Value::Array(many)),
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
    let merge = |patch: Value| merge_patch(&json!({}), &patch).unwrap_err().message.into_owned();
    assert_eq!(merge(Value::Null), "Invalid JSON Patch");
    assert_eq!(
        merge(json!([1])),
        "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
    );
}

#[test]
fn patches_that_nobody_validates_are_looked_at_where_they_apply() {
    let object = json!({"a": 1});
    let error = |patch: Value| json_patch_unvalidated(&object, &patch).unwrap_err();
    assert_eq!(error(json!("x")).message, "json: cannot unmarshal string into Go value of type jsonpatch.Patch");
    assert_eq!(error(json!([1])).message, "json: cannot unmarshal number into Go value of type jsonpatch.Operation");
    for odd in [json!([{"op": 1, "path": "/a"}]), json!([{"op": "remove", "path": 1}]), json!([null])] {
        assert_eq!(error(odd), Status::unprocessable());
    }
    let odd_but_unused = json!([{"op": "remove", "path": "/a", "from": 1}]);
    assert_eq!(json_patch_unvalidated(&object, &odd_but_unused).unwrap(), json!({}));
    assert_eq!(json_patch_unvalidated(&object, &Value::Null).unwrap(), object);
}

#[test]
fn merge_patches() {
    let object = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
    let patch = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "l": [3]});
    assert_eq!(merge_patch(&object, &patch).unwrap(), json!({"a": {"c": 2, "d": {"f": 1}}, "l": [3]}));
}

#[test]
fn a_merge_patch_brings_nulls_only_in_place_of_objects() {
    let list = json!([{"a": null, "b": 1}, null, [{"c": null}]]);
    let object = json!({"object": {"a": 1}, "list": [1], "null": null});
    let patch = json!({"object": list, "list": list, "null": list, "new": {"list": list, "a": null}});
    let pruned = json!([{"b": 1}, null, [{}]]);
    let made = json!({"object": list, "list": pruned, "null": pruned, "new": {"list": pruned}});
    assert_eq!(merge_patch(&object, &patch).unwrap(), made);
}
