use serde_json::{Value, json};

use super::super::schema::type_of_schema;
use super::*;

fn estimated(text: &str, schema: &Value, root: bool) -> f64 {
    let env = Env::new([("self".to_owned(), type_of_schema(schema, root).unwrap())]);
    let (program, types) = Program::checked(text, &env).unwrap();
    estimate(&Sizes::default(), (&program, &types), (schema, root))
}

/// What an expression costs about lists of ten and a map of five.
fn cost(text: &str) -> f64 {
    let list = |of: Value| json!({"type": "array", "maxItems": 10, "items": of});
    let named = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {
        "n": {"type": "integer"},
        "s": {"type": "string"},
        "l": list(json!({"type": "integer"})),
        "t": list(json!({"type": "string", "maxLength": 5})),
        "ll": list(list(json!({"type": "integer"}))),
        "o": list(named),
        "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}}}});
    estimated(text, &schema, false)
}

#[test]
fn what_is_asked_of_values_costs_nothing_more() {
    // `self.n` costs two, and a number of the schema has no size.
    assert_eq!(cost("self.n == 1"), 2.0);
    assert_eq!(cost("self.n > 1"), 2.0 + 1.0);
    assert_eq!(cost("has(self.n) && self.n > 1"), 1.0 + 3.0);
    assert_eq!(cost("self.n > 1 ? self.n == 2 : true"), 3.0 + 2.0);
    assert_eq!(cost("self.s == 'abcdefghijkl'"), 2.0 + 2.0);
    assert_eq!(cost("self.s.startsWith('abcdefghijkl')"), 2.0 + 2.0);
    assert_eq!(cost("self.s in ['a', 'b']"), 2.0 + 10.0 + 2.0);
    assert_eq!(cost("size(self.s) > 1"), 2.0 + 1.0 + 1.0);
}

#[test]
fn texts_cost_by_their_lengths() {
    assert_eq!(cost("self.t[0].contains('abc')"), 3.0 + 2.0);
    assert_eq!(cost("self.t[0].matches('^abc$')"), 3.0 + 3.0 * 2.0);
    assert_eq!(cost("self.t[0] + self.t[1] == ''"), 3.0 + 3.0 + 4.0);
    assert_eq!(cost("self.t.join('--').size() == 1"), 2.0 + 22.0 + 1.0 + 1.0);
    assert_eq!(cost("self.t[0].replace('a', 'bc').contains('d')"), 3.0 + 4.0 + 4.0);
    assert_eq!(cost("isIP(self.s)"), 2.0 + 1.0);
    assert_eq!(cost("self.t.isSorted()"), 2.0 + 10.0 * (1.0 + 2.0));
    // What the metadata says of itself is as large as a request.
    let whole = json!({"type": "object", "properties": {}});
    assert_eq!(estimated("self.metadata.name.contains('abc')", &whole, true), 3.0 + 314_573.0);
    // A schema that says all of what identifies objects is believed, and one that says a part of it is not.
    let name = json!({"type": "string", "maxLength": 5});
    let metadata = json!({"type": "object", "properties": {"name": name, "generateName": name}});
    let mut own = json!({"type": "object", "properties": {"kind": name, "apiVersion": name, "metadata": metadata}});
    assert_eq!(estimated("self.metadata.name.contains('abc')", &own, true), 3.0 + 2.0);
    assert_eq!(estimated("self.kind.contains('abc')", &own, true), 2.0 + 2.0);
    own["properties"]["metadata"]["properties"]["generateName"] = json!({});
    assert_eq!(estimated("self.metadata.name.contains('abc')", &own, true), 3.0 + 314_573.0);
    // A field is found whose name no expression can spell.
    let dashed = json!({"type": "object", "properties": {"x-y": {"type": "string", "maxLength": 5}}});
    assert_eq!(estimated("self.x__dash__y.contains('abc')", &dashed, false), 2.0 + 2.0);
}

#[test]
fn functions_of_lists_cost_by_what_they_make() {
    // `self.l` costs two.
    assert_eq!(cost("self.l.first()"), 3.0);
    assert_eq!(cost("self.l.reverse()"), 2.0 + 11.0 + 10.0);
    assert_eq!(cost("self.l.slice(2, 5)"), 2.0 + 11.0 + 3.0);
    assert_eq!(cost("self.l.slice(0, self.l[0])"), 2.0 + 3.0 + 11.0 + 10.0);
    assert_eq!(cost("self.ll.flatten()"), 2.0 + 11.0 + 10.0);
    assert_eq!(cost("self.ll.flatten(3)"), 2.0 + 11.0 + 30.0);
    assert!(cost("self.ll.flatten(self.l[0])") > 1e19);
    assert_eq!(cost("lists.range(7)"), 11.0 + 7.0);
    assert!(cost("lists.range(self.l[0])") > 1e19);
}

#[test]
fn what_compares_all_with_all_costs_the_square() {
    assert_eq!(cost("self.l.distinct()"), 2.0 + 11.0 + 200.0);
    assert_eq!(cost("self.l.sort()"), 2.0 + 11.0 + 200.0);
    assert_eq!(cost("self.t.sort()"), 2.0 + 11.0 + 210.0);
    assert_eq!(cost("sets.equivalent(self.l, self.l)"), 4.0 + 1.0 + 200.0);
    // The list and its name, the keys of what the name stands for, and the sorting of them.
    let keys = cost("self.o.map(e, e.n)");
    assert_eq!(cost("self.o.sortBy(e, e.n)"), 10.0 + 2.0 + 1.0 + (keys - 1.0) + 11.0 + 200.0);
}

#[test]
fn what_nothing_tells_the_size_of_has_no_bound() {
    for text in [
        "'at most ' + string(self.n) == 'at most 1'",
        "self.t.first().value().contains('a')",
        "self.?s.orValue('').contains('a')",
        "self.?t.orValue([]).all(v, true)",
        "['a', 'b'].join(',') == 'a,b'",
        "self.o.map(e, string(e.n)).isSorted()",
        "'%d'.format([self.n]) + '!' == '1!'",
        "optional.of('a') == optional.of(self.s)",
        "quantity(self.s) != quantity('1')",
        "self.s in self.?t.orValue([])",
        "self.s.split(',', -1).all(v, true)",
        "self.l.slice(5, 2)",
    ] {
        assert!(cost(text) > 1e17, "{text}");
    }
    assert_eq!(cost("lists.range(self.l[0])"), Limits::LARGEST);
}

#[test]
fn what_has_no_bound_costs_little_beside_what_has_one() {
    assert_eq!(cost("string(self.n) == 'ten chars.'"), 3.0 + 1.0);
    assert_eq!(cost("self.?s.orValue('') == 'a'"), 1.0 + 1.0 + 1.0 + 1.0);
    assert_eq!(cost("self.?n.orValue(1) == 1"), 1.0 + 1.0 + 1.0 + 1.0);
    assert_eq!(cost("self.?n == optional.of(1)"), 2.0 + 1.0 + 1.0);
    assert_eq!(cost("type(self.s) == string"), 3.0 + 1.0);
    assert_eq!(cost("self.o.first().value().n == 1"), 5.0);
    assert_eq!(cost("quantity(self.s) == quantity('1')"), 3.0 + 1.0 + 1.0);
    assert_eq!(cost("format.uuid() == format.date()"), 1.0 + 1.0 + 7.0);
    // What the expression makes is taken for the whole, which is an object and of no size.
    assert_eq!(
        cost("self.s.split(',').exists(v, v.contains('a'))"),
        cost("self.s.split(',').exists(v, false)") + 3_145_726.0
    );
}

#[test]
fn loops_cost_their_turns() {
    // Each turn: the condition is two, and the step is what was, and what is asked.
    assert_eq!(cost("self.l.all(v, v > 1)"), 2.0 + 10.0 * (2.0 + 1.0 + 2.0) + 1.0);
    assert_eq!(cost("self.l.all(i, v, true)"), 2.0 + 10.0 * (2.0 + 1.0) + 1.0);
    assert_eq!(cost("self.m.all(k, v, true)"), 2.0 + 5.0 * (2.0 + 1.0) + 1.0);
    assert_eq!(cost("self.l.transformMap(i, v, true)"), 2.0 + 30.0 + 10.0 * 3.0 + 1.0);
    assert_eq!(cost("self.l.transformMapEntry(i, v, {v: i})"), 2.0 + 30.0 + 10.0 * (2.0 + 32.0) + 1.0);
}
