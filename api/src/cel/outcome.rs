//! What comes of evaluating a part of an expression.

use super::{EvalError, Val};

/// A value, or why there is none.
pub(super) type Outcome = Result<Val, EvalError>;

pub(super) fn fail<T>(why: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Failed(why.into()))
}

pub(super) fn no_overload<T>() -> Result<T, EvalError> {
    fail("no such overload")
}

/// What is said of values that none of a function's overloads takes.
pub(super) fn unfit<T>(name: &str, values: &[Val]) -> Result<T, EvalError> {
    let kinds: Vec<&str> = values.iter().map(Val::type_name).collect();
    fail(format!("no such overload: {name}({})", kinds.join(", ")))
}

pub(super) fn overflow<T>() -> Result<T, EvalError> {
    fail("integer overflow")
}
