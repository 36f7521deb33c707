use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::field::Path;

struct Vars(HashMap<&'static str, Val>);

impl Scope for Vars {
    fn variable(&self, name: &str) -> Option<Val> {
        self.0.get(name).cloned()
    }
}

pub(super) fn run(text: &str, x: Value) -> Result<Val, String> {
    let env = Env::new([("x".to_owned(), Type::Dyn)]);
    let program = Program::compile(text, &env).map_err(|error| error.to_string())?;
    let scope = Vars(HashMap::from([("x", Val::from_json(&x))]));
    program.eval(&scope, &mut CALL_BUDGET.clone()).map_err(|error| error.to_string())
}

/// What the rules of a schema say of an object that was another one.
pub(super) fn schema_rule_errors(schema: &Value, new: &Value, old: &Value) -> crate::field::ErrorList {
    RuleSet::compile(schema).unwrap().errors(new, Some(old), schema)
}

pub(super) fn holds(text: &str, x: Value) {
    let found = run(text, x);
    assert!(found == Ok(Val::Bool(true)), "{text}: {:?}", found.map(|value| value.to_json()));
}

#[test]
fn operators_and_macros() {
    holds("x.a + 1 == 3 && !(x.a > 5)", json!({"a": 2}));
    holds("x.all(i, i > 0) && x.exists(i, i == 2) && x.exists_one(i, i == 3)", json!([1, 2, 3]));
    holds("x.map(i, i * 2) == [2, 4] && x.filter(i, i > 1) == [2]", json!([1, 2]));
    holds("has(x.a) && !has(x.b) && 'a' in x && x.?b.orValue(7) == 7", json!({"a": 1}));
    holds("x == null || x.size() == 0", Value::Null);
}

#[test]
fn one_side_of_a_decided_operator_may_fail() {
    holds("x.nope == 1 || true", json!({}));
    assert_eq!(run("x.nope == 1", json!({})).unwrap_err(), "no such key: nope");
    assert_eq!(run("x[2] > 0", json!([1])).unwrap_err(), "index out of bounds: 2");
    assert_eq!(run("10 / x > 1", json!(0)).unwrap_err(), "division by zero");
}

#[test]
fn libraries() {
    holds("'a,b'.split(',').join('-') == 'a-b' && 'Ab'.lowerAscii() == 'ab' && 'abc'.substring(1) == 'bc'", json!(0));
    holds("'x-1'.matches('^[a-z]-[0-9]$') && 'a1b2'.findAll('[0-9]') == ['1', '2']", json!(0));
    holds("quantity('1Gi').isGreaterThan(quantity('1G')) && isQuantity('100m')", json!(0));
    holds("ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.2.3')", json!(0));
    holds("url('https://a.io:80/p?q=1').getPort() == '80' && isURL('https://a.io/')", json!(0));
    holds("duration('1h') > duration('59m') && timestamp('2020-01-02T00:00:00Z').getFullYear() == 2020", json!(0));
    holds("sets.contains([1, 2], [2]) && [3, 1].max() == 3", json!(0));
    holds("'%s has %d'.format(['a', 3]) == 'a has 3' && semver('1.2.3').minor() == 2", json!(0));
    holds("!format.dns1123Label().validate('A').hasValue() == false", json!(0));
    holds("sign(quantity('-1')) == -1 && sign(quantity('1k')) == 1", json!(0));
}

#[test]
fn what_was_checked_before_may_mix_known_and_unknown_types() {
    let env = Env::new([("x".to_owned(), Type::Dyn)]);
    assert!(Program::compile("{'a': 'b', 'c': x}.size() == 2", &env).is_err());
    assert!(Program::compile("{'a': 'b', 'c': x}.size() == 2", &env.lenient()).is_ok());
}

#[test]
fn functions_of_other_libraries_are_not_there() {
    let why = |text: &str| run(text, json!(0)).unwrap_err().lines().next().unwrap_or_default().to_owned();
    let unknown = |name: &str| format!("ERROR: <input>:1:1: undeclared reference to '{name}' (in container '')");
    assert_eq!(why("math.greatest(1, 2) == 2"), unknown("math"));
    assert_eq!(why("base64.decode('YQ==') == b'a'"), unknown("base64"));
    assert_eq!(why("jsonpatch.escapeKey('a/b') == 'a~1b'"), unknown("jsonpatch"));
    assert!(why("'ab'.reverse() == 'ba'").ends_with("'reverse' applied to 'string.()'"));
    assert!(why("quantity('1').sign() == 1").ends_with("'sign' applied to 'kubernetes.Quantity.()'"));
    assert_eq!(
        run("duration(x) == duration('1s')", json!(1)).unwrap_err(),
        "type conversion error from 'int' to 'google.protobuf.Duration'"
    );
}

#[test]
fn conversions_that_fail() {
    let why = |text: &str, x: Value| run(text, x).unwrap_err();
    assert_eq!(why("uint(x) == 1u", json!(-1.5)), "unsigned integer overflow");
    assert_eq!(why("uint(x) == 1u", json!("+1")), "type conversion error from 'string' to 'uint'");
    assert_eq!(why("double(x) == 1.0", json!("1e999")), "type conversion error from 'string' to 'double'");
    assert_eq!(why("int(x) == 1", json!(9.3e18)), "integer overflow");
    holds("int(x) == 9223300000000000000 && uint(x) == 9223300000000000000u", json!(9.2233e18));
    assert_eq!(why("string(b'\\xff') == 'a'", json!(0)), "invalid UTF-8 in bytes, cannot convert to string");
    assert_eq!(why("timestamp(0).getHours(x) == 0", json!("999999999:0")), "unknown time zone 999999999:0");
    assert_eq!(
        why("timestamp(x) == timestamp(0)", json!("2020-01-01 00:00:00Z")),
        "type conversion error from 'string' to 'google.protobuf.Timestamp'"
    );
}

#[test]
fn prefixes_of_names_may_end_in_a_dash() {
    for kind in ["dns1123Label", "dns1123Subdomain", "dns1035Label"] {
        let of = |kind: &str, name: &str| format!("format.{kind}().validate('{name}').hasValue()");
        let prefix = format!("{kind}Prefix");
        holds(&format!("{} && !{}", of(kind, "a-"), of(&prefix, "a-")), json!(0));
        holds(&format!("format.named('{prefix}').value() == format.{prefix}() && {}", of(&prefix, "AA-")), json!(0));
    }
}

#[test]
fn members_of_what_may_be_absent() {
    holds("x.?a[?'b'].orValue('') == 'c' && x.?a[?'d'].orValue('e') == 'e'", json!({"a": {"b": "c"}}));
    holds("!x.?a.?b.hasValue() && x.?c[?0].orValue(1) == 1", json!({}));
}

#[test]
fn what_may_be_none_is_optional() {
    holds("[?x.?a, ?x.?b] == [1] && {?'a': x.?a, ?'b': x.?b} == {'a': 1}", json!({"a": 1}));
    let why = |text: &str| run(text, json!({"a": 1})).unwrap_err();
    assert!(why("[?1] == [1]").contains("expected type 'optional_type(int)' but found 'int'"));
    assert!(why("{?'a': 'b'} == {}").contains("expected type 'optional_type(string)' but found 'string'"));
    assert_eq!(why("[?x.a] == [1]"), "cannot initialize optional list element from non-optional value 1");
    assert_eq!(why("{?'k': x.a} == {}"), "cannot initialize optional entry 'k' from non-optional value 1");
    assert_eq!(why("[1, 'a', 'b', 'c'].size() == 1").matches("ERROR").count(), 1);
}

#[test]
fn fields_that_are_called_like_words_of_the_language_may_be_named_as_they_are() {
    let rule = "self.namespace == self.__namespace__ && has(self.namespace) && self.?namespace.orValue('') == 'a'";
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "properties": {"namespace": {"type": "string"}}, "x-kubernetes-validations": [{"rule": rule}]}}});
    assert_eq!(rule_errors(&schema, &Path::new("s"), &Vec::new()), []);
    let rules = RuleSet::compile(&schema).unwrap();
    assert_eq!(rules.errors(&json!({"spec": {"namespace": "a"}}), None, &schema), []);
    assert_eq!(rules.errors(&json!({"spec": {"namespace": "b"}}), None, &schema).len(), 1);
}

#[test]
fn errors_show_the_place() {
    let fields = [("a".to_owned(), Type::Int)];
    let env = Env::new([("self".to_owned(), Type::object("object", fields))]);
    let why = |text: &str| Program::compile(text, &env).unwrap_err().to_string();
    assert_eq!(why("self.nope == 1"), "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope == 1\n | ....^");
    assert_eq!(
        why("self.a == 'x'"),
        "ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(int, string)'\n | self.a == 'x'\n | .......^"
    );
    assert!(why("self.nope.contains(1)").contains("'contains' applied to '!error!.(int)'"));
    assert_eq!(why("self.nope.more == 1 && [y].all(e, e > 0)").matches("ERROR").count(), 2);
    assert!(why("self.a >").contains("1:9: Syntax error: mismatched input '<EOF>' expecting"));
    assert_eq!(why("y"), "ERROR: <input>:1:1: undeclared reference to 'y' (in container '')\n | y\n | ^");
}

#[test]
fn a_budget_ends_what_is_too_long() {
    let env = Env::new([("x".to_owned(), Type::Dyn)]);
    let program = Program::compile("x.all(a, x.all(b, x.all(c, a + b + c >= 0)))", &env).unwrap();
    let list: Vec<i64> = (0..300).collect();
    let scope = Vars(HashMap::from([("x", Val::from_json(&json!(list)))]));
    assert_eq!(program.eval(&scope, &mut CALL_BUDGET.clone()).err(), Some(EvalError::Budget));
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object",
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"},
            "imm": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed"}]}},
        "x-kubernetes-validations": [{"rule": "self.min <= self.max", "message": "min must not exceed max"}]}}})
}

#[test]
fn rules_run_on_objects() {
    let schema = schema();
    let rules = RuleSet::compile(&schema).unwrap();
    let texts = |new: &Value, old: Option<&Value>| -> Vec<String> {
        rules.errors(new, old, &schema).iter().map(ToString::to_string).collect()
    };
    let new = json!({"spec": {"min": 3, "max": 2, "imm": "a"}});
    assert_eq!(texts(&new, None), ["spec: Invalid value: min must not exceed max"]);
    let old = json!({"spec": {"min": 1, "max": 2, "imm": "b"}});
    let new = json!({"spec": {"min": 1, "max": 2, "imm": "a"}});
    assert_eq!(texts(&new, Some(&old)), ["spec.imm: Invalid value: \"a\": fixed"]);
    assert_eq!(
        texts(&json!({"spec": {"max": 1}}), None),
        ["spec: Invalid value: \"object\": no such key: min evaluating rule: min must not exceed max"]
    );
}

#[test]
fn bytes_are_read_in_the_standard_alphabet() {
    let rule = json!([{"rule": "self == b'\\xfb\\xff'"}]);
    let schema = json!({"type": "object", "properties": {
        "b": {"type": "string", "format": "byte", "x-kubernetes-validations": rule}}});
    let rules = RuleSet::compile(&schema).unwrap();
    assert_eq!(rules.errors(&json!({"b": "+/8="}), None, &schema), []);
    assert_eq!(rules.errors(&json!({"b": "-_8="}), None, &schema).len(), 1);
}

#[test]
fn unbounded_nested_loops_cost_too_much() {
    let deep = json!({"type": "object", "properties": {"l": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}},
        "x-kubernetes-validations": [{"rule": "self.l.all(x, x.all(y, y.contains('a')))"}]});
    let errors = rule_errors(&deep, &Path::new("s"), &Vec::new());
    assert!(errors[0].to_string().contains("exceeds budget by factor of more than 100x"), "{errors:?}");
    let flat = json!({"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}}},
        "x-kubernetes-validations": [{"rule": "self.l.all(x, x.startsWith('a'))"}]});
    assert_eq!(rule_errors(&flat, &Path::new("s"), &Vec::new()), []);
}

#[test]
fn what_stays_as_it_was_is_worth_a_warning_only() {
    let schema = schema();
    let rules = RuleSet::compile(&schema).unwrap();
    let object = |x: i64| json!({"spec": {"min": 3, "max": 2}, "x": x});
    assert_eq!(rules.errors(&object(2), Some(&object(1)), &schema), []);
    let kept = rules.kept_errors(&object(2), &object(1), &schema);
    let texts: Vec<String> = kept.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["spec: Invalid value: min must not exceed max"]);
    let changed = json!({"spec": {"min": 4, "max": 2}});
    assert_eq!(rules.errors(&changed, Some(&object(1)), &schema).len(), 1);
    assert_eq!(rules.kept_errors(&changed, &object(1), &schema), []);
}

#[test]
fn rules_name_the_field_that_they_say() {
    let schema = json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "string"}}},
        "x-kubernetes-validations": [{"rule": "!('a' in self.m)", "fieldPath": ".m['a']", "reason": "FieldValueForbidden"}]});
    let rules = RuleSet::compile(&schema).unwrap();
    let errors = rules.errors(&json!({"m": {"a": "x"}}), None, &schema);
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["m[a]: Forbidden: failed rule: !('a' in self.m)"]
    );
}

#[test]
fn rules_of_definitions_are_looked_at_where_the_schema_is_sound() {
    let of = |rule: Value| json!({"type": "object", "properties": {"s": {"type": "string", "x-kubernetes-validations": [rule]}}});
    let texts = |schema: &Value, found: &crate::field::ErrorList| -> Vec<String> {
        let errors = rule_errors(schema, &Path::new("r"), found);
        errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect()
    };
    let rule = of(json!({"rule": "self == 'a'", "optionalOldSelf": true, "messageExpression": "1"}));
    let at = "r.properties[s].x-kubernetes-validations[0]";
    assert_eq!(
        texts(&rule, &Vec::new()),
        [
            format!("{at}.messageExpression messageExpression must evaluate to a string"),
            format!("{at}.optionalOldSelf may not be set if oldSelf is not used in rule"),
        ]
    );
    let why = "instantiation failed: error parsing regexp: missing closing ): `(`";
    let unready = of(json!({"rule": "self.find('(') == ''"}));
    assert_eq!(texts(&unready, &Vec::new()), [format!("{at}.rule program {why}")]);
    let unready = of(json!({"rule": "self == 'a'", "messageExpression": "self.find('(')"}));
    assert_eq!(texts(&unready, &Vec::new()), [format!("{at}.messageExpression messageExpression {why}")]);
    let wrong = crate::field::Error::required(&Path::new("r").child("properties").key("s").child("type"), "");
    assert!(texts(&rule, &vec![wrong]).is_empty());
    let default = json!({"type": "object", "properties": {"n": {"type": "integer", "default": -1,
        "x-kubernetes-validations": [{"rule": "self > 0"}]}}});
    let found = default_errors(&default, &Path::new("r"));
    assert_eq!(found[0].to_string(), "r.properties[n].default: Invalid value: -1: failed rule: self > 0");
    let grows = json!({"type": "object", "properties": {"n": {"type": "integer", "default": 1,
        "x-kubernetes-validations": [{"rule": "self > oldSelf"}]}}});
    assert_eq!(default_errors(&grows, &Path::new("r"))[0].detail, "failed rule: self > oldSelf");
    let no_condition = of(json!({"rule": "oldSelf", "optionalOldSelf": false}));
    assert_eq!(texts(&no_condition, &Vec::new()).len(), 2);
}

#[test]
fn what_costs_nothing_does_so_however_often_it_occurs() {
    let mut deep = json!({"type": "string", "x-kubernetes-validations": [{"rule": "true"}, {"rule": "self != ''"}]});
    for _ in 0..20 {
        deep = json!({"type": "array", "maxItems": i64::MAX, "items": deep});
    }
    let found = rule_errors(&json!({"type": "object", "properties": {"l": deep}}), &Path::new("r"), &Vec::new());
    // The second rule by itself, the same once more as the worst of all, and all of them.
    let told: Vec<bool> = found.iter().map(|error| error.field.ends_with("x-kubernetes-validations[1].rule")).collect();
    assert_eq!(told, [true, true, false]);
}

#[test]
fn what_has_no_type_is_not_seen_by_rules() {
    let of = |open: Value, rules: Value| json!({"type": "object", "properties": {"p": open}, "x-kubernetes-validations": rules});
    let texts = |schema: &Value| -> Vec<String> {
        rule_errors(schema, &Path::new("s"), &Vec::new()).iter().map(ToString::to_string).collect()
    };
    let open = json!({"x-kubernetes-preserve-unknown-fields": true});
    let seen = texts(&of(open, json!([{"rule": "self.p == 1"}])));
    assert!(seen[0].contains("undefined field 'p'"), "{seen:?}");
    let own = json!({"x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-validations": [{"rule": "true"}]});
    assert_eq!(
        texts(&of(own, json!([]))),
        [
            "s.properties[p].x-kubernetes-validations: Internal error: internal error: failed to retrieve type information for x-kubernetes-validations"
        ]
    );
}

#[test]
fn each_part_of_a_conjunction_is_a_boolean() {
    let schema = json!({"type": "object", "properties": {"i": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.i || true"}]});
    let errors = rule_errors(&schema, &Path::new("s"), &Vec::new());
    assert!(errors[0].detail.contains("ERROR: <input>:1:5: expected type 'bool' but found 'int'"), "{errors:?}");
}

#[test]
fn a_message_sees_no_optional_old_value() {
    let rule = json!({"rule": "!oldSelf.hasValue() || self > oldSelf.value()", "optionalOldSelf": true,
        "message": "it grows", "messageExpression": "'was ' + string(oldSelf.value())"});
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "integer", "x-kubernetes-validations": [rule]}}});
    let rules = RuleSet::compile(&schema).unwrap();
    let errors = rules.errors(&json!({"n": 1}), Some(&json!({"n": 2})), &schema);
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n: Invalid value: 1: it grows"]);
}

#[test]
fn types_of_nested_maps_do_not_double() {
    let mut text = "[1]".to_owned();
    for _ in 0..60 {
        text = format!("[{text}].map(a, {{a: a}})");
    }
    drop(run(&text, json!(null)));
}

#[test]
fn an_operand_that_knows_no_operator_is_told_by_its_name() {
    for (text, told) in [
        ("dyn({'a': 1}) > 1", "no such overload: _>_"),
        ("dyn('a') - 1 == 1", "no such overload: _-_"),
        ("dyn([1]) % 2 == 1", "no such overload: _%_"),
        ("dyn(null) + 1 == 1", "no such overload: _+_"),
        ("dyn(1) > 'a'", "no such overload"),
        ("dyn('a') + 1 == 1", "no such overload"),
    ] {
        assert_eq!(run(text, json!(null)).unwrap_err(), told, "{text}");
    }
}

#[test]
fn what_has_no_fields_lacks_them() {
    holds("!has(x.a.b) && !has(x.n.b)", json!({"a": "text", "n": 1}));
    for (text, told) in [
        ("x.a.b == 1", "no such key: b"),
        ("x.a[0] == 1", "no such key: 0"),
        ("x.l.b == 1", "unsupported index type 'string' in list"),
        ("has(x.l.b)", "unsupported index type 'string' in list"),
        ("x.l['b'] == 1", "unsupported index type 'string' in list"),
        ("x.l[x.f] == 1", "unsupported index value 0.5 in list"),
    ] {
        assert_eq!(run(text, json!({"a": "text", "l": [1], "f": 0.5})).unwrap_err(), told, "{text}");
    }
}

#[test]
fn of_many_errors_the_first_are_told() {
    let text = format!("[{}]", vec!["y"; 150].join(","));
    let told = run(&text, json!(null)).unwrap_err();
    assert_eq!(told.matches("ERROR").count(), 100);
    assert!(told.ends_with("\n50 more errors were truncated"), "{told}");
    assert_eq!(
        run(&"x".repeat(100_001), json!(null)).unwrap_err(),
        "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000"
    );
}
