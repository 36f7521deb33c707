//! CEL, the language of validation rules and admission policies, with Kubernetes' libraries.
//!
//! The `cel` crate parses; types, evaluation and cost are ours, because Kubernetes' limits and messages depend on them.
//! Every run has a budget, so an expression can be slow but never endless.

use std::collections::HashMap;

use ::cel::common::ast::{IdedExpr, SourceInfo};

mod addresses;
mod admission;
mod builtin;
mod call;
mod check;
mod constructed;
mod cost;
mod depth;
mod eval;
mod fields;
mod format;
mod identifier;
mod kube;
mod list;
mod lists;
mod literals;
mod macros;
mod moment;
mod operators;
mod outcome;
mod overloads;
mod policy;
mod price;
mod rules;
mod schema;
mod sizes;
mod text;
mod time;
mod types;
mod urls;
mod value;
mod variables;
mod versions;

pub use admission::{authorizer, namespace, request_environment};
pub use builtin::type_of_kind;
pub use constructed::{Made, configuration, operations};
pub use cost::{ALIKE, KEYS, Limits};
pub use eval::Scope;
pub use identifier::is_identifier;
pub use list::List;
pub use policy::policy_warnings;
pub use rules::{RuleSet, default_errors, rule_errors};
pub use schema::{type_of_schema, value_of_schema};
pub(crate) use time::parse_duration;
pub use types::{ObjectType, Type};
pub use value::{Host, Key, Val};

/// Steps that one evaluation may take.
pub const CALL_BUDGET: u64 = 1_000_000;

/// Characters of an expression, at the most.
const LONGEST: usize = 100_000;
/// Errors of an expression that are shown.
const MOST_SHOWN: usize = 100;

/// Why an evaluation has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// In the words of CEL.
    #[error("{0}")]
    Failed(String),
    /// The budget is used up.
    #[error("operation cancelled: actual cost limit exceeded")]
    Budget,
}

/// Why an expression does not compile, as cel-go shows it: every error with the line and a caret.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// The names that an expression may use.
#[derive(Clone, Debug, Default)]
pub struct Env {
    variables: Vec<(String, Type)>,
    constructed: Vec<&'static str>,
    binds: bool,
    lenient: bool,
}

impl Env {
    /// An environment of these variables.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (String, Type)>) -> Self {
        Self { variables: variables.into_iter().collect(), ..Self::default() }
    }

    /// Also lets expressions make objects of these types.
    #[must_use]
    pub fn constructing(mut self, types: &[&'static str]) -> Self {
        self.constructed.extend(types);
        self
    }

    /// Also lets expressions give a value a name with `cel.bind`, as Kubernetes does for selectors of devices alone.
    #[must_use]
    pub fn binding(mut self) -> Self {
        self.binds = true;
        self
    }

    /// Lets values of known and of unknown types stand together: for expressions that were checked where more types are
    /// known.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Adds a variable, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, of: Type) -> Self {
        self.variables.retain(|(own, _)| own != name);
        self.variables.push((name.to_owned(), of));
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(own, _)| own != name);
        self
    }

    fn variable(&self, name: &str) -> Option<Type> {
        self.variables.iter().find(|(own, _)| own == name).map(|(_, of)| of.clone())
    }

    fn constructs(&self, root: &str) -> bool {
        self.constructed.contains(&root)
    }
}

/// A compiled expression.
pub struct Program {
    expression: IdedExpr,
    output: Type,
    source: SourceInfo,
    /// What sums in it come to, by id, if there is nothing to add up.
    sums: HashMap<u64, Val>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("source", &self.source.source).field("output", &self.output).finish()
    }
}

impl Program {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// In cel-go's words, for syntax and types.
    pub fn compile(text: &str, env: &Env) -> Result<Self, CompileError> {
        Self::checked(text, env).map(|(program, _)| program)
    }

    /// The same with the types of all parts, by their ids.
    fn checked(text: &str, env: &Env) -> Result<(Self, cost::Types), CompileError> {
        let size = text.chars().count();
        if size > LONGEST {
            let why = format!("expression code point size exceeds limit: size: {size}, limit {LONGEST}");
            return Err(CompileError(format!("ERROR: <input>:-1:0: {why}")));
        }
        if depth::exceeds(text) {
            let why = format!("expression recursion limit exceeded: {}", depth::LIMIT);
            return Err(CompileError(located(text, (1, 1), &why)));
        }
        let parser = macros::parser(env.binds);
        let (expression, source) = parser.parse_with_source_info(text).map_err(|errors| {
            report(text, errors.errors.len(), errors.errors.iter().map(|error| (error.pos, error.msg.as_str())))
        })?;
        let mut checker = check::Checker::new(env, &source);
        let output = checker.check(&expression);
        let mut errors = std::mem::take(&mut checker.errors);
        if errors.is_empty() {
            let found = literals::errors(&expression, &checker.types);
            let unlike = std::mem::take(&mut checker.unlike).into_iter().filter(|_| !env.lenient);
            let found = unlike.chain(found);
            errors.extend(found.map(|(id, why)| (checker.place(id), why)));
        }
        let (types, sums) = (std::mem::take(&mut checker.types), std::mem::take(&mut checker.sums));
        drop(checker);
        if errors.is_empty() {
            return Ok((Self { expression, output, source, sums }, types));
        }
        let placed = errors.iter().map(|(at, why)| (position(text, *at as usize), why.as_str()));
        Err(report(text, errors.len(), placed))
    }

    /// What the expression evaluates to.
    #[must_use]
    pub fn output(&self) -> &Type {
        &self.output
    }

    /// Why the expression cannot run although its types fit: a pattern in it cannot be read.
    pub(crate) fn unready(&self) -> Option<String> {
        literals::unready(&self.expression)
    }

    /// Whether a variable occurs.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        cost::mentions(&self.expression, name)
    }

    /// Runs the expression; takes from the budget what it costs.
    ///
    /// # Errors
    /// What fails in the expression, or that the budget does not last.
    pub fn eval(&self, scope: &dyn Scope, budget: &mut u64) -> Result<Val, EvalError> {
        let allowed = CALL_BUDGET.min(*budget);
        let mut run = eval::Run::new(scope, allowed, &self.sums);
        let outcome = run.eval(&self.expression);
        *budget -= allowed - run.left;
        outcome
    }

    pub(crate) fn expression(&self) -> &IdedExpr {
        &self.expression
    }
}

/// Line and column of an offset, both from one.
fn position(text: &str, at: usize) -> (isize, isize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line.cast_signed(), column.cast_signed())
}

/// The first errors of so many, sorted by their places.
fn report<'e>(text: &str, count: usize, errors: impl Iterator<Item = ((isize, isize), &'e str)>) -> CompileError {
    let mut first: Vec<_> = errors.take(MOST_SHOWN).collect();
    first.sort_by_key(|(place, _)| *place);
    let mut all: Vec<String> = first.iter().map(|(place, why)| located(text, *place, why)).collect();
    if count > MOST_SHOWN {
        all.push(format!("{} more errors were truncated", count - MOST_SHOWN));
    }
    CompileError(all.join("\n"))
}

fn located(text: &str, (line, column): (isize, isize), why: &str) -> String {
    let mut out = format!("ERROR: <input>:{line}:{column}: {why}");
    let index = usize::try_from(line - 1).unwrap_or_default();
    if let Some(shown) = text.split('\n').nth(index) {
        let dots = ".".repeat(usize::try_from(column - 1).unwrap_or_default());
        out.push_str(&format!("\n | {shown}\n | {dots}^"));
    }
    out
}

#[cfg(test)]
mod tests;
