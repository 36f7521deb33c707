//! Running an expression, within a budget.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr, StructExpr,
};

use super::identifier::escaped_word;
use super::{EvalError, Key, Val, call, overloads};

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
    locals: Vec<(String, Val)>,
    /// Steps that are left.
    pub left: u64,
}

type Outcome = Result<Val, EvalError>;

fn fail<T>(why: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Failed(why.into()))
}

impl<'r> Run<'r> {
    pub(super) fn new(scope: &'r dyn Scope, budget: u64) -> Self {
        Self { scope, locals: Vec::new(), left: budget }
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
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Struct(made) => self.structure(made),
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
    }

    fn local(&self, name: &str) -> Option<&Val> {
        self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    fn ident(&mut self, name: &str) -> Outcome {
        self.spend(1)?;
        if let Some(value) = self.local(name) {
            return Ok(value.clone());
        }
        match self.scope.variable(name) {
            Some(value) => Ok(value),
            None if is_kind(name) => Ok(Val::Kind(Arc::from(name))),
            None => fail(format!("no such attribute(s): {name}")),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Outcome {
        self.spend(1)?;
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
            let value = self.eval(element)?;
            match value {
                Val::Optional(inner) if list.optional_indices.contains(&index) => {
                    out.extend(inner.map(|value| (*value).clone()));
                }
                value => out.push(value),
            }
        }
        Ok(Val::List(Arc::new(out)))
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
                value => value,
            };
            out.insert(Key::Text(Arc::from(entry.field.as_str())), value);
        }
        Ok(Val::Map(Arc::new(out)))
    }

    fn call(&mut self, call: &CallExpr) -> Outcome {
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
        self.spend(values.iter().map(Val::size).sum::<u64>() / 10)?;
        call::call(&name, target.is_some(), values)
    }

    /// `a.or(b)` and `a.orValue(b)` look at `b` only if `a` is empty.
    fn otherwise(&mut self, name: &str, target: &IdedExpr, fallback: &IdedExpr) -> Outcome {
        match self.eval(target)? {
            Val::Optional(None) => self.eval(fallback),
            Val::Optional(Some(value)) if name == "orValue" => Ok((*value).clone()),
            full @ Val::Optional(_) => Ok(full),
            _ => fail("no such overload"),
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

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Outcome {
        let range = self.eval(&loops.iter_range)?;
        let items: Vec<(Val, Val)> = match &range {
            Val::List(list) if loops.iter_var2.is_some() => {
                list.iter().enumerate().map(|(at, item)| (Val::Int(at as i64), item.clone())).collect()
            }
            Val::List(list) => list.iter().map(|item| (item.clone(), Val::Null)).collect(),
            Val::Map(map) => map.iter().map(|(key, value)| (key.to_val(), value.clone())).collect(),
            _ => return fail("no such overload"),
        };
        let depth = self.locals.len();
        let start = self.eval(&loops.accu_init)?;
        self.locals.push((loops.accu_var.clone(), start));
        let outcome = self.iterate(loops, items, depth);
        self.locals.truncate(depth + 1);
        let result = outcome.and_then(|()| self.eval(&loops.result));
        self.locals.truncate(depth);
        result
    }

    fn iterate(&mut self, loops: &ComprehensionExpr, items: Vec<(Val, Val)>, depth: usize) -> Result<(), EvalError> {
        // A step may fail; the failure counts only if it is the last word, as with `||` over the elements.
        let mut failure = None;
        for (first, second) in items {
            self.spend(1)?;
            if failure.is_none() && self.eval(&loops.loop_cond)? == Val::Bool(false) {
                break;
            }
            self.locals.push((loops.iter_var.clone(), first));
            if let Some(name) = &loops.iter_var2 {
                self.locals.push((name.clone(), second));
            }
            let next = self.step(&loops.loop_step, depth);
            self.locals.truncate(depth + 1);
            match next {
                Ok(value) => {
                    let decided =
                        matches!(&value, Val::Bool(_)) && failure.is_some() && is_decisive(&loops.loop_step, &value);
                    self.locals[depth].1 = value;
                    if decided {
                        return Ok(());
                    }
                }
                Err(error) if error != EvalError::Budget && is_logic(&loops.loop_step) => {
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The next value of the accumulator; lists grow in place.
    fn step(&mut self, step: &IdedExpr, depth: usize) -> Outcome {
        match &step.expr {
            Expr::Call(call) if call.func_name == "_?_:_" && call.args.len() == 3 => match self.eval(&call.args[0])? {
                Val::Bool(true) => self.step(&call.args[1], depth),
                Val::Bool(false) => self.step(&call.args[2], depth),
                _ => fail("no such overload"),
            },
            Expr::Call(call) if call.func_name == "_+_" && self.appends(call, depth) => {
                let Val::List(more) = self.eval(&call.args[1])? else { return fail("no such overload") };
                let mut own = std::mem::replace(&mut self.locals[depth].1, Val::Null);
                if let Val::List(list) = &mut own {
                    Arc::make_mut(list).extend(more.iter().cloned());
                }
                Ok(own)
            }
            Expr::Ident(name) if *name == self.locals[depth].0 => {
                Ok(std::mem::replace(&mut self.locals[depth].1, Val::Null))
            }
            _ => self.eval(step),
        }
    }

    fn appends(&self, call: &CallExpr, depth: usize) -> bool {
        let (name, value) = &self.locals[depth];
        let own = matches!(&call.args[0].expr, Expr::Ident(first) if first == name);
        own && matches!(value, Val::List(_)) && matches!(call.args[1].expr, Expr::List(_))
    }
}

fn is_logic(step: &IdedExpr) -> bool {
    matches!(&step.expr, Expr::Call(call) if matches!(call.func_name.as_str(), "_&&_" | "_||_"))
}

fn is_decisive(step: &IdedExpr, value: &Val) -> bool {
    match &step.expr {
        Expr::Call(call) if call.func_name == "_&&_" => *value == Val::Bool(false),
        Expr::Call(call) if call.func_name == "_||_" => *value == Val::Bool(true),
        _ => false,
    }
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

/// A member by its name. Fields that are called like words of the language are kept escaped, but may be named as they
/// are.
fn member<'m>(map: &'m BTreeMap<Key, Val>, name: &str) -> Option<&'m Val> {
    let own = map.get(&Key::Text(Arc::from(name)));
    own.or_else(|| map.get(&Key::Text(Arc::from(escaped_word(name)?))))
}

/// A field of a map or an object.
pub(super) fn field(operand: &Val, name: &str) -> Outcome {
    match operand {
        Val::Map(map) => match member(map, name) {
            Some(value) => Ok(value.clone()),
            None => fail(format!("no such key: {name}")),
        },
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => Ok(Val::Optional(field(inner, name).ok().map(Arc::new))),
        Val::Null => fail(format!("no such key: {name}")),
        _ => fail("no such overload"),
    }
}

fn has(operand: &Val, name: &str) -> Result<bool, EvalError> {
    match operand {
        Val::Map(map) => Ok(member(map, name).is_some()),
        Val::Optional(inner) => Ok(inner.as_ref().is_some_and(|inner| has(inner, name).unwrap_or_default())),
        Val::Null => Ok(false),
        _ => fail("no such overload"),
    }
}
