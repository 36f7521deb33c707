//! What an expression costs at the most, worked out before it runs, from the sizes that a schema allows.

use ::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue};
use serde_json::Value;

use super::sizes::Sizes;
use crate::schema::{additional, items, member, text};

/// Cost of walking one character.
const CHARACTER: f64 = 0.1;
/// Cost of a call that makes a list.
const LIST_CALL: f64 = 11.0;
/// A size that nothing bounds.
const UNBOUNDED: f64 = 1.844_674_407_370_955_2e19;

/// Limits on estimated costs.
pub struct Limits;

impl Limits {
    /// Of one rule.
    pub const RULE: f64 = 10_000_000.0;
    /// Of all rules of a schema.
    pub const SCHEMA: f64 = 100_000_000.0;
}

/// Whether a variable occurs in an expression.
pub(super) fn mentions(expr: &IdedExpr, name: &str) -> bool {
    match &expr.expr {
        Expr::Ident(own) => own == name,
        Expr::Select(select) => mentions(&select.operand, name),
        Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).any(|part| mentions(part, name)),
        Expr::List(list) => list.elements.iter().any(|part| mentions(part, name)),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => mentions(&entry.key, name) || mentions(&entry.value, name),
            EntryExpr::StructField(field) => mentions(&field.value, name),
        }),
        Expr::Struct(made) => made.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::StructField(field) => mentions(&field.value, name),
            EntryExpr::MapEntry(entry) => mentions(&entry.key, name) || mentions(&entry.value, name),
        }),
        Expr::Comprehension(loops) => {
            [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
                .into_iter()
                .any(|part| mentions(part, name))
        }
        Expr::Literal(_) | Expr::Unspecified => false,
    }
}

/// The most that an expression about a value of a schema can cost.
#[must_use]
pub fn estimate(program: &super::Program, schema: &Value) -> f64 {
    estimate_by(&Sizes::default(), program, schema)
}

/// The same with the sizes that were worked out for expressions before.
pub(super) fn estimate_by<'v>(sizes: &'v Sizes, program: &super::Program, schema: &'v Value) -> f64 {
    let mut estimator = Estimator { sizes, schema, locals: Vec::new() };
    estimator.cost(program.expression()).0
}

/// How often what is in a schema can occur for each time the schema does, if it says so.
pub(super) fn times_below(schema: &Value) -> Option<f64> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64).map(|most| most.max(0.0));
    let is_map = schema.get("additionalProperties").is_some_and(|values| !values.is_null());
    match text(schema, "type") {
        "object" if is_map => bound("maxProperties"),
        "array" => bound("maxItems"),
        _ => Some(1.0),
    }
}

/// What is known of a value's size.
#[derive(Clone, Copy)]
enum Shape<'v> {
    Schema(&'v Value),
    Size(f64),
}

impl Shape<'_> {
    fn size(self, sizes: &Sizes) -> f64 {
        match self {
            Shape::Schema(schema) => sizes.most(schema),
            Shape::Size(size) => size,
        }
    }
}

struct Estimator<'v> {
    sizes: &'v Sizes,
    schema: &'v Value,
    locals: Vec<(String, Shape<'v>)>,
}

impl<'v> Estimator<'v> {
    fn cost(&mut self, expr: &IdedExpr) -> (f64, Shape<'v>) {
        match &expr.expr {
            Expr::Ident(name) => (1.0, self.ident(name)),
            Expr::Select(select) => {
                let (cost, shape) = self.cost(&select.operand);
                let inner = match shape {
                    Shape::Schema(schema) => member(schema, &select.field).map_or(Shape::Size(1.0), Shape::Schema),
                    Shape::Size(_) => Shape::Size(1.0),
                };
                (cost + 1.0, inner)
            }
            Expr::Literal(LiteralValue::String(text)) =>
            {
                #[expect(clippy::cast_precision_loss, reason = "literals are short")]
                (0.0, Shape::Size(text.inner().len() as f64))
            }
            Expr::Literal(_) | Expr::Unspecified => (0.0, Shape::Size(1.0)),
            Expr::List(list) => {
                let parts: f64 = list.elements.iter().map(|part| self.cost(part).0).sum();
                #[expect(clippy::cast_precision_loss, reason = "literals are short")]
                (parts + 10.0, Shape::Size(list.elements.len() as f64))
            }
            Expr::Map(map) => (30.0 + self.entries(&map.entries), Shape::Size(1.0)),
            Expr::Struct(made) => (40.0 + self.entries(&made.entries), Shape::Size(1.0)),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
    }

    /// What the keys and values of a map or an object cost.
    fn entries(&mut self, entries: &[IdedEntryExpr]) -> f64 {
        let cost = |entry: &IdedEntryExpr| match &entry.expr {
            EntryExpr::MapEntry(entry) => self.cost(&entry.key).0 + self.cost(&entry.value).0,
            EntryExpr::StructField(field) => self.cost(&field.value).0,
        };
        entries.iter().map(cost).sum()
    }

    fn ident(&self, name: &str) -> Shape<'v> {
        let local = self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, shape)| *shape);
        local.unwrap_or(match name {
            "self" | "oldSelf" => Shape::Schema(self.schema),
            _ => Shape::Size(1.0),
        })
    }

    fn call(&mut self, call: &CallExpr) -> (f64, Shape<'v>) {
        let parts: Vec<(f64, Shape<'v>)> =
            call.target.iter().map(AsRef::as_ref).chain(&call.args).map(|part| self.cost(part)).collect();
        let size = |index: usize| parts.get(index).map_or(1.0, |(_, shape)| shape.size(self.sizes));
        let all: f64 = parts.iter().map(|(cost, _)| cost).sum();
        if let Some((own, shape)) = self.list_call(call, &parts) {
            return (all + own, shape);
        }
        let (own, shape) = match call.func_name.as_str() {
            "_[_]" => (1.0, self.element(parts.first().map(|(_, shape)| *shape))),
            "_?_:_" => {
                let branches = parts[1].0.max(parts[2].0);
                return (parts[0].0 + branches + 1.0, parts[1].1);
            }
            "contains" => (1.0 + size(0) * CHARACTER * size(1) * CHARACTER, Shape::Size(1.0)),
            "matches" => (1.0 + (size(0) + 1.0) * CHARACTER * size(1) * 0.25, Shape::Size(1.0)),
            "startsWith" | "endsWith" => (1.0 + size(1) * CHARACTER, Shape::Size(1.0)),
            "_+_" => (1.0 + (size(0) + size(1)) * CHARACTER, Shape::Size(size(0) + size(1))),
            "_==_" | "_!=_" => (1.0 + size(0).min(size(1)) * CHARACTER, Shape::Size(1.0)),
            "@in" => (1.0 + size(1), Shape::Size(1.0)),
            "lowerAscii" | "upperAscii" | "trim" | "replace" | "substring" | "split" | "join" | "find" | "findAll"
            | "url" | "quantity" | "ip" | "cidr" => (1.0 + size(0) * CHARACTER, Shape::Size(size(0))),
            // A list, the characters, and a list with a structure for every other one of them.
            "fieldSelector" | "labelSelector" => {
                (10.0 + (size(1) * CHARACTER).ceil() + (size(1) / 2.0).ceil() * 50.0, Shape::Size(1.0))
            }
            "isSorted" | "sum" | "min" | "max" | "indexOf" | "lastIndexOf" => (1.0 + size(0), Shape::Size(1.0)),
            _ => (1.0, Shape::Size(1.0)),
        };
        (all + own, shape)
    }

    fn element(&self, of: Option<Shape<'v>>) -> Shape<'v> {
        match of {
            Some(Shape::Schema(schema)) => {
                items(schema).or_else(|| additional(schema)).map_or(Shape::Size(1.0), Shape::Schema)
            }
            _ => Shape::Size(1.0),
        }
    }

    /// Functions of lists and sets, which cost by how much they make or compare.
    fn list_call(&self, call: &CallExpr, parts: &[(f64, Shape<'v>)]) -> Option<(f64, Shape<'v>)> {
        let shape = |index: usize| parts.get(index).map(|(_, shape)| *shape);
        let size = |index: usize| shape(index).map_or(1.0, |shape| shape.size(self.sizes));
        let (factor, made) = match call.func_name.as_str() {
            "first" | "last" => return Some((1.0, self.element(shape(0)))),
            "value" | "or" | "orValue" => return Some((1.0, shape(0)?)),
            "unwrapOpt" => return Some((1.0, Shape::Size(size(0)))),
            "unwrap" => return Some((1.0, Shape::Size(size(1)))),
            "contains" | "intersects" if is_of(call, "sets") => {
                return Some((1.0 + size(1) * size(2), Shape::Size(1.0)));
            }
            "equivalent" => return Some((1.0 + 2.0 * size(1) * size(2), Shape::Size(1.0))),
            "slice" => (1.0, (whole(call, 1).unwrap_or(size(0)) - whole(call, 0).unwrap_or(0.0)).max(0.0)),
            "reverse" => (1.0, size(0)),
            "flatten" if call.args.is_empty() => (1.0, size(0)),
            "flatten" => (whole(call, 0).unwrap_or(UNBOUNDED), size(0)),
            "range" if is_of(call, "lists") => (1.0, whole(call, 0).unwrap_or(UNBOUNDED)),
            "distinct" => (2.0, size(0) * size(0)),
            "sort" if has_texts(shape(0)) => (2.0 + CHARACTER, size(0) * size(0)),
            "sort" => (2.0, size(0) * size(0)),
            "@sortByAssociatedKeys" => (2.0, size(1) * size(1)),
            _ => return None,
        };
        Some((LIST_CALL + factor * made, Shape::Size(made)))
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> (f64, Shape<'v>) {
        let (range, shape) = self.cost(&loops.iter_range);
        let (start, begun) = self.cost(&loops.accu_init);
        let depth = self.locals.len();
        self.locals.push((loops.accu_var.clone(), begun));
        if never_turns(loops) {
            let (result, made) = self.cost(&loops.result);
            self.locals.truncate(depth);
            return (range + start + result, made);
        }
        let (first, second) = self.variables(loops, shape);
        self.locals.push((loops.iter_var.clone(), first));
        if let Some(name) = &loops.iter_var2 {
            self.locals.push((name.clone(), second));
        }
        let each = self.cost(&loops.loop_cond).0 + self.cost(&loops.loop_step).0;
        let result = self.cost(&loops.result).0;
        self.locals.truncate(depth);
        let turns = shape.size(self.sizes);
        (range + start + turns * each + result, Shape::Size(turns))
    }

    /// What the variables of a loop stand for. With two of them the first is an index or a key.
    fn variables(&self, loops: &ComprehensionExpr, range: Shape<'v>) -> (Shape<'v>, Shape<'v>) {
        const KEY: Shape<'static> = Shape::Size(20.0);
        let element = self.element(Some(range));
        match range {
            Shape::Schema(schema) if additional(schema).is_some() => (KEY, element),
            _ if loops.iter_var2.is_some() => (Shape::Size(1.0), element),
            _ => (element, Shape::Size(1.0)),
        }
    }
}

/// Whether a loop only gives a value a name.
fn never_turns(loops: &ComprehensionExpr) -> bool {
    matches!(&loops.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(flag)) if !*flag.inner())
}

/// Whether a function is one of a library's, `lists.range`.
fn is_of(call: &CallExpr, library: &str) -> bool {
    matches!(call.target.as_ref().map(|target| &target.expr), Some(Expr::Ident(name)) if name == library)
}

/// An argument that stands in the expression as a whole number; what is less than nothing is nothing.
fn whole(call: &CallExpr, index: usize) -> Option<f64> {
    match call.args.get(index).map(|argument| &argument.expr) {
        #[expect(clippy::cast_precision_loss, reason = "estimates are no more precise")]
        Some(Expr::Literal(LiteralValue::Int(number))) => Some((*number.inner()).max(0) as f64),
        _ => None,
    }
}

fn has_texts(shape: Option<Shape<'_>>) -> bool {
    matches!(shape, Some(Shape::Schema(schema)) if items(schema).is_some_and(|of| text(of, "type") == "string"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::schema::type_of_schema;
    use super::super::{Env, Program};
    use super::*;

    /// What an expression costs about lists of ten and a map of five.
    fn cost(text: &str) -> f64 {
        let list = |of: Value| json!({"type": "array", "maxItems": 10, "items": of});
        let named = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let schema = json!({"type": "object", "properties": {
            "l": list(json!({"type": "integer"})),
            "t": list(json!({"type": "string", "maxLength": 5})),
            "ll": list(list(json!({"type": "integer"}))),
            "o": list(named),
            "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}}}});
        let env = Env::new([("self".to_owned(), type_of_schema(&schema, false).unwrap())]);
        estimate(&Program::compile(text, &env).unwrap(), &schema)
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
        // The name of the library counts as a variable.
        assert_eq!(cost("lists.range(7)"), 1.0 + 11.0 + 7.0);
        assert!(cost("lists.range(self.l[0])") > 1e19);
    }

    #[test]
    fn what_compares_all_with_all_costs_the_square() {
        assert_eq!(cost("self.l.distinct()"), 2.0 + 11.0 + 200.0);
        assert_eq!(cost("self.l.sort()"), 2.0 + 11.0 + 200.0);
        assert_eq!(cost("self.t.sort()"), 2.0 + 11.0 + 210.0);
        assert_eq!(cost("sets.equivalent(self.l, self.l)"), 1.0 + 4.0 + 1.0 + 200.0);
        // The list and its name, the keys of what the name stands for, and the sorting of them.
        let keys = cost("self.o.map(e, e.n)");
        assert_eq!(cost("self.o.sortBy(e, e.n)"), 10.0 + 2.0 + 1.0 + (keys - 1.0) + 11.0 + 200.0);
    }

    #[test]
    fn what_comes_out_of_a_list_is_as_large_as_its_elements() {
        // Up to twenty bytes against one.
        assert!((cost("self.t.first().value().contains('a')") - 5.2).abs() < 1e-9);
    }

    #[test]
    fn loops_over_two_variables_cost_their_turns() {
        // Each turn: the condition is two, and the step is one for `&&`, one for what was, and what is asked.
        assert_eq!(cost("self.l.all(i, v, true)"), 2.0 + 10.0 * (2.0 + 2.0) + 1.0);
        assert_eq!(cost("self.m.all(k, v, true)"), 2.0 + 5.0 * (2.0 + 2.0) + 1.0);
        assert_eq!(cost("self.l.transformMap(i, v, true)"), 2.0 + 30.0 + 10.0 * 3.0 + 1.0);
        assert_eq!(cost("self.l.transformMapEntry(i, v, {v: i})"), 2.0 + 30.0 + 10.0 * (2.0 + 32.0) + 1.0);
    }
}
