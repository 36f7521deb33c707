use serde_json::{Value, json};

use super::super::tests::{holds, run};
use super::super::{CALL_BUDGET, Env, Program, Scope, Type, Val};

struct Nothing;

impl Scope for Nothing {
    fn variable(&self, _name: &str) -> Option<Val> {
        None
    }
}

#[test]
fn loops_over_a_list_know_the_index() {
    let list = json!([1, 2, 4]);
    holds("x.all(i, v, i < v) && !x.all(i, v, v == i + 1)", list.clone());
    holds("x.exists(i, v, i == 2 && v == 4) && !x.exists(i, v, i == v)", list.clone());
    holds("x.existsOne(i, v, v > 2) && !x.exists_one(i, v, i < 2)", list.clone());
    holds("x.transformList(i, v, i * v) == [0, 2, 8]", list.clone());
    holds("x.transformList(i, v, i != 1, v) == [1, 4]", list.clone());
    holds("x.transformMap(i, v, v * 2) == {0: 2, 1: 4, 2: 8}", list.clone());
    holds("x.transformMap(i, v, v > 1, v) == {1: 2, 2: 4}", list.clone());
    holds("x.transformMapEntry(i, v, {v: i}) == {1: 0, 2: 1, 4: 2}", list.clone());
    holds("x.transformMapEntry(i, v, i > 1, {string(v): i}) == {'4': 2}", list);
}

#[test]
fn loops_over_a_map_know_the_value() {
    let map = json!({"a": 1, "b": 2});
    holds("x.all(k, v, v > 0 && k != 'c') && x.exists(k, v, k + string(v) == 'b2')", map.clone());
    holds("x.existsOne(k, v, v == 1) && x.transformList(k, v, k).size() == 2", map.clone());
    holds("x.transformMap(k, v, v + 1) == {'a': 2, 'b': 3}", map.clone());
    holds("x.transformMapEntry(k, v, {v: k}) == {1: 'a', 2: 'b'}", map);
    holds("{'h': ['hello', 'hi'], 'j': ['jog']}.all(k, l, l.all(v, v.startsWith(k)))", Value::Null);
}

#[test]
fn a_loop_over_two_variables_may_fail_and_be_decided() {
    holds("x.exists(i, v, 4 / v == 1) && !x.all(i, v, 4 / v == 4)", json!([0, 4]));
    assert_eq!(run("x.all(i, v, 4 / v > 0)", json!([0, 4])).unwrap_err(), "division by zero");
    assert_eq!(run("x.transformMap(i, v, 4 / v)", json!([0, 4])).unwrap_err(), "division by zero");
}

#[test]
fn what_no_loop_goes_over_is_told() {
    for (value, name) in [(json!(1), "types.Int"), (json!("a"), "types.String"), (Value::Null, "types.Null")] {
        let told = |text: &str| run(text, value.clone()).unwrap_err();
        assert_eq!(told("x.all(v, v > 0)"), format!("got '{name}', expected iterable type"));
        assert_eq!(told("x.map(v, v) == []"), format!("got '{name}', expected iterable type"));
        assert_eq!(told("x.all(i, v, v > 0)"), format!("unsupported comprehension range type: {name}"));
    }
}

#[test]
fn the_two_variables_of_a_loop_differ() {
    let why = |text: &str| run(text, json!([1])).unwrap_err();
    assert!(why("x.all(i, i, i > 0)").contains("duplicate variable name: i\n"));
    for text in ["x.all(__result__, v, v > 0)", "x.transformMap(i, __result__, i)"] {
        assert!(why(text).contains("iteration variable overwrites accumulator variable"), "{text}");
    }
}

#[test]
fn keys_of_a_map_that_is_made_differ() {
    let why = run("x.transformMapEntry(k, v, {v: k})", json!({"a": "c", "b": "c"})).unwrap_err();
    assert_eq!(why, "insert failed: key c already exists");
}

#[test]
fn lists_are_sorted_by_what_is_made_of_their_elements() {
    let list = json!([{"n": 3, "s": "a"}, {"n": 1, "s": "b"}, {"n": 2, "s": "c"}]);
    holds("x.sortBy(e, e.n).map(e, e.s) == ['b', 'c', 'a']", list.clone());
    holds("x.sortBy(e, -e.n)[0].s == 'a' && x.map(e, e.n).sortBy(e, e) == [1, 2, 3]", list.clone());
    holds("x.sortBy(e, x.sortBy(f, f.s)[0].n == e.n)[2].s == 'a'", list);
    assert!(run("[[1]].sortBy(e, e)", Value::Null).unwrap_err().contains("'@sortByAssociatedKeys' applied to"));
    assert!(run("'a'.sortBy(e, e)", Value::Null).unwrap_err().contains("sortBy can only be applied to a list"));
    assert_eq!(run("x.sortBy(e, e)", json!([1, "a"])).unwrap_err(), "list elements must have the same type");
}

#[test]
fn an_optional_is_mapped_if_it_is_there() {
    holds("x.?a.optMap(v, v + 1) == optional.of(3) && x.?b.optMap(v, v + 1) == optional.none()", json!({"a": 2}));
    holds("x.?a.optFlatMap(v, v.?b).value() == 1 && !x.?c.optFlatMap(v, v.?b).hasValue()", json!({"a": {"b": 1}}));
}

#[test]
fn variables_are_plain_names() {
    for text in ["x.all(1, v, true)", "x.transformMap(k, v.a, k)", "x.exists(k.b, v, true)"] {
        assert!(run(text, json!([])).unwrap_err().contains("argument must be a simple name"), "{text}");
    }
}

#[test]
fn what_is_no_variable_is_told_as_each_macro_tells_it() {
    let told = |text: &str, why: &str| {
        let error = run(text, json!([])).unwrap_err();
        assert!(error.contains(&format!(": {why}\n")), "{text}: {error}");
    };
    for text in ["x.all(v.a, true)", "x.exists(1, true)", "x.exists_one(v[0], true)", "x.existsOne('a', true)"] {
        told(text, "argument must be a simple name");
    }
    for text in ["x.map(v.a, true)", "x.map(1, true, 2)", "x.filter(v.a, true)", "x.sortBy(1, x)"] {
        told(text, "argument is not an identifier");
    }
    for text in ["x.all(__result__, true)", "x.map(__result__, 1)", "x.filter(__result__, true)"] {
        told(text, "iteration variable overwrites accumulator variable");
    }
    told("x.?a.optMap(v.a, 1)", "optMap() variable name must be a simple identifier");
    told("x.?a.optFlatMap(1, x.?b)", "optFlatMap() variable name must be a simple identifier");
    told("has(x)", "invalid argument to has() macro");
}

#[test]
fn loops_over_one_variable_are_as_ever() {
    let list = json!([1, 2, 4]);
    holds("x.all(v, v > 0) && x.exists(v, v == 2) && x.exists_one(v, v > 2) && x.existsOne(v, v < 2)", list.clone());
    holds("x.map(v, v * 2) == [2, 4, 8] && x.map(v, v > 1, v) == [2, 4] && x.filter(v, v != 2) == [1, 4]", list);
    holds("x.map(k, k).size() == 2 && x.filter(k, k != 'a') == ['b']", json!({"a": 1, "b": 2}));
    holds("has(x.a) && !has(x.b) && x.?a.optMap(x, x + 1).value() == 2", json!({"a": 1}));
}

#[test]
fn what_is_made_has_a_type() {
    let env = Env::new([("l".to_owned(), Type::list(Type::Int)), ("m".to_owned(), Type::map(Type::Bool))]);
    let of = |text: &str| Program::compile(text, &env).unwrap().output().to_string();
    assert_eq!(of("l.transformList(i, v, string(v))"), "list(string)");
    assert_eq!(of("m.transformList(k, v, v, k)"), "list(string)");
    assert_eq!(of("l.transformMap(i, v, v > i)"), "map(int, bool)");
    assert_eq!(of("m.transformMap(k, v, v, [k])"), "map(string, list(string))");
    assert_eq!(of("m.transformMapEntry(k, v, {v: k})"), "map(bool, string)");
    assert_eq!(of("l.existsOne(i, v, v == i)"), "bool");
    assert_eq!(of("l.sortBy(v, -v)"), "list(int)");
    assert_eq!(of("l.first().optMap(v, string(v))"), "optional_type(string)");
    let why = Program::compile("m.all(k, v, k == v)", &env).unwrap_err().to_string();
    assert!(why.contains("'_==_' applied to '(string, bool)'"), "{why}");
}

#[test]
fn values_get_names_only_where_kubernetes_allows_it() {
    let text = "cel.bind(d, x.a, d.b && d.c)";
    assert!(Program::compile(text, &Env::new([("x".to_owned(), Type::Dyn)])).is_err());
    let env = Env::new([("x".to_owned(), Type::map(Type::map(Type::Bool)))]).binding();
    assert_eq!(*Program::compile(text, &env).unwrap().output(), Type::Bool);
    assert!(Program::compile("x.bind(a, b, c)", &env).is_err());
    let why = Program::compile("cel.bind(1, x, x)", &env).unwrap_err().to_string();
    assert!(why.contains("cel.bind() variable names must be simple identifiers"), "{why}");
}

#[test]
fn a_value_with_a_name_fails_only_where_it_is_asked_for() {
    let run = |text: &str| {
        let program = Program::compile(text, &Env::new([]).binding()).map_err(|error| error.to_string())?;
        program.eval(&Nothing, &mut CALL_BUDGET.clone()).map_err(|error| error.to_string())
    };
    assert_eq!(run("cel.bind(a, 2, cel.bind(b, a + 1, a * b))"), Ok(Val::Int(6)));
    assert_eq!(run("cel.bind(a, 1 / 0, true || a == 1)"), Ok(Val::Bool(true)));
    assert_eq!(run("cel.bind(a, 1 / 0, a == 1)"), Err("division by zero".to_owned()));
}
