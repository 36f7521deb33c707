//! A request as expressions see it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mainstay_api::cel::{CALL_BUDGET, Env, EvalError, Program, Scope, Type, Val, authorizer};
use mainstay_api::field;
use parking_lot::Mutex;
use serde_json::Value;

use super::asker::{Asked, Asker};
use super::{Shared, matching, review, text};
use crate::admission::Attributes;
use crate::registry::Row;

/// What the validations of a policy may cost together on one request, or one mutation. Source: `RuntimeCELCostBudget`.
const BUDGET: u64 = 10_000_000;
/// What match conditions may cost together. Source: `RuntimeCELCostBudgetMatchConditions`.
const CONDITIONS_BUDGET: u64 = BUDGET / 4;
/// Compiled expressions that are kept.
const KEPT: usize = 4096;
/// Stack in bytes that the deepest expression takes at the most, and what is added where less than that is left: a variable
/// may ask for the one before it, and a policy can have tens of thousands of them.
const STACK: usize = 512 << 10;
const MORE_STACK: usize = 4 << 20;
/// A fault of so many bytes tells no more of the variables that it passes through.
const LONG_FAULT: usize = 4 << 10;

/// Expressions that have been compiled, for all requests alike.
#[derive(Default)]
pub(super) struct Programs(Mutex<HashMap<String, Arc<Program>>>);

impl Programs {
    fn get(&self, text: &str) -> Result<Arc<Program>, String> {
        if let Some(found) = self.0.lock().get(text) {
            return Ok(found.clone());
        }
        let made = Arc::new(Program::compile(text, &environment()).map_err(|error| error.to_string())?);
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_owned(), made.clone());
        Ok(made)
    }
}

/// Expressions were checked with their policy; when they run, types are those of the values.
fn environment() -> Env {
    let names = ["object", "oldObject", "request", "params", "namespaceObject", "variables"];
    let variables = names.map(|name| (name.to_owned(), Type::Dyn));
    Env::new(variables).with("authorizer", authorizer()).constructing(&["Object", "JSONPatch"]).lenient()
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// It fails itself.
    Failed(String),
    /// What it shares with others is used up, so that none of them counts.
    Exhausted,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Failed(why) => why,
            Self::Exhausted => {
                "validation failed due to running out of cost budget, no further validation rules will be run"
            }
        })
    }
}

/// One request under one configuration.
pub(super) struct Review<'r> {
    programs: &'r Programs,
    values: BTreeMap<&'static str, Val>,
    authorizer: Asker,
    variables: HashMap<&'r str, &'r str>,
    /// Variables that have been worked out, or are being so.
    known: RefCell<HashMap<String, Option<Result<Val, EvalError>>>>,
    budget: Cell<u64>,
}

impl<'r> Review<'r> {
    pub(super) fn new(
        shared: &'r Shared,
        request: &Attributes<'_>,
        wanted: &Row,
        own: &Arc<Row>,
        params: Option<&Value>,
        variables: &'r [Value],
    ) -> Self {
        let shown = |object: &Option<Value>| match object {
            Some(object) => Val::from_json(&review::seen(request, object, wanted, own)),
            None => Val::Null,
        };
        let namespace = matching::namespace(request);
        let values = BTreeMap::from([
            ("object", shown(&request.object)),
            ("oldObject", shown(&request.old_object)),
            ("request", Val::from_json(&review::request(request, wanted, own))),
            ("params", params.map_or(Val::Null, Val::from_json)),
            ("namespaceObject", namespace.map_or(Val::Null, |namespace| Val::from_json(&namespace))),
        ]);
        let resource = Asked {
            group: own.resource.group.clone(),
            resource: own.resource.resource.clone(),
            subresource: request.subresource.to_owned(),
            namespace: matching::stated_namespace(request).to_owned(),
            name: matching::name(request).to_owned(),
            ..Asked::default()
        };
        Self {
            programs: &shared.programs,
            values,
            authorizer: Asker::new(shared.authorizer.clone(), request.user.clone(), resource),
            variables: variables
                .iter()
                .map(|variable| (text(variable, "/name"), text(variable, "/expression")))
                .collect(),
            known: RefCell::default(),
            budget: Cell::new(BUDGET),
        }
    }

    /// The object has changed since.
    pub(super) fn set_object(&mut self, object: &Value) {
        self.values.insert("object", Val::from_json(object));
        self.known.borrow_mut().clear();
    }

    /// What comes now has a budget of its own.
    pub(super) fn renew_budget(&self) {
        self.budget.set(BUDGET);
    }

    /// Runs an expression.
    pub(super) fn eval(&self, expression: &str) -> Result<Val, Fault> {
        self.eval_in(expression, self)
    }

    fn eval_in(&self, expression: &str, scope: &dyn Scope) -> Result<Val, Fault> {
        let program = self.programs.get(expression).map_err(Fault::Failed)?;
        let is_scarce = self.budget.get() < CALL_BUDGET;
        self.run(&program, scope).map_err(|error| match error {
            EvalError::Budget if is_scarce => Fault::Exhausted,
            error => Fault::Failed(error.to_string()),
        })
    }

    fn run(&self, program: &Program, scope: &dyn Scope) -> Result<Val, EvalError> {
        let mut left = self.budget.get();
        let before = left;
        let outcome = program.eval(scope, &mut left);
        // Variables that the expression asked for have spent from the cell meanwhile.
        self.budget.set(self.budget.get().saturating_sub(before - left));
        outcome
    }

    /// Runs an expression that is at fault itself if it fails.
    pub(super) fn outcome(&self, expression: &str) -> Result<Val, Fault> {
        self.eval(expression).map_err(|fault| of_expression(expression, fault))
    }

    /// Runs an expression that constructs a change, and reads what it has made.
    pub(super) fn change<T>(&self, expression: &str, read: fn(&Val) -> Result<T, String>) -> Result<T, Fault> {
        read(&self.outcome(expression)?).map_err(Fault::Failed)
    }

    /// Whether all conditions hold; those that fail count only if none is false. They have a budget of their own.
    pub(super) fn conditions(&self, conditions: &[Value]) -> Result<bool, Fault> {
        let kept = self.budget.replace(CONDITIONS_BUDGET);
        let outcome = self.all_hold(conditions);
        self.budget.set(kept);
        outcome
    }

    fn all_hold(&self, conditions: &[Value]) -> Result<bool, Fault> {
        let mut failures: Vec<Fault> = Vec::new();
        for condition in conditions {
            let expression = text(condition, "/expression");
            match self.eval_in(expression, &Unplaced(self)) {
                Ok(Val::Bool(false)) => return Ok(false),
                Ok(_) => {}
                Err(Fault::Exhausted) => return Err(Fault::Exhausted),
                Err(fault) => failures.push(of_expression(expression, fault)),
            }
        }
        if failures.is_empty() { Ok(true) } else { Err(Fault::Failed(field::aggregate(&failures))) }
    }
}

/// What Kubernetes says of an expression that fails.
fn of_expression(expression: &str, fault: Fault) -> Fault {
    match fault {
        Fault::Failed(why) => Fault::Failed(format!("expression '{expression}' resulted in error: {why}")),
        Fault::Exhausted => Fault::Exhausted,
    }
}

/// What match conditions see: the request, but not the namespace that it is in.
struct Unplaced<'r>(&'r Review<'r>);

impl Scope for Unplaced<'_> {
    fn variable(&self, name: &str) -> Option<Val> {
        match name {
            "namespaceObject" => Some(Val::Null),
            name => self.0.variable(name),
        }
    }

    fn member(&self, of: &str, field: &str) -> Option<Result<Val, EvalError>> {
        self.0.member(of, field)
    }
}

impl Scope for Review<'_> {
    fn variable(&self, name: &str) -> Option<Val> {
        match name {
            "authorizer" => Some(Val::Host(Arc::new(self.authorizer.clone()))),
            name => self.values.get(name).cloned(),
        }
    }

    fn member(&self, of: &str, field: &str) -> Option<Result<Val, EvalError>> {
        match of {
            "authorizer" if field == "requestResource" => Some(Ok(Val::Host(Arc::new(self.authorizer.of_request())))),
            "variables" => Some(self.worked_out(field)),
            _ => None,
        }
    }
}

impl Review<'_> {
    fn worked_out(&self, name: &str) -> Result<Val, EvalError> {
        if let Some(known) = self.known.borrow().get(name) {
            let circular = || Err(EvalError::Failed(format!("variable '{name}' refers to itself")));
            return known.clone().unwrap_or_else(circular);
        }
        let Some(expression) = self.variables.get(name) else {
            return Err(EvalError::Failed(format!("no such key: {name}")));
        };
        self.known.borrow_mut().insert(name.to_owned(), None);
        let found = self.programs.get(expression).map_err(EvalError::Failed);
        let found = found.and_then(|program| stacker::maybe_grow(STACK, MORE_STACK, || self.run(&program, self)));
        let found = found.map_err(|error| match error {
            EvalError::Failed(why) if why.len() < LONG_FAULT => {
                EvalError::Failed(format!("composited variable \"{name}\" fails to evaluate: {why}"))
            }
            other => other,
        });
        self.known.borrow_mut().insert(name.to_owned(), Some(found.clone()));
        found
    }
}
