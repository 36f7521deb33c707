//! The object form of a label selector: `matchLabels` and `matchExpressions`.

use serde_json::Value;

use super::SelectorError;
use super::label::LabelSelector;
use super::requirement::{Operator, Requirement};
use crate::field::{Error, ErrorList, Path, go_quote};
use crate::meta::{validate_label_name, validate_labels};
use crate::names;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn expressions(selector: &Value) -> &[Value] {
    selector.get("matchExpressions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn values(expression: &Value) -> Vec<String> {
    let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl LabelSelector {
    /// Reads the object form: null selects nothing, an empty object everything.
    ///
    /// # Errors
    /// In Kubernetes' words, at the first requirement that is not one.
    pub fn from_object(selector: &Value) -> Result<LabelSelector, SelectorError> {
        if selector.is_null() {
            return Ok(LabelSelector::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
        }
        for expression in expressions(selector) {
            let operator = match text(expression, "operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{} is not a valid label selector operator", go_quote(other))));
                }
            };
            requirements.push(Requirement::new(text(expression, "key"), operator, values(expression))?);
        }
        Ok(LabelSelector::new(requirements))
    }
}

/// Validates the object form; null is good.
#[must_use]
pub fn validate_label_selector(selector: &Value, path: &Path) -> ErrorList {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let mut errors = validate_labels(labels, &path.child("matchLabels"));
    for (at, expression) in expressions(selector).iter().enumerate() {
        errors.extend(expression_errors(expression, &path.child("matchExpressions").index(at)));
    }
    errors
}

fn expression_errors(expression: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let empty = values(expression).is_empty();
    match text(expression, "operator") {
        "In" | "NotIn" if empty => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !empty => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&path.child("values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    errors.extend(validate_label_name(text(expression, "key"), &path.child("key")));
    for (at, value) in values(expression).iter().enumerate() {
        let path = path.child("values").index(at);
        errors.extend(names::is_label_value(value).into_iter().map(|why| Error::invalid(&path, value.as_str(), why)));
    }
    errors
}
