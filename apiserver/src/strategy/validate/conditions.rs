//! Conditions of a status, as all newer kinds have them.

use mainstay_api::field::Error;
use mainstay_api::meta;

use super::{At, Errors};

/// Conditions, of which each has a type of its own.
pub(crate) fn conditions(list: &At<'_>, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for condition in list.items() {
        let (kind, status, reason) = (condition.get("type"), condition.get("status"), condition.get("reason"));
        if !seen.insert(kind.str()) {
            errors.duplicate(&kind);
        }
        errors.extend(meta::validate_label_name(kind.str(), &kind.path));
        if !matches!(status.str(), "False" | "True" | "Unknown") {
            errors.0.push(Error::not_supported(&status.path, status.str(), &["False", "True", "Unknown"]));
        }
        if condition.get("observedGeneration").int() < 0 {
            errors.invalid(&condition.get("observedGeneration"), "must be greater than or equal to zero");
        }
        if condition.get("lastTransitionTime").is_null() {
            errors.required(&condition.get("lastTransitionTime"), "must be set");
        }
        if reason.str().is_empty() {
            errors.required(&reason, "must be set");
        } else {
            errors.each(&reason, reason_errors(reason.str()));
            longest(&reason, 1024, errors);
        }
        longest(&condition.get("message"), 32 * 1024, errors);
    }
}

fn longest(at: &At<'_>, most: i64, errors: &mut Errors) {
    if i64::try_from(at.str().len()).is_ok_and(|length| length > most) {
        errors.0.push(Error::too_long(&at.path, most));
    }
}

fn reason_errors(reason: &str) -> Vec<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = reason.as_bytes();
    let fits = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|last| word(*last))
        && bytes.iter().all(|byte| word(*byte) || matches!(byte, b',' | b':'));
    if fits {
        return Vec::new();
    }
    vec!["a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')".to_owned()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_say_when_and_why() {
        let list = json!({"c": [{"type": "A", "status": "Yes", "reason": "1"}]});
        let mut errors = Errors::default();
        conditions(&At::root(&list).get("c"), &mut errors);
        let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["c[0].status", "c[0].lastTransitionTime", "c[0].reason"]);
    }
}
