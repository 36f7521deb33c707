use serde_json::json;

use super::*;

fn read(text: &str) -> Value {
    parse(text, Duplicates::LastWins).unwrap()
}

#[test]
fn reads_as_kubectl_does() {
    assert_eq!(
        read("a: 0644\nb: yes\nc: 'no'\nd: 0x10\ne: 1e3\nf: ~\ng: \"1\"\nh: y\ni: off\n"),
        json!({"a": 420, "b": true, "c": "no", "d": 16, "e": 1000, "f": null, "g": "1", "h": true, "i": false})
    );
    assert_eq!(read("1: a\n"), json!({"1": "a"}));
    assert_eq!(
        read("on: a\n0x10: b\n1.50: c\n'no': d\n010: e\n1.23456789: f\n2e6: g\n"),
        json!({"true": "a", "16": "b", "1.5": "c", "no": "d", "8": "e", "1.2345679": "f", "2e+06": "g"})
    );
    assert_eq!(read(""), json!(null));
    assert_eq!(read("- a\n"), json!(["a"]));
    assert_eq!(read("a: &x {b: 1}\nc: *x\n"), json!({"a": {"b": 1}, "c": {"b": 1}}));
    assert_eq!(
        read("t: 2020-01-01T00:00:00Z\nv: 1.10\nw: 1.2.3\n"),
        json!({"t": "2020-01-01T00:00:00Z", "v": 1.1, "w": "1.2.3"})
    );
}

#[test]
fn values_are_no_deeper_than_those_of_json() {
    const MOST: usize = crate::json::DEEPEST;
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(MOST), Duplicates::LastWins).is_ok());
    let aliases = format!("a: &x {}\nb: [[[[*x]]]]\n", nested(MOST - 3));
    for deep in [nested(MOST + 1), aliases] {
        let error = parse(&deep, Duplicates::LastWins).unwrap_err().to_string();
        assert!(error.contains(&format!("exceeded max depth of {MOST}")), "{error}");
    }
}

#[test]
fn reads_the_first_or_all_documents() {
    let text = "a: 1\n---\nb: 2\n---\n";
    assert_eq!(read(text), json!({"a": 1}));
    assert_eq!(parse_all(text).unwrap(), [json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn duplicates() {
    let text = "a: 1\nb:\n  k: 1\n  k: 2\n";
    assert_eq!(read(text), json!({"a": 1, "b": {"k": 2}}));
    assert_eq!(
        parse(text, Duplicates::Refuse).unwrap_err().to_string(),
        "yaml: unmarshal errors:\n  line 4: key \"k\" already set in map"
    );
}

#[test]
fn syntax_errors() {
    assert_eq!(
        parse("a: [b\n", Duplicates::LastWins).unwrap_err().to_string(),
        "yaml: line 1: did not find expected ',' or ']'"
    );
    assert_eq!(
        parse("a: [", Duplicates::LastWins).unwrap_err().to_string(),
        "yaml: line 1: did not find expected node content"
    );
}

#[test]
fn writes_as_kubernetes_does() {
    let value = json!({
        "data": {"a": "1", "b": "true", "c": "x: y\nz", "d": " lead", "e": "", "f": "y", "g": "a\n", "h": "x: y"},
        "list": [1, "a b", {"k": [], "m": {}}, [true, null]],
        "neg": -0.5, "tiny": 1e-7, "time": "2020-01-01T00:00:00Z",
    });
    let expected = "data:\n  a: \"1\"\n  b: \"true\"\n  c: |-\n    x: y\n    z\n  d: ' lead'\n  e: \"\"\n  f: \"y\"\n  g: |\n    a\n  h: 'x: y'\nlist:\n- 1\n- a b\n- k: []\n  m: {}\n- - true\n  - null\nneg: -0.5\ntime: \"2020-01-01T00:00:00Z\"\ntiny: 1e-07\n";
    assert_eq!(to_string(&value), expected);
    assert_eq!(read(expected), value);
}

#[test]
fn floats_are_written_as_json_reads_them() {
    let value = json!({"a": 1e7, "b": 1_234_567.5, "c": 1e20, "d": -3.0});
    assert_eq!(to_string(&value), "a: 10000000\nb: 1.2345675e+06\nc: 1e+20\nd: -3\n");
    let value = json!({"a": 1.844_674_407_370_955e19, "b": -0.0, "c": -9_223_372_036_854_775_808.0});
    assert_eq!(to_string(&value), "a: 18446744073709550000\nb: 0\nc: -9.223372036854776e+18\n");
}

#[test]
fn folds_long_lines() {
    let text = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow";
    let value = json!([{"description": format!("{text}: x")}]);
    assert_eq!(
        to_string(&value),
        "- description: 'Name must be unique within a namespace. Is required when creating\n    resources, although some resources may allow: x'\n"
    );
}
