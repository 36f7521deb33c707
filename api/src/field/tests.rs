use serde_json::json;

use super::*;

fn spec() -> Path {
    Path::new("spec")
}

#[test]
fn paths() {
    assert_eq!(spec().child("containers").index(0).child("env").key("A").to_string(), "spec.containers[0].env[A]");
    assert_eq!(Path::nil().to_string(), "<nil>");
    assert_eq!(Path::nil().child("x").to_string(), "x");
    assert_eq!(Path::new("").to_string(), "[]");
    assert_eq!(Path::new("").child("spec").to_string(), "[].spec");
}

#[test]
fn bodies_print_values_as_kubernetes_does() {
    let x = spec().child("x");
    let cases = [
        (Error::invalid(&x, "v", "detail"), "spec.x: Invalid value: \"v\": detail"),
        (Error::invalid(&x, -1, "d"), "spec.x: Invalid value: -1: d"),
        (Error::invalid(&x, 0.7, "d"), "spec.x: Invalid value: 0.7: d"),
        (Error::invalid(&x, true, "d"), "spec.x: Invalid value: true: d"),
        (Error::invalid(&x, Value::Null, "d"), "spec.x: Invalid value: null: d"),
        (Error::invalid(&x, json!({"app": "x<"}), "d"), "spec.x: Invalid value: {\"app\":\"x\\u003c\"}: d"),
        (Error::required(&x, ""), "spec.x: Required value"),
        (Error::required(&x, "why"), "spec.x: Required value: why"),
        (Error::forbidden(&x, "no"), "spec.x: Forbidden: no"),
        (
            Error::not_supported(&x, "x", &["a", "b"]),
            "spec.x: Unsupported value: \"x\": supported values: \"a\", \"b\"",
        ),
        (Error::duplicate(&x, "a"), "spec.x: Duplicate value: \"a\""),
        (Error::duplicate(&x, "a").without_value(), "spec.x: Duplicate value"),
        (Error::too_long(&x, 5), "spec.x: Too long: may not be more than 5 bytes"),
        (Error::too_many(&x, 3, 2), "spec.x: Too many: 3: must have at most 2 items"),
        (Error::not_found(&x, "zz"), "spec.x: Not found: \"zz\""),
        (Error::internal(&x, "boom"), "spec.x: Internal error: boom"),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn aggregates_drop_repetitions() {
    let e = Error::required(&spec(), "");
    assert_eq!(aggregate(&[e.clone(), e.clone()]), "spec: Required value");
    assert_eq!(aggregate(&[e, Error::forbidden(&spec(), "x")]), "[spec: Required value, spec: Forbidden: x]");
}

#[test]
fn go_forms() {
    assert_eq!(go_quote("a\"\n\u{1}ü\u{200b}"), "\"a\\\"\\n\\x01ü\\u200b\"");
    assert_eq!(go_float(1e21), "1e+21");
    assert_eq!(go_float(5.0), "5");
    assert_eq!(go_float(999_999.5), "999999.5");
    assert_eq!(go_float(1_234_567.5), "1.2345675e+06");
    assert_eq!(go_float(-1e6), "-1e+06");
    assert_eq!(go_float(f64::INFINITY), "+Inf");
    assert_eq!(go_float(0.00001), "1e-05");
}
