//! Loops, which is what macros become.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use ::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr};

use super::super::macros::MAP_INSERT;
use super::super::outcome::{Outcome, fail};
use super::super::{EvalError, Key, Val};
use super::Run;

impl Run<'_> {
    pub(super) fn comprehension(&mut self, loops: &ComprehensionExpr) -> Outcome {
        let range = self.eval(&loops.iter_range)?;
        let items: Vec<(Val, Val)> = match &range {
            Val::List(list) if loops.iter_var2.is_some() => {
                list.iter().enumerate().map(|(at, item)| (Val::Int(at as i64), item.clone())).collect()
            }
            Val::List(list) => list.iter().map(|item| (item.clone(), Val::Null)).collect(),
            Val::Map(map) => map.iter().map(|(key, value)| (key.to_val(), value.clone())).collect(),
            other => return fail(not_a_range(other, loops.iter_var2.is_some())),
        };
        let depth = self.locals.len();
        let start = self.eval(&loops.accu_init);
        if start == Err(EvalError::Budget) {
            return start;
        }
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
            self.locals.push((loops.iter_var.clone(), Ok(first)));
            if let Some(name) = &loops.iter_var2 {
                self.locals.push((name.clone(), Ok(second)));
            }
            let next = self.step(&loops.loop_step, depth);
            self.locals.truncate(depth + 1);
            match next {
                Ok(value) => {
                    let decided =
                        matches!(&value, Val::Bool(_)) && failure.is_some() && is_decisive(&loops.loop_step, &value);
                    self.locals[depth].1 = Ok(value);
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

    /// The next value of the accumulator; lists and maps grow in place.
    fn step(&mut self, step: &IdedExpr, depth: usize) -> Outcome {
        match &step.expr {
            Expr::Call(call) if call.func_name == "_?_:_" && call.args.len() == 3 => match self.eval(&call.args[0])? {
                Val::Bool(true) => self.step(&call.args[1], depth),
                Val::Bool(false) => self.step(&call.args[2], depth),
                _ => fail("no such overload"),
            },
            Expr::Call(call) if call.func_name == "_+_" && self.appends(call, depth) => {
                let Val::List(more) = self.eval(&call.args[1])? else { return fail("no such overload") };
                let mut own = self.take(depth);
                if let Ok(Val::List(list)) = &mut own {
                    Arc::make_mut(list).extend(more.iter().cloned());
                }
                own
            }
            Expr::Call(call) if call.func_name == MAP_INSERT => self.insert(&call.args[1..], depth),
            Expr::Ident(name) if *name == self.locals[depth].0 => self.take(depth),
            _ => self.eval(step),
        }
    }

    /// What has been accumulated, which the step that takes it puts back.
    fn take(&mut self, depth: usize) -> Outcome {
        std::mem::replace(&mut self.locals[depth].1, Ok(Val::Null))
    }

    fn appends(&self, call: &CallExpr, depth: usize) -> bool {
        let (name, value) = &self.locals[depth];
        let own = matches!(&call.args[0].expr, Expr::Ident(first) if first == name);
        own && matches!(value, Ok(Val::List(_))) && matches!(call.args[1].expr, Expr::List(_))
    }

    /// Puts an entry, or all of another map's, into the accumulated map, in place.
    fn insert(&mut self, added: &[IdedExpr], depth: usize) -> Outcome {
        let mut values = Vec::with_capacity(added.len());
        for expression in added {
            values.push(self.eval(expression)?);
        }
        let entries = entries(&values)?;
        self.spend(entries.len() as u64)?;
        let mut own = self.take(depth)?;
        let Val::Map(map) = &mut own else { return fail("no such overload") };
        let map = Arc::make_mut(map);
        for (key, value) in entries {
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    let key = place.key().to_val().to_text().unwrap_or_default();
                    return fail(format!("insert failed: key {key} already exists"));
                }
            }
        }
        Ok(own)
    }
}

/// What is said of a value that no loop goes over.
fn not_a_range(value: &Val, of_two: bool) -> String {
    let name = go_name(value);
    if of_two {
        format!("unsupported comprehension range type: {name}")
    } else {
        format!("got '{name}', expected iterable type")
    }
}

/// What Kubernetes calls values of a kind in its own language.
fn go_name(value: &Val) -> &'static str {
    match value {
        Val::Null => "types.Null",
        Val::Bool(_) => "types.Bool",
        Val::Int(_) => "types.Int",
        Val::Uint(_) => "types.Uint",
        Val::Double(_) => "types.Double",
        Val::Text(_) => "types.String",
        Val::Bytes(_) => "types.Bytes",
        Val::Time(_) => "types.Timestamp",
        Val::Duration(_) => "types.Duration",
        Val::Optional(_) => "*types.Optional",
        Val::Kind(_) => "*types.Type",
        Val::Quantity(_) => "cel.Quantity",
        Val::Url(_) => "cel.URL",
        Val::Ip(_) => "cel.IP",
        Val::Cidr(_) => "cel.CIDR",
        Val::Semver(_) => "cel.Semver",
        Val::Format(_) => "*cel.Format",
        Val::List(_) | Val::Map(_) | Val::Made(_) | Val::Host(_) => value.type_name(),
    }
}

/// The entries of one map, or the entry of a key and a value.
fn entries(values: &[Val]) -> Result<Vec<(Key, Val)>, EvalError> {
    match values {
        [Val::Map(map)] => Ok(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        [key, value] => match Key::of(key) {
            Some(key) => Ok(vec![(key, value.clone())]),
            None => fail(format!("unsupported key type: {}", key.type_name())),
        },
        _ => fail("no such overload"),
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
