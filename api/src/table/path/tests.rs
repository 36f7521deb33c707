use serde_json::json;

use super::*;

fn first(path: &str) -> Option<Value> {
    let object = json!({"s": "text", "b": true, "nul": null, "l": ["x", "y", "z"], "m": {"a.b": "dot", "a": {"b": 1}},
        "of": [{"n": "a", "v": 1, "in": {"k": "p"}}, {"n": "b", "v": 2, "ok": true, "in": {"k": "q)"}}]});
    JsonPath::parse(path).unwrap().first(&object).cloned()
}

#[test]
fn the_first_value_is_taken() {
    for (path, found) in [
        (".s", json!("text")),
        ("$.s", json!("text")),
        (".nul", json!(null)),
        (".l[0]", json!("x")),
        (".l[-1]", json!("z")),
        (".l[1:]", json!("y")),
        (".l[-2:-1]", json!("y")),
        (".l[*]", json!("x")),
        (".l[2,0]", json!("z")),
        ("['s']", json!("text")),
        (".m.a\\.b", json!("dot")),
        (".m['a\\.b']", json!("dot")),
        (".m['a.b']", json!(1)),
        (".of[*].v", json!(1)),
        ("..k", json!("p")),
        (".of[?(@.n==\"b\")].v", json!(2)),
        (".of[?(@.n=='b')].v", json!(2)),
        (".of[?(@.v > 1)].n", json!("b")),
        (".of[?(@.v<=1)].n", json!("a")),
        (".of[?(@.n!='a')].n", json!("b")),
        (".of[?(@.ok)].n", json!("b")),
        (".of[?(@.ok==true)].n", json!("b")),
        (".of[?(@.in.k=='q)')].n", json!("b")),
    ] {
        assert_eq!(first(path), Some(found), "{path}");
    }
}

#[test]
fn what_is_not_there_is_none() {
    for path in [".none", ".s.x", ".l[9]", ".s[0]", ".of[?(@.n=='z')]", ".of[?(@.v>'1')]", ".of[?(@.n==b)]"] {
        assert_eq!(first(path), None, "{path}");
    }
}

#[test]
fn paths_that_lead_to_more_and_more_are_given_up() {
    let doubled = |times: usize| {
        let object = (0..times).fold(json!("x"), |below, _| json!([below, "y"]));
        JsonPath::parse(&"[0,0]".repeat(times)).unwrap().first(&object).cloned()
    };
    assert_eq!((doubled(5), doubled(40)), (Some(json!("x")), None));
    let deep = (0..100).fold(json!("x"), |below, _| json!({"a": below}));
    assert_eq!(JsonPath::parse(&"...*".repeat(10)).unwrap().first(&deep), None);
    let many: Vec<Value> = (0..1_000).map(Value::from).collect();
    assert_eq!(JsonPath::parse(".[*]").unwrap().first(&Value::from(many)), Some(&json!(0)));
}

#[test]
fn what_is_no_path_is_not_read() {
    for path in [".l[", ".l[x]", ".l[\"s\"]", ".of[?(@.n=='a'", ".of[?(@.n=='a')", ".l[0:1:2:3]", "....a", ".a}", "'x"]
    {
        assert_eq!(JsonPath::parse(path), None, "{path}");
    }
}
