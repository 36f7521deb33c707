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
fn merge_patches() {
    let object = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
    let patch = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "l": [3]});
    assert_eq!(merge_patch(&object, &patch).unwrap(), json!({"a": {"c": 2, "d": {"f": 1}}, "l": [3]}));
}
