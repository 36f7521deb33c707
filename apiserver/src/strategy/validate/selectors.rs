//! Label selectors and node selectors.

use mainstay_api::field::Error;
use mainstay_api::selector::{LabelSelector, validate_label_selector};
use mainstay_api::{meta, names};
use serde_json::Value;

use super::{At, Errors};

const INVALID_OPERATOR: &str = "not a valid selector operator";

/// A label selector; null is none.
pub(crate) fn label_selector(at: &At<'_>, errors: &mut Errors) {
    if !at.is_null() {
        errors.extend(validate_label_selector(at.value, &at.path));
    }
}

/// A selector that must be there, choose something, and choose the template's labels.
pub(crate) fn selector_of_template(spec: &At<'_>, errors: &mut Errors) {
    let selector = spec.get("selector");
    if selector.is_null() {
        errors.required(&selector, "");
    } else {
        label_selector(&selector, errors);
        if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
            errors.invalid(&selector, "empty selector is invalid for deployment");
        }
    }
    match LabelSelector::from_object(selector.value) {
        Err(_) => errors.invalid(&selector, "invalid label selector"),
        Ok(parsed) => template_matches(&parsed, &spec.get("template"), errors),
    }
}

/// The template's labels are what the selector chooses; a selector of nothing is another error.
pub(crate) fn template_matches(selector: &LabelSelector, template: &At<'_>, errors: &mut Errors) {
    let labels = template.get("metadata").get("labels");
    let matches = !selector.is_empty() && selector.matches_object(template.value);
    if !matches && !selector.is_empty() {
        errors.invalid(&labels, "`selector` does not match template `labels`");
    }
}

/// Labels that a map selects by.
pub(crate) fn labels(at: &At<'_>, errors: &mut Errors) {
    errors.extend(meta::validate_labels(at.value.as_object(), &at.path));
}

/// A node selector: terms that are or-ed.
pub(crate) fn node_selector(at: &At<'_>, errors: &mut Errors) {
    let terms = at.get("nodeSelectorTerms");
    if terms.is_empty() {
        errors.required(&terms, "must have at least one node selector term");
    }
    terms.items().for_each(|term| node_selector_term(&term, errors));
}

/// Requirements that are and-ed.
pub(crate) fn node_selector_term(term: &At<'_>, errors: &mut Errors) {
    for at in term.get("matchExpressions").items() {
        node_requirement(&at, errors);
        for value in at.get("values").items() {
            errors.each(&value, names::is_label_value(value.str()));
        }
    }
    term.get("matchFields").items().for_each(|at| field_requirement(&at, errors));
}

/// Requirements that are only preferred: of these a value may be no label's.
pub(crate) fn node_preference(term: &At<'_>, errors: &mut Errors) {
    term.get("matchExpressions").items().for_each(|at| node_requirement(&at, errors));
    term.get("matchFields").items().for_each(|at| field_requirement(&at, errors));
}

fn node_requirement(at: &At<'_>, errors: &mut Errors) {
    let (operator, values) = (at.get("operator"), at.get("values"));
    match operator.str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        _ => errors.invalid(&operator, INVALID_OPERATOR),
    }
    let key = at.get("key");
    errors.extend(meta::validate_label_name(key.str(), &key.path));
}

fn field_requirement(at: &At<'_>, errors: &mut Errors) {
    let (key, operator, values) = (at.get("key"), at.get("operator"), at.get("values"));
    match operator.str() {
        "In" | "NotIn" if values.len() != 1 => {
            errors
                .required(&values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
        }
        "In" | "NotIn" => {}
        _ => errors.invalid(&operator, INVALID_OPERATOR),
    }
    if key.str() == "metadata.name" {
        values.items().for_each(|value| errors.each(&value, names::is_dns1123_subdomain(value.str())));
    } else {
        errors.invalid(&key, "not a valid field selector key");
    }
}

/// A number or a percentage.
pub(crate) fn int_or_percent(at: &At<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => errors.each(at, names::is_percent(text)),
        _ => errors.non_negative(at),
    }
}

/// A percentage is at most the whole.
pub(crate) fn at_most_all(at: &At<'_>, errors: &mut Errors) {
    let percent = at.str().strip_suffix('%').and_then(|digits| digits.parse::<i64>().ok());
    if percent.is_some_and(|percent| percent > 100) {
        errors.0.push(Error::invalid(&at.path, at.value.clone(), "must not be greater than 100%"));
    }
}

/// The number of an int-or-percent of which the percentage counts as such.
pub(crate) fn number_of(at: &At<'_>) -> i64 {
    match at.value {
        Value::String(text) => text.trim_end_matches('%').parse().unwrap_or_default(),
        _ => at.int(),
    }
}
