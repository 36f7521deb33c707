//! The filters of JSON paths, such as `?(@.type=="Ready")`: which of several values are taken.

use std::cmp::Ordering;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::quoting::{closing, quoted};

/// Two sides compared; or one, that has to be there. `P` is a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter<P> {
    left: Side<P>,
    right: Option<(Operator, Side<P>)>,
}

/// The first value that a path leads to from another.
type First<P> = for<'v> fn(&P, &'v Value) -> Option<&'v Value>;

#[derive(Clone, Debug, PartialEq)]
enum Side<P> {
    Path(P),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longer ones first: the first that fits is meant.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl<P> Filter<P> {
    /// Reads what stands between the parentheses; `path` reads the paths in it.
    pub fn parse(text: &str, path: fn(&str) -> Result<P>) -> Result<Self> {
        let at = ['=', '!', '<', '>'].into_iter().filter_map(|first| closing(text, first)).min();
        let Some(at) = at else { return Ok(Self { left: Side::parse(text, path)?, right: None }) };
        let (left, rest) = text.split_at(at);
        let operator = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, operator) = operator.with_context(|| format!("unrecognized operator in filter {text:?}"))?;
        let right = Side::parse(&rest[sign.len()..], path)?;
        Ok(Self { left: Side::parse(left, path)?, right: Some((*operator, right)) })
    }

    /// Whether a value is taken.
    pub fn holds(&self, value: &Value, first: First<P>) -> bool {
        let left = self.left.of(value, first);
        match &self.right {
            None => left.is_some(),
            Some((operator, right)) => match (left, right.of(value, first)) {
                (Some(left), Some(right)) => operator.holds(left, right),
                _ => false,
            },
        }
    }
}

impl<P> Side<P> {
    fn parse(text: &str, path: fn(&str) -> Result<P>) -> Result<Self> {
        let text = text.trim();
        if text.starts_with(['@', '$']) {
            return path(text).map(Self::Path);
        }
        if let Some(literal) = quoted(text) {
            return Ok(Self::Literal(literal.into()));
        }
        match serde_json::from_str(text) {
            Ok(literal @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => Ok(Self::Literal(literal)),
            _ => bail!("{text:?} in a filter is neither a path, a text in quotes, a number nor true or false"),
        }
    }

    fn of<'v>(&'v self, value: &'v Value, first: First<P>) -> Option<&'v Value> {
        match self {
            Self::Path(path) => first(path, value),
            Self::Literal(literal) => Some(literal),
        }
    }
}

impl Operator {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            _ => None,
        };
        let equal = || order.map_or(left == right, Ordering::is_eq);
        match self {
            Self::Equal => equal(),
            Self::Unequal => !equal(),
            Self::Less => order.is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order.is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}
