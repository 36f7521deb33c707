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

/// A selector that must be there, choose something, and choose the template's labels; `kind` and `unreadable` are what the
/// errors of a selector without terms, and of one that cannot be read, say.
pub(crate) fn selector_of_template(spec: &At<'_>, kind: &str, unreadable: &str, errors: &mut Errors) {
    let selector = spec.get("selector");
    if selector.is_null() {
        errors.required(&selector, "");
    } else {
        label_selector(&selector, errors);
        if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
            errors.invalid(&selector, format!("empty selector is invalid for {kind}"));
        }
    }
    match LabelSelector::from_object(selector.value) {
        Err(_) => errors.invalid(&selector, unreadable),
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
        _ => errors.each(&operator, vec![INVALID_OPERATOR.to_owned()]),
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
        _ => errors.each(&operator, vec![INVALID_OPERATOR.to_owned()]),
    }
    if key.str() == "metadata.name" {
        values.items().for_each(|value| errors.each(&value, names::is_dns1123_subdomain(value.str())));
    } else {
        errors.each(&key, vec!["not a valid field selector key".to_owned()]);
    }
}

/// A number or a percentage.
pub(crate) fn int_or_percent(at: &At<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => errors.each(at, names::is_percent(text)),
        _ => errors.non_negative(at),
    }
}

/// The number of a percentage: digits and the sign of per cent, nothing else.
fn percentage(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%').filter(|_| names::is_percent(text).is_empty())?;
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// A percentage is at most the whole.
pub(crate) fn at_most_all(at: &At<'_>, errors: &mut Errors) {
    if percentage(at.str()).is_some_and(|percent| percent > 100) {
        errors.0.push(Error::invalid(&at.path, at.value.clone(), "must not be greater than 100%"));
    }
}

/// The number of an int-or-percent of which the percentage counts as such; text that is neither counts as nothing.
pub(crate) fn number_of(at: &At<'_>) -> i64 {
    match at.value {
        Value::String(text) => percentage(text).or_else(|| text.parse().ok()).unwrap_or_default(),
        _ => at.int(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_digits_make_a_percentage() {
        let number = |value: Value| number_of(&At::root(&value));
        assert_eq!([number(json!("25%")), number(json!("7")), number(json!(3)), number(json!(null))], [25, 7, 3, 0]);
        assert_eq!([number(json!("-5%")), number(json!("1.5%")), number(json!("5%%")), number(json!("x"))], [0; 4]);
        let judge = |value: Value| {
            let mut errors = Errors::default();
            at_most_all(&At::root(&value), &mut errors);
            errors.0.len()
        };
        assert_eq!(
            [judge(json!("101%")), judge(json!("100%")), judge(json!("+200%")), judge(json!(200))],
            [1, 0, 0, 0]
        );
    }

    #[test]
    fn a_missing_operator_is_shown_as_an_empty_text() {
        let term = json!({"matchExpressions": [{"key": "a"}], "matchFields": [{"operator": "In", "values": ["n"]}]});
        let mut errors = Errors::default();
        node_selector_term(&At::root(&term), &mut errors);
        let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                r#"matchExpressions[0].operator: Invalid value: "": not a valid selector operator"#,
                r#"matchFields[0].key: Invalid value: "": not a valid field selector key"#,
            ]
        );
    }
}
