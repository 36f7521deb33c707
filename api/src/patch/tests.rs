use serde_json::json;

use super::*;

#[test]
fn json_patches() {
    let object = json!({"data": {"a": "1", "b": "2"}});
    let patch = br#"[{"op":"replace","path":"/data/a","value":"9"},{"op":"remove","path":"/data/b"},{"op":"test","path":"/data/a","value":"9"}]"#;
    assert_eq!(json_patch(&object, patch).unwrap(), json!({"data": {"a": "9"}}));
    let failing = br#"[{"op":"test","path":"/data/a","value":"no"}]"#;
    assert_eq!(json_patch(&object, failing).unwrap_err(), Status::unprocessable());
}

#[test]
fn malformed_patches() {
    let error = |patch: &str| json_patch(&json!({}), patch.as_bytes()).unwrap_err().message.into_owned();
    assert_eq!(error("[{"), "error decoding patch: unexpected end of JSON input");
    assert_eq!(error(""), "error decoding patch: unexpected end of JSON input");
    assert_eq!(
        error("\"x\""),
        "error decoding patch: json: cannot unmarshal string into Go value of type []handlers.jsonPatchOp"
    );
    assert_eq!(
        error("[1]"),
        "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"
    );
    let many = format!("[{}]", vec![r#"{"op":"test","path":"/a","value":1}"#; 10_001].join(","));
    assert_eq!(
        error(&many),
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
    let merge = |patch: &str| merge_patch(&json!({}), patch.as_bytes()).unwrap_err().message.into_owned();
    assert_eq!(merge("null"), "Invalid JSON Patch");
    assert_eq!(
        merge("[1]"),
        "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
    );
    assert_eq!(
        merge("{\"data\":{\"a\":\"YQ==\"},}"),
        "error decoding patch: invalid character '}' looking for beginning of object key string"
    );
    assert_eq!(merge("a: b"), "error decoding patch: invalid character 'a' looking for beginning of value");
    assert_eq!(
        parse_json(b"{'a':1}").unwrap_err(),
        "invalid character '\\'' looking for beginning of object key string"
    );
}

#[test]
fn merge_patches() {
    let object = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
    let patch = br#"{"a":{"b":null,"d":{"e":null,"f":1}},"l":[3]}"#;
    assert_eq!(merge_patch(&object, patch).unwrap(), json!({"a": {"c": 2, "d": {"f": 1}}, "l": [3]}));
}
