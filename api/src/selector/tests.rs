use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::field::Path;

fn label_error(text: &str) -> String {
    LabelSelector::parse(text).unwrap_err().0
}

fn selects(selector: &str, labels: serde_json::Value) -> bool {
    LabelSelector::parse(selector).unwrap().matches(labels.as_object().unwrap())
}

#[test]
fn label_selectors_match() {
    let labels = json!({"env": "prod", "n": "5", "in": "x"});
    for good in [
        "",
        "env",
        "env=prod",
        "env==prod",
        "env in (prod,dev)",
        "!tier",
        "tier!=x",
        "tier notin (a)",
        "n>4",
        "n<6",
        "env in (), !x",
    ] {
        let expected = good != "env in (), !x";
        assert_eq!(selects(good, labels.clone()), expected, "{good}");
    }
    assert!(!selects("env=", labels.clone()));
    assert!(!selects("env notin (prod)", labels));
}

#[test]
fn label_selector_errors_are_kubernetes_own() {
    let cases = [
        (
            "n>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "n<",
            "unable to parse requirement: values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("n>=3", "unable to parse requirement: found '=', expected: identifier"),
        ("env=prod=x", "found '=', expected: ',' or 'end of string'"),
        ("in (a)", "unable to parse requirement: found '(', expected: in, notin, =, ==, !=, gt, lt"),
        ("env in", "unable to parse requirement: found '' expected: '('"),
        ("env in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("env in (a,,)", "unable to parse requirement: found ')', expected: ',', or identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("env=a b", "found 'b', expected: ',' or 'end of string'"),
        ("(env=prod)", "found '(', expected: !, identifier, or 'end of string'"),
        ("!env=prod", "found '=', expected: ',' or 'end of string'"),
        ("env in (prod) tier", "found 'tier', expected: ',' or 'end of string'"),
        ("env,,tier", "found ',', expected: identifier after ','"),
    ];
    for (text, error) in cases {
        assert_eq!(label_error(text), error, "{text}");
    }
    assert!(label_error("@x").starts_with("unable to parse requirement: <nil>: Invalid value: \"@x\": name part must"));
    assert!(
        label_error("env=ä").starts_with("unable to parse requirement: values[0][env]: Invalid value: \"ä\": a valid")
    );
}

#[test]
fn object_form() {
    let selector =
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]});
    let parsed = LabelSelector::from_object(&selector).unwrap();
    assert_eq!(parsed.to_string(), "a=b,c notin (d)");
    assert!(parsed.matches(json!({"a": "b"}).as_object().unwrap()));
    assert!(!LabelSelector::from_object(&json!(null)).unwrap().matches(json!({}).as_object().unwrap()));
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "Bad"}, {"key": "b", "operator": "In"}]});
    let errors = validate_label_selector(&bad, &Path::new("spec").child("selector"));
    assert_eq!(
        errors[0].to_string(),
        "spec.selector.matchExpressions[0].operator: Invalid value: \"Bad\": not a valid selector operator"
    );
    assert_eq!(
        errors[1].to_string(),
        "spec.selector.matchExpressions[1].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
    );
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["good", "b c"]}]});
    let errors = validate_label_selector(&bad, &Path::new("s"));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0]
            .to_string()
            .starts_with("s.matchExpressions[0].values[1]: Invalid value: \"b c\": a valid label must")
    );
}

#[test]
fn field_selectors() {
    let selector = FieldSelector::parse(r"b!=x,a=1\,2").unwrap();
    assert_eq!(selector.requires("a"), Some("1,2"));
    assert!(selector.matches(|field| if field == "a" { "1,2" } else { "" }));
    assert_eq!(selector.to_string(), r"a=1\,2,b!=x");
    let error = |text: &str| FieldSelector::parse(text).unwrap_err().0;
    assert_eq!(error("x"), "invalid selector: 'x'; can't understand 'x'");
    assert_eq!(
        error("metadata.name in (a)"),
        "invalid selector: 'metadata.name in (a)'; can't understand 'metadata.name in (a)'"
    );
    assert_eq!(error(r"a=\x"), r"invalid field selector: invalid escape sequence: \x");
    assert!(FieldSelector::parse("").unwrap().is_empty());
}

proptest! {
    #[test]
    fn label_selectors_round_trip(
        keys in prop::collection::vec("[a-z][a-z0-9]{0,6}", 1..4),
        values in prop::collection::btree_set("[a-z0-9]{1,5}", 1..4),
        operator in 0..6_usize,
    ) {
        let values: Vec<String> = values.into_iter().collect();
        let requirements = keys.iter().map(|key| match operator {
            0 => Requirement::new(key, Operator::Exists, vec![]),
            1 => Requirement::new(key, Operator::DoesNotExist, vec![]),
            2 => Requirement::new(key, Operator::In, values.clone()),
            3 => Requirement::new(key, Operator::NotIn, values.clone()),
            4 => Requirement::new(key, Operator::Equals, values[..1].to_vec()),
            _ => Requirement::new(key, Operator::NotEquals, values[..1].to_vec()),
        });
        let selector = LabelSelector::new(requirements.collect::<Result<_, _>>().unwrap());
        prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,20}") {
        let labels = LabelSelector::parse(&text);
        let fields = FieldSelector::parse(&text);
        prop_assert!(labels.is_ok() || labels.is_err());
        prop_assert!(fields.is_ok() || fields.is_err());
    }
}
