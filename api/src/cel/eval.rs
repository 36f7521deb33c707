//! Running an expression, within a budget.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ::cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr, StructExpr,
};

use super::constructed::Made;
use super::fields::{field, has};
use super::identifier::dotted_type;
use super::outcome::{Outcome, fail};
use super::{EvalError, Key, Val, call, overloads, price};

mod loops;

/// What names stand for while an expression runs.
pub trait Scope {
    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<Val>;

    /// The value of a member that is worked out when it is asked for, such as `variables.x`.
    fn member(&self, _of: &str, _field: &str) -> Option<Result<Val, EvalError>> {
        None
    }
}

/// One run.
pub(super) struct Run<'r> {
    scope: &'r dyn Scope,
    /// What names stand for inside a loop. A value that could not be made fails where it is asked for.
    locals: Vec<(String, Outcome)>,
    /// Steps that are left.
    pub left: u64,
    /// What sums come to, by id, if there is nothing to add up.
    sums: &'r HashMap<u64, Val>,
}

impl<'r> Run<'r> {
    pub(super) fn new(scope: &'r dyn Scope, budget: u64, sums: &'r HashMap<u64, Val>) -> Self {
        Self { scope, locals: Vec::new(), left: budget, sums }
    }

    fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(EvalError::Budget)
            }
        }
    }

    pub(super) fn eval(&mut self, expr: &IdedExpr) -> Outcome {
        match &expr.expr {
            Expr::Unspecified => fail("no expression"),
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(expr.id, call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Struct(made) => self.structure(made),
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
    }

    fn local(&self, name: &str) -> Option<&Outcome> {
        self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    fn ident(&mut self, name: &str) -> Outcome {
        self.spend(1)?;
        if let Some(value) = self.local(name) {
            return value.clone();
        }
        match self.scope.variable(name) {
            Some(value) => Ok(value),
            None if is_kind(name) => Ok(Val::Kind(Arc::from(name))),
            None => fail(format!("no such attribute(s): {name}")),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Outcome {
        self.spend(1)?;
        if let Some((name, root)) = dotted_type(select)
            && self.local(root).is_none()
            && self.scope.variable(root).is_none()
        {
            return Ok(Val::Kind(Arc::from(name)));
        }
        if let Expr::Ident(name) = &select.operand.expr
            && self.local(name).is_none()
            && let Some(found) = self.scope.member(name, &select.field)
        {
            return if select.test { found.map(|value| Val::Bool(!matches!(value, Val::Null))) } else { found };
        }
        let operand = self.eval(&select.operand)?;
        if select.test {
            return has(&operand, &select.field).map(Val::Bool);
        }
        field(&operand, &select.field)
    }

    fn list(&mut self, list: &ListExpr) -> Outcome {
        self.spend(10)?;
        let mut out = Vec::with_capacity(list.elements.len());
        for (index, element) in list.elements.iter().enumerate() {
            let optional = list.optional_indices.contains(&index);
            match self.eval(element)? {
                Val::Optional(inner) if optional => out.extend(inner.map(|value| (*value).clone())),
                value if optional => return fail(not_optional("list element", &value)),
                value => out.push(value),
            }
        }
        Ok(Val::list(out))
    }

    fn map(&mut self, map: &MapExpr) -> Outcome {
        self.spend(30)?;
        let mut out = BTreeMap::new();
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.eval(&entry.key)?;
            let Some(key) = Key::of(&key) else { return fail(format!("unsupported key type: {}", key.type_name())) };
            match self.eval(&entry.value)? {
                Val::Optional(inner) if entry.optional => {
                    if let Some(value) = inner {
                        out.insert(key, (*value).clone());
                    }
                }
                value if entry.optional => {
                    let key = key.to_val().to_text().unwrap_or_default();
                    return fail(not_optional(&format!("entry '{key}'"), &value));
                }
                value => drop(out.insert(key, value)),
            }
        }
        Ok(Val::Map(Arc::new(out)))
    }

    fn structure(&mut self, made: &StructExpr) -> Outcome {
        self.spend(40)?;
        let mut out = BTreeMap::new();
        for entry in &made.entries {
            let EntryExpr::StructField(entry) = &entry.expr else { continue };
            let value = match self.eval(&entry.value)? {
                Val::Optional(None) if entry.optional => continue,
                Val::Optional(Some(value)) if entry.optional => (*value).clone(),
                value if entry.optional => {
                    return fail(not_optional(&format!("entry '{}'", entry.field), &value));
                }
                value => value,
            };
            out.insert(Key::Text(Arc::from(entry.field.as_str())), value);
        }
        Made::construct(&made.type_name, out)
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Outcome {
        self.spend(1)?;
        match (call.func_name.as_str(), call.args.as_slice()) {
            ("_&&_", [left, right]) => return self.both(left, right, false),
            ("_||_", [left, right]) => return self.both(left, right, true),
            ("_?_:_", [condition, yes, no]) => {
                return match self.eval(condition)? {
                    Val::Bool(true) => self.eval(yes),
                    Val::Bool(false) => self.eval(no),
                    _ => fail("no such overload"),
                };
            }
            ("@not_strictly_false", [condition]) => {
                return match self.eval(condition) {
                    Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                    Err(EvalError::Budget) => Err(EvalError::Budget),
                    _ => Ok(Val::Bool(true)),
                };
            }
            _ => {}
        }
        let (name, target) = match self.qualified(call) {
            Some(name) => (name, None),
            None => (call.func_name.clone(), call.target.as_ref()),
        };
        if let (Some(target), [fallback]) = (target, call.args.as_slice())
            && matches!(name.as_str(), "or" | "orValue")
        {
            return self.otherwise(&name, target, fallback);
        }
        let mut values = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = target {
            values.push(self.eval(target)?);
        }
        for argument in &call.args {
            values.push(self.eval(argument)?);
        }
        self.spend(price::of(&name, &values))?;
        if let ("sum", [Val::List(list)]) = (name.as_str(), values.as_slice())
            && list.is_empty()
            && let Some(nothing) = self.sums.get(&id)
        {
            return Ok(nothing.clone());
        }
        call::call(&name, target.is_some(), values)
    }

    /// `a.or(b)` and `a.orValue(b)` look at `b` only if `a` is empty.
    fn otherwise(&mut self, name: &str, target: &IdedExpr, fallback: &IdedExpr) -> Outcome {
        match self.eval(target)? {
            Val::Optional(None) => self.eval(fallback),
            Val::Optional(Some(value)) if name == "orValue" => Ok((*value).clone()),
            // What is no optional at all is there, and is taken as it is.
            own => Ok(own),
        }
    }

    fn qualified(&self, call: &CallExpr) -> Option<String> {
        let Some(Expr::Ident(space)) = call.target.as_ref().map(|target| &target.expr) else { return None };
        let name = format!("{space}.{}", call.func_name);
        let known = overloads::of(&name).is_some_and(|all| all.iter().any(|overload| !overload.member));
        (known && self.local(space).is_none() && self.scope.variable(space).is_none()).then_some(name)
    }

    /// `&&` and `||` of any order: one side may fail if the other decides.
    fn both(&mut self, left: &IdedExpr, right: &IdedExpr, decisive: bool) -> Outcome {
        let first = self.eval(left);
        match first {
            Ok(Val::Bool(value)) if value == decisive => return Ok(Val::Bool(decisive)),
            Err(EvalError::Budget) => return first,
            _ => {}
        }
        let second = self.eval(right);
        match (first, second) {
            (_, Ok(Val::Bool(value))) if value == decisive => Ok(Val::Bool(decisive)),
            (_, Err(EvalError::Budget)) => Err(EvalError::Budget),
            (Ok(Val::Bool(_)), Ok(Val::Bool(_))) => Ok(Val::Bool(!decisive)),
            (Err(error), _) | (_, Err(error)) => Err(error),
            _ => fail("no such overload"),
        }
    }
}

/// What is said of a value that is always there and stands where one may be none.
fn not_optional(place: &str, value: &Val) -> String {
    let shown = value.to_text().unwrap_or_default();
    format!("cannot initialize optional {place} from non-optional value {shown}")
}

fn is_kind(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int"
            | "uint"
            | "double"
            | "string"
            | "bytes"
            | "list"
            | "map"
            | "null_type"
            | "type"
            | "optional_type"
    )
}

fn literal_value(literal: &LiteralValue) -> Val {
    match literal {
        LiteralValue::Boolean(flag) => Val::Bool(*flag.inner()),
        LiteralValue::Bytes(bytes) => Val::Bytes(Arc::from(bytes.inner())),
        LiteralValue::Double(number) => Val::Double(*number.inner()),
        LiteralValue::Int(number) => Val::Int(*number.inner()),
        LiteralValue::Null => Val::Null,
        LiteralValue::String(text) => Val::text(text.inner()),
        LiteralValue::UInt(number) => Val::Uint(*number.inner()),
    }
}
