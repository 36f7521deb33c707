//! What an expression costs at the most, worked out before it runs, from the sizes that a schema allows.

use ::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use serde_json::Value;

use crate::schema::{additional, items, member, properties, text};

/// Bytes of the largest request, which bound what a schema leaves open.
const REQUEST: f64 = 3_145_728.0;
/// Cost of walking one character.
const CHARACTER: f64 = 0.1;

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
    let mut estimator = Estimator { schema, locals: Vec::new() };
    estimator.cost(program.expression()).0
}

/// How many values of an element's schema a list or map can have.
pub(super) fn most_elements(schema: &Value) -> f64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    match text(schema, "type") {
        "string" => bound("maxLength").map_or(REQUEST - 2.0, |most| most * 4.0),
        "array" => bound("maxItems").unwrap_or_else(|| {
            let least = items(schema).map_or(1.0, least_size);
            ((REQUEST - 2.0) / (least + 1.0)).floor()
        }),
        "object" if additional(schema).is_some() => bound("maxProperties").unwrap_or_else(|| {
            let least = additional(schema).map_or(1.0, least_size);
            ((REQUEST - 2.0) / (least + 6.0)).floor()
        }),
        "object" => 1.0,
        _ => 1.0,
    }
}

/// Bytes that a value of the schema takes at least.
fn least_size(schema: &Value) -> f64 {
    match text(schema, "type") {
        "boolean" => 4.0,
        "integer" | "number" => 1.0,
        "object" => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let sizes = required.filter_map(Value::as_str).filter_map(|name| {
                let of = properties(schema)?.get(name)?;
                #[expect(clippy::cast_precision_loss, reason = "names are short")]
                Some(name.len() as f64 + least_size(of) + 4.0)
            });
            2.0 + sizes.sum::<f64>()
        }
        _ => 2.0,
    }
}

/// What is known of a value's size.
#[derive(Clone, Copy)]
enum Shape<'v> {
    Schema(&'v Value),
    Size(f64),
}

impl Shape<'_> {
    fn size(self) -> f64 {
        match self {
            Shape::Schema(schema) => most_elements(schema),
            Shape::Size(size) => size,
        }
    }
}

struct Estimator<'v> {
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
            Expr::Map(_) | Expr::Struct(_) => (40.0, Shape::Size(1.0)),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
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
        let size = |index: usize| parts.get(index).map_or(1.0, |(_, shape)| shape.size());
        let all: f64 = parts.iter().map(|(cost, _)| cost).sum();
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
            "lowerAscii" | "upperAscii" | "trim" | "replace" | "substring" | "reverse" | "split" | "join" | "find"
            | "findAll" | "url" | "quantity" | "ip" | "cidr" => (1.0 + size(0) * CHARACTER, Shape::Size(size(0))),
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

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> (f64, Shape<'v>) {
        let (range, shape) = self.cost(&loops.iter_range);
        let (start, begun) = self.cost(&loops.accu_init);
        let depth = self.locals.len();
        let element = match shape {
            Shape::Schema(schema) if additional(schema).is_some() => Shape::Size(20.0),
            _ => self.element(Some(shape)),
        };
        self.locals.push((loops.accu_var.clone(), begun));
        self.locals.push((loops.iter_var.clone(), element));
        let each = self.cost(&loops.loop_cond).0 + self.cost(&loops.loop_step).0;
        let result = self.cost(&loops.result).0;
        self.locals.truncate(depth);
        (range + start + shape.size() * each + result, Shape::Size(shape.size()))
    }
}
