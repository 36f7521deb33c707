//! One condition of a label selector, and what it is asked of.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::SelectorError;
use crate::field::{self, Error, ErrorList, Path};
use crate::names;

/// How a requirement relates a label to values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// One of several.
    In,
    /// None of several, or absent.
    NotIn,
    /// This one (`=`).
    Equals,
    /// This one (`==`).
    DoubleEquals,
    /// Not this one, or absent.
    NotEquals,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// A number above.
    GreaterThan,
    /// A number below.
    LessThan,
}

/// Something that has labels.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<L: Labels + ?Sized> Labels for &L {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The relation.
    pub operator: Operator,
    /// The values.
    pub values: Vec<String>,
}

impl Requirement {
    /// A checked requirement.
    ///
    /// # Errors
    /// All that is wrong with key, number of values and values, under the fields `key` and `values`.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, SelectorError> {
        let errors = requirement_errors(key, operator, &values);
        if !errors.is_empty() {
            return Err(SelectorError(field::aggregate(&errors)));
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|wanted| wanted == value)
    }

    fn compares(&self, value: &str) -> bool {
        let (Ok(value), [wanted]) = (value.parse::<i64>(), self.values.as_slice()) else { return false };
        let Ok(wanted) = wanted.parse::<i64>() else { return false };
        if self.operator == Operator::GreaterThan { value > wanted } else { value < wanted }
    }

    /// Whether the labels meet the requirement.
    #[must_use]
    pub fn matches(&self, labels: &impl Labels) -> bool {
        let value = labels.label(&self.key);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(|v| self.has(v)),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(|v| self.has(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => value.is_some_and(|v| self.compares(v)),
        }
    }
}

/// The error about a label key that is not one.
pub(super) fn key_error(key: &str, path: &Path) -> Option<Error> {
    let errors = names::is_qualified_name(key);
    (!errors.is_empty()).then(|| Error::invalid(path, key, errors.join("; ")))
}

fn requirement_errors(key: &str, operator: Operator, values: &[String]) -> ErrorList {
    let mut errors: ErrorList = key_error(key, &Path::new("key")).into_iter().collect();
    let path = Path::new("values");
    let wrong_count = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    errors.extend(wrong_count.map(|detail| Error::invalid(&path, values.to_vec(), detail)));
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        for (at, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
            let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
            errors.push(Error::invalid(&path.index(at), value.as_str(), detail));
        }
    }
    for (at, value) in values.iter().enumerate() {
        let wrong = names::is_label_value(value);
        if !wrong.is_empty() {
            errors.push(Error::invalid(&path.index(at).key(key), value.as_str(), wrong.join("; ")));
        }
    }
    errors
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.key;
        let mut values = self.values.clone();
        values.sort();
        let values = values.join(",");
        match self.operator {
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
        }
    }
}
