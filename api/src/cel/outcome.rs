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

pub(super) fn overflow<T>() -> Result<T, EvalError> {
    fail("integer overflow")
}
