use serde_json::{Value, json};

use super::*;
use crate::field::Path;

fn texts(schema: Value, value: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = Structural::new(schema);
    Validator::new(&schema).errors(value, schema.root(), old).iter().map(ToString::to_string).collect()
}

fn checked(schema: &Value) -> Vec<String> {
    check(schema, &Path::new("s")).errors.iter().map(ToString::to_string).collect()
}

#[test]
fn types_and_bounds_speak_of_the_body() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 2}, "n": {"type": "integer", "minimum": 1}}});
    assert_eq!(
        texts(schema.clone(), &json!({"a": 1}), None),
        ["a: Invalid value: \"integer\": a in body must be of type string: \"integer\""]
    );
    assert_eq!(texts(schema.clone(), &json!({"a": "abc"}), None), ["a: Too long: may not be more than 2 bytes"]);
    assert_eq!(
        texts(schema, &json!({"n": 0}), None),
        ["n: Invalid value: 0: n in body should be greater than or equal to 1"]
    );
}

#[test]
fn limits_out_of_the_range_of_the_format_are_told_of_no_field() {
    let schema = json!({"type": "object", "properties": {
        "n": {"type": "integer", "format": "int32", "maximum": 4_294_967_295_u32}}});
    assert_eq!(
        texts(schema.clone(), &json!({"n": 1}), None),
        ["<nil>: Invalid value: \"\": Maximum boundary value must be of type integer with format int32 in n"]
    );
    assert_eq!(
        texts(schema, &json!({"n": 5_000_000_000_i64}), None)[2],
        "n: Invalid value: 5e+09: n in body should be less than or equal to 4.294967295e+09"
    );
}

#[test]
fn unchanged_values_pass() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 2}, "b": {"type": "string"}}});
    let old = json!({"a": "long", "b": "x"});
    assert!(texts(schema.clone(), &json!({"a": "long", "b": "y"}), Some(&old)).is_empty());
    assert_eq!(texts(schema, &json!({"a": "longer"}), Some(&old)).len(), 1);
}

#[test]
fn junctors_name_the_place() {
    let schema = json!({"type": "object", "properties": {"one": {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}}});
    assert_eq!(
        texts(schema.clone(), &json!({"one": {}}), None),
        [
            "<nil>: Invalid value: \"\": \"one\" must validate one and only one schema (oneOf). Found none valid",
            "one.a: Required value"
        ]
    );
    assert!(texts(schema, &json!({"one": {"a": 1}}), None).is_empty());
}

#[test]
fn pruning_reports_paths_and_keeps_open_places() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"l": {"type": "array", "items": {"type": "object", "properties": {"x": {}}}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let mut value = json!({"kind": "A", "extra": 1, "spec": {"l": [{"x": 1, "y": 2}]}, "free": {"z": {"q": 1}}});
    assert_eq!(prune(&mut value, &schema), ["extra", "spec.l[0].y"]);
    assert_eq!(value, json!({"kind": "A", "spec": {"l": [{"x": 1}]}, "free": {"z": {"q": 1}}}));
}

#[test]
fn defaults_fill_missing_and_forbidden_nulls() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "default": "x"}, "n": {"type": "string", "nullable": true, "default": "d"}, "p": {"type": "string"}}});
    let mut value = json!({"a": null, "n": null, "p": null});
    apply_defaults(&mut value, &schema);
    drop_null_fields(&mut value, &schema);
    assert_eq!(value, json!({"a": "x", "n": null}));
    let of = |nullable: bool| json!({"additionalProperties": {"type": "string", "nullable": nullable}});
    let mut map = json!({"a": null, "b": "c"});
    drop_null_fields(&mut map, &of(true));
    assert_eq!(map, json!({"a": null, "b": "c"}));
    drop_null_fields(&mut map, &of(false));
    assert_eq!(map, json!({"b": "c"}));
}

#[test]
fn structure_is_demanded() {
    assert_eq!(
        checked(&json!({"type": "object", "properties": {"a": {}}})),
        ["s.properties[a].type: Required value: must not be empty for specified object fields"]
    );
    assert_eq!(
        checked(&json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "(["}}})),
        [
            "s.properties[a].pattern: Invalid value: \"([\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ]: `[`"
        ]
    );
}

#[test]
fn defaults_must_fit() {
    assert_eq!(
        checked(&json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}})),
        ["s.properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\""]
    );
    assert_eq!(
        checked(&json!({"type": "object", "default": {}})),
        ["s.default.apiVersion: Required value", "s.default.kind: Required value"]
    );
}

#[test]
fn sets_hold_nothing_twice() {
    let schema = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"});
    let errors = list_errors(&json!(["a", "b", "a"]), &schema, &Path::new("l"));
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), ["l[2]: Duplicate value: \"a\""]);
    let again = list_errors(&json!(["a", "a", "b", "a", "b"]), &schema, &Path::new("l"));
    assert_eq!(again.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["l[1]", "l[4]"]);
}

#[test]
fn a_list_of_maps_holds_objects() {
    let of = json!({"type": "object", "properties": {"k": {"type": "string"}}});
    let schema =
        json!({"type": "array", "items": of, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]});
    let texts = |list: Value| -> Vec<String> {
        list_errors(&list, &schema, &Path::new("l")).iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts(json!([{"k": "a"}, {"k": "a"}, {"k": "a"}])), ["l[1]: Duplicate value: {\"k\":\"a\"}"]);
    assert_eq!(
        texts(json!([{"k": "a"}, "x", {"k": "a"}, 1])),
        ["l[1]: Invalid value: \"x\": must be an object for an array of list-type map"]
    );
}

#[test]
fn keys_may_be_forbidden() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": false}}});
    assert_eq!(
        texts(schema, &json!({"a": {"b": 1}}), None),
        ["a: Invalid value: \"b\": a.b in body is a forbidden property"]
    );
}

#[test]
fn one_thing_is_said_of_a_text() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 3, "pattern": "^[0-9]+$"}}});
    assert_eq!(
        texts(schema.clone(), &json!({"a": "x"}), None),
        ["a: Invalid value: \"x\": a in body should be at least 3 chars long"]
    );
    assert_eq!(texts(schema, &json!({"a": "xyz"}), None).len(), 1);
}

#[test]
fn formats_are_taken_for_types() {
    let of =
        |kind: &str, format: &str| json!({"type": "object", "properties": {"a": {"type": kind, "format": format}}});
    let text = |schema: Value, value: Value| texts(schema, &json!({ "a": value }), None).join(" ");
    assert_eq!(
        text(of("string", "date-time"), json!(5)),
        "a: Invalid value: \"int64\": a in body must be of type date-time: \"int64\""
    );
    assert_eq!(
        text(of("integer", "int32"), json!(true)),
        "a: Invalid value: \"\": a in body must be of type int32: \"\""
    );
    assert_eq!(
        text(of("string", "no-such-format"), json!(5)),
        "a: Invalid value: \"integer\": a in body must be of type string: \"integer\""
    );
    assert_eq!(
        text(of("integer", "int32"), json!("5")),
        "a: Invalid value: \"string\": a in body must be of type integer: \"string\""
    );
}

#[test]
fn the_schema_that_looks_at_most_tells_what_is_wrong() {
    let schema = json!({"oneOf": [
        {"required": ["b"]}, {"required": ["c"], "properties": {"a": {"enum": ["x"]}}}]});
    assert_eq!(
        texts(schema, &json!({"a": "y"}), None)[1..],
        ["a: Unsupported value: \"y\": supported values: \"x\"", "c: Required value"]
    );
}

#[test]
fn long_paths_are_not_told_without_end() {
    let schema = json!({"additionalProperties": {"properties": {"a": {}}}});
    let inner: Value = (0..1_000).map(|at| (format!("k{at}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    let (name, mut value) = ("x".repeat(1 << 20), json!({}));
    value[name.as_str()] = inner;
    let told = prune(&mut value, &schema);
    assert!((1..10).contains(&told.len()), "{}", told.len());
    assert_eq!(value[name.as_str()], json!({}));
}

#[test]
fn elements_are_found_by_their_keys() {
    let schema = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]});
    let old = json!([{"a": 1, "v": 1}, {"a": 1, "b": 2, "v": 2}, {"a": 1, "b": 2, "v": 3}, 5]);
    let found = super::Elements::of(&schema, Some(&old));
    assert_eq!(found.like(&json!({"b": 2, "a": 1})), Some(&old[1]));
    assert_eq!(found.like(&json!({"a": 1})), Some(&old[0]));
    assert_eq!(found.like(&json!({"a": 2})), None);
    assert_eq!(super::Elements::of(&json!({}), Some(&old)).like(&json!({"a": 1})), None);
    assert_eq!(super::Elements::of(&schema, None).like(&json!({"a": 1})), None);
}

#[test]
fn of_endless_errors_some_are_told() {
    let schema =
        json!({"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string", "enum": ["a"]}}}});
    assert_eq!(texts(schema, &json!({"l": vec!["b"; 20_000]}), None).len(), 10_000);
}
