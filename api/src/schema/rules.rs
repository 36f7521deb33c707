//! What rules of a schema say besides their expressions.

use serde_json::Value;

use super::{field_path::field_path, text};
use crate::field::{Error, ErrorList, Path};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The rules that a node of a schema has.
pub(crate) fn rules_of(schema: &Value) -> &[Value] {
    schema.get("x-kubernetes-validations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What is wrong with the words of the rules of one node.
pub(super) fn word_errors(schema: &Value, path: &Path, errors: &mut ErrorList) {
    for (index, rule) in rules_of(schema).iter().enumerate() {
        let path = path.child("x-kubernetes-validations").index(index);
        words(rule, &path, errors);
        let expression = text(rule, "messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let why = "messageExpression must be non-empty if specified";
            errors.push(Error::required(&path.child("messageExpression"), why));
        }
        if let Some(reason) = rule.get("reason").and_then(Value::as_str).filter(|reason| !REASONS.contains(reason)) {
            errors.push(Error::not_supported(&path.child("reason"), reason, &REASONS));
        }
        place(text(rule, "fieldPath"), schema, &path.child("fieldPath"), errors);
    }
}

fn words(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    let at = path.child("message");
    if expression.is_empty() {
        errors.push(Error::required(&path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(Error::invalid(&at, message, "must be non-empty if specified"));
    } else if has_line_breaks(message.trim()) {
        errors.push(Error::invalid(&at, message, "must not contain line breaks"));
    } else if has_line_breaks(expression) && message.is_empty() {
        errors.push(Error::required(&at, "message must be specified if rule contains line breaks"));
    }
}

fn place(field: &str, schema: &Value, at: &Path, errors: &mut ErrorList) {
    if field.is_empty() {
        return;
    }
    let mut wrong = |why: &str| errors.push(Error::invalid(at, field, why));
    if field.trim().is_empty() {
        wrong("must be non-empty if specified");
    }
    if has_line_breaks(field) {
        wrong("must not contain line breaks");
    }
    if field_path(field, schema, true).is_err() {
        wrong("must be a valid path");
    }
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}
