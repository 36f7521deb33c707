//! What an expression costs at the most, worked out before it runs, from the sizes that a schema allows.

use std::collections::HashMap;

use ::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr,
};
use serde_json::Value;

use super::identifier::dotted_type;
use super::sizes::Sizes;
use super::{CompileError, Env, Program, Type};
use crate::schema::text;

mod functions;
mod place;
mod size;

use place::Place;
use size::Size;

pub use place::{ALIKE, KEYS};

/// Limits on estimated costs.
pub struct Limits;

impl Limits {
    /// Of one rule.
    pub const RULE: f64 = 10_000_000.0;
    /// Of an expression that chooses among devices.
    pub const DEVICES: f64 = 1_000_000.0;
    /// Of all rules of a schema.
    pub const SCHEMA: f64 = 100_000_000.0;
    /// Nothing costs more.
    pub const LARGEST: f64 = size::UNBOUNDED;
}

/// The types of the parts of an expression, by their ids.
pub(super) type Types = HashMap<u64, Type>;

static DYN: Type = Type::Dyn;

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

/// The most that an expression about a value of a schema can cost; `root` if that is the schema of whole objects.
pub(super) fn estimate<'v>(
    sizes: &'v Sizes,
    (program, types): (&Program, &'v Types),
    (schema, root): (&'v Value, bool),
) -> f64 {
    let root = Place { schema, root };
    let mut estimator = Estimator { sizes, types, root, in_made: Way::To(root), locals: Vec::new() };
    estimator.cost(program.expression()).0.min(Limits::LARGEST)
}

impl Program {
    /// Compiles an expression about one variable; also what it costs at the most, where the variable is bounded by a
    /// schema.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn measured(text: &str, env: &Env, bounds: &Value) -> Result<(Self, f64), CompileError> {
        let (program, types) = Self::checked(text, env)?;
        let (sizes, root) = (Sizes::default(), Place::of(bounds));
        let mut estimator = Estimator { sizes: &sizes, types: &types, root, in_made: Way::Lost, locals: Vec::new() };
        let cost = estimator.cost(program.expression()).0.min(Limits::LARGEST);
        Ok((program, cost))
    }
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

/// The way to a value from a variable.
#[derive(Clone, Copy, Default)]
enum Way<'v> {
    /// There is none: the expression makes the value.
    #[default]
    Made,
    /// No schema is there.
    Lost,
    /// It leads to this place.
    To(Place<'v>),
}

/// The sizes of the keys and values of a list or map that an expression spells.
#[derive(Clone, Copy)]
struct Elements {
    key: Size,
    value: Size,
}

impl Elements {
    fn or(self, other: Self) -> Self {
        Self { key: self.key.or(other.key), value: self.value.or(other.value) }
    }
}

/// What is known of a value.
#[derive(Clone, Copy, Default)]
struct Known<'v> {
    size: Option<Size>,
    way: Way<'v>,
    elements: Option<Elements>,
}

impl Known<'_> {
    fn sized(size: Size) -> Self {
        Self { size: Some(size), ..Self::default() }
    }

    /// What nothing tells the size of has no bound, even a number as a text.
    fn size(&self) -> Size {
        self.size.unwrap_or(Size::ENDLESS)
    }
}

struct Estimator<'v> {
    sizes: &'v Sizes,
    types: &'v Types,
    root: Place<'v>,
    /// Where the parts are of a value that the expression makes.
    in_made: Way<'v>,
    locals: Vec<(String, Known<'v>)>,
}

impl<'v> Estimator<'v> {
    fn cost(&mut self, expr: &IdedExpr) -> (f64, Known<'v>) {
        let (cost, known) = match &expr.expr {
            Expr::Unspecified => (0.0, Known::default()),
            Expr::Literal(literal) => (0.0, Known::sized(literal_size(literal))),
            Expr::Ident(name) => return (1.0, self.ident(expr, name)),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Struct(made) => {
                let value = |entry: &EntryExpr| match entry {
                    EntryExpr::StructField(field) => self.cost(&field.value).0,
                    EntryExpr::MapEntry(_) => 0.0,
                };
                (40.0 + made.entries.iter().map(|entry| &entry.expr).map(value).sum::<f64>(), Known::default())
            }
            Expr::Comprehension(loops) if never_turns(loops) => self.bind(loops),
            Expr::Comprehension(loops) => self.comprehension(loops),
        };
        (cost, self.measured(expr, known))
    }

    fn type_of(&self, expr: &IdedExpr) -> &'v Type {
        self.types.get(&expr.id).unwrap_or(&DYN)
    }

    /// The size of what a way leads to.
    fn most(&self, way: Way<'v>) -> Option<Size> {
        match way {
            Way::To(place) => Some(Size::at_most(self.sizes.most(place.schema))),
            Way::Made | Way::Lost => None,
        }
    }

    /// A value with the size that its place gives it, or its type, if it has none.
    fn measured(&self, expr: &IdedExpr, known: Known<'v>) -> Known<'v> {
        let by_place = || self.most(known.way);
        let by_type = || is_scalar(self.type_of(expr)).then(|| Size::exactly(1.0));
        Known { size: known.size.or_else(by_place).or_else(by_type), ..known }
    }

    fn ident(&self, expr: &IdedExpr, name: &str) -> Known<'v> {
        let local = self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, known)| *known);
        let local = local.unwrap_or(Known { way: Way::To(self.root), ..Known::default() });
        let known = self.measured(expr, Known { size: None, ..local });
        Known { size: known.size.or(local.size), ..known }
    }

    fn select(&mut self, select: &SelectExpr) -> (f64, Known<'v>) {
        if dotted_type(select).is_some() && !self.types.contains_key(&select.operand.id) {
            return (1.0, Known { way: Way::To(self.root), ..Known::default() });
        }
        let (cost, of) = self.cost(&select.operand);
        if select.test {
            return (cost, Known::default());
        }
        let walks = matches!(self.type_of(&select.operand), Type::Map(..) | Type::Object(_) | Type::Var(_));
        let way = self.step(of.way, |place| place.field(&select.field));
        (cost + f64::from(u8::from(walks)), Known { way, ..Known::default() })
    }

    fn list(&mut self, list: &ListExpr) -> (f64, Known<'v>) {
        let (mut cost, mut value) = (10.0, None);
        for element in &list.elements {
            let (own, known) = self.cost(element);
            cost += own;
            value = Some(value.map_or(known.size(), |value: Size| value.or(known.size())));
        }
        let elements = Elements { key: Size::exactly(1.0), value: value.unwrap_or(Size::exactly(0.0)) };
        (cost, Known { elements: Some(elements), ..Known::sized(Size::count(list.elements.len())) })
    }

    fn map(&mut self, map: &MapExpr) -> (f64, Known<'v>) {
        let (mut cost, mut sizes) = (30.0, None);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let (key, value) = (self.cost(&entry.key), self.cost(&entry.value));
            cost += key.0 + value.0;
            let own = Elements { key: key.1.size(), value: value.1.size() };
            sizes = Some(sizes.map_or(own, |sizes: Elements| sizes.or(own)));
        }
        let nothing = Elements { key: Size::exactly(0.0), value: Size::exactly(0.0) };
        (cost, Known { elements: Some(sizes.unwrap_or(nothing)), ..Known::sized(Size::count(map.entries.len())) })
    }

    fn call(&mut self, call: &CallExpr) -> (f64, Known<'v>) {
        // Of a function with a dot in its name, what is before the dot is no value and has no type.
        let target = call.target.as_deref().filter(|target| self.types.contains_key(&target.id));
        let space = call.target.as_deref().filter(|_| target.is_none()).map(|space| &space.expr);
        let name = match space {
            Some(Expr::Ident(space)) => format!("{space}.{}", call.func_name),
            _ => call.func_name.clone(),
        };
        let target = target.map(|target| self.part(target));
        let args: Vec<Part<'_, 'v>> = call.args.iter().map(|arg| self.part(arg)).collect();
        if let ("_?_:_", [condition, yes, no]) = (name.as_str(), args.as_slice()) {
            let elements = yes.known.elements.zip(no.known.elements).map(|(yes, no)| yes.or(no));
            let known = Known { elements, ..Known::sized(yes.known.size().or(no.known.size())) };
            return (condition.cost + yes.cost.max(no.cost), known);
        }
        let given: f64 = target.iter().chain(&args).map(|part| part.cost).sum();
        let (own, known) = self.function(&name, target.as_ref(), &args);
        (given + own, known)
    }

    fn part<'e>(&mut self, expr: &'e IdedExpr) -> Part<'e, 'v> {
        let (cost, known) = self.cost(expr);
        Part { expr, cost, known, of: self.type_of(expr) }
    }

    /// One step further on a way. In rules, what is in a value that the expression makes is taken for the whole, as in
    /// Kubernetes.
    fn step(&self, way: Way<'v>, next: impl FnOnce(Place<'v>) -> Option<Place<'v>>) -> Way<'v> {
        match way {
            Way::Made => self.in_made,
            Way::Lost => Way::Lost,
            Way::To(place) => next(place).map_or(Way::Lost, Way::To),
        }
    }

    /// A value that only gets a name.
    fn bind(&mut self, loops: &ComprehensionExpr) -> (f64, Known<'v>) {
        let (range, (start, begun)) = (self.cost(&loops.iter_range).0, self.cost(&loops.accu_init));
        self.locals.push((loops.accu_var.clone(), begun));
        let (result, made) = self.cost(&loops.result);
        self.locals.pop();
        (range + start + result, Known { way: Way::Made, ..made })
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> (f64, Known<'v>) {
        let (range_cost, range) = self.cost(&loops.iter_range);
        let (start, begun) = self.cost(&loops.accu_init);
        let depth = self.locals.len();
        self.locals.push((loops.accu_var.clone(), begun));
        self.push_variables(loops, &range);
        let condition = self.cost(&loops.loop_cond).0;
        let (step, stepped) = self.cost(&loops.loop_step);
        self.locals.truncate(depth + 1);
        let result = self.cost(&loops.result).0;
        self.locals.truncate(depth);
        let turns = range.size();
        let known = match &loops.accu_init.expr {
            Expr::Literal(_) => Known { size: begun.size, ..Known::default() },
            Expr::List(_) | Expr::Map(_) => Known { elements: stepped.elements, ..Known::sized(turns) },
            _ => Known::default(),
        };
        (range_cost + start + turns.times_cost(condition + step) + result, known)
    }

    /// What the variables of a loop stand for. With two of them the first is an index or a key.
    fn push_variables(&mut self, loops: &ComprehensionExpr, range: &Known<'v>) {
        let is_list = matches!(self.type_of(&loops.iter_range), Type::List(_));
        let key = Known {
            size: range.elements.map(|elements| elements.key),
            way: self.step(range.way, |place| if is_list { None } else { place.keys() }),
            elements: None,
        };
        let size = range.elements.map(|elements| elements.value);
        let value = Known { size, way: self.step(range.way, Place::below), elements: None };
        let first = if loops.iter_var2.is_none() && is_list { value } else { key };
        self.locals.push((loops.iter_var.clone(), first));
        if let Some(name) = &loops.iter_var2 {
            self.locals.push((name.clone(), value));
        }
    }
}

/// A target or an argument of a call.
struct Part<'e, 'v> {
    expr: &'e IdedExpr,
    cost: f64,
    known: Known<'v>,
    of: &'v Type,
}

fn literal_size(literal: &LiteralValue) -> Size {
    match literal {
        LiteralValue::String(text) => Size::count(text.inner().chars().count()),
        LiteralValue::Bytes(bytes) => Size::count(bytes.inner().len()),
        _ => Size::exactly(1.0),
    }
}

fn is_scalar(of: &Type) -> bool {
    match of {
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Time | Type::Duration => true,
        Type::Optional(of) => is_scalar(of),
        _ => false,
    }
}

/// Whether a loop only gives a value a name.
fn never_turns(loops: &ComprehensionExpr) -> bool {
    matches!(&loops.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(flag)) if !*flag.inner())
}

#[cfg(test)]
mod tests;
