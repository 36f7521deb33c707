use mainstay_api::field::{Error, ErrorList, Piece, Shown};
use mainstay_api::types::Type;
use mainstay_api::{names, types};
use serde_json::Value;

use super::At;
use crate::strategy::internal;
use crate::strategy::same::same;

/// The error with the value at a place, which may be nothing.
pub(crate) fn shown(error: Error, at: &At<'_>) -> Error {
    if at.is_null() { Error { value: Shown::Absent(at.path.to_string()), ..error } } else { error }
}

/// An error about a value that is shown as Kubernetes prints its internal struct of the type.
pub(crate) fn dumped(of: &Type, at: &At<'_>, detail: impl Into<String>) -> Error {
    let pieces = internal::pieces(of, at.value, &at.path.to_string());
    Error { value: Shown::Pieces(pieces), ..Error::invalid(&at.path, Value::Null, detail) }
}

/// The same about a list of such values.
pub(crate) fn dumped_list(of: &Type, list: &At<'_>, detail: impl Into<String>) -> Error {
    let error = Error::invalid(&list.path, Value::Null, detail);
    if list.is_null() {
        return shown(error, list);
    }
    let text = |text: &str| Piece::Text(text.to_owned());
    let mut pieces = vec![text("[")];
    for (index, at) in list.items().enumerate() {
        pieces.push(text(if index > 0 { "," } else { "" }));
        pieces.extend(internal::pieces(of, at.value, &at.path.to_string()));
    }
    pieces.push(text("]"));
    Error { value: Shown::Pieces(pieces), ..error }
}

/// A value that never changes and has, shown like that.
pub(crate) fn changed(of: &Type, at: &At<'_>) -> Error {
    dumped(of, at, "field is immutable")
}

/// Collects errors in the order in which they are found.
#[derive(Default)]
pub(crate) struct Errors(pub ErrorList);

impl Errors {
    /// Missing.
    pub fn required(&mut self, at: &At<'_>, detail: &str) {
        self.0.push(Error::required(&at.path, detail));
    }

    /// Wrong, and shown.
    pub fn invalid(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.0.push(shown(Error::invalid(&at.path, at.value.clone(), detail), at));
    }

    /// Not to be set.
    pub fn forbidden(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.0.push(Error::forbidden(&at.path, detail));
    }

    /// There already.
    pub fn duplicate(&mut self, at: &At<'_>) {
        self.0.push(Error::duplicate(&at.path, at.value.clone()));
    }

    /// None of the values that there are.
    pub fn unsupported(&mut self, at: &At<'_>, supported: &[&str]) {
        self.0.push(shown(Error::not_supported(&at.path, at.value.clone(), supported), at));
    }

    /// Whether there are so many that no further one may repeat a whole list or text, which can be as long as a request.
    pub fn are_many(&self) -> bool {
        self.0.len() >= 20
    }

    /// Further errors.
    pub fn extend(&mut self, errors: ErrorList) {
        self.0.extend(errors);
    }

    /// One error for each text about a string; one that is missing is shown as the empty string that it stands for.
    pub fn each(&mut self, at: &At<'_>, texts: Vec<String>) {
        let shown = if at.is_null() { Value::from("") } else { at.value.clone() };
        for text in texts {
            self.0.push(Error::invalid(&at.path, shown.clone(), text));
        }
    }

    /// Must be set, and be one of these.
    pub fn one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        if at.is_empty() {
            self.required(at, "");
        } else if !supported.contains(&at.str()) {
            self.unsupported(at, supported);
        }
    }

    /// Is one of these if it is set.
    pub fn one_of_if_set(&mut self, at: &At<'_>, supported: &[&str]) {
        if !at.is_null() && !supported.contains(&at.str()) {
            self.unsupported(at, supported);
        }
    }

    /// Must be set, and have a name's form.
    pub fn name(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        if at.str().is_empty() {
            self.required(at, "");
        } else {
            self.each(at, rule(at.str()));
        }
    }

    /// Has a name's form if it is set.
    pub fn name_if_set(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        if !at.str().is_empty() {
            self.each(at, rule(at.str()));
        }
    }

    /// Must not be empty.
    pub fn needed(&mut self, at: &At<'_>) {
        if at.is_empty() {
            self.required(at, "");
        }
    }

    /// Is zero or more, or unset.
    pub fn non_negative(&mut self, at: &At<'_>) {
        if at.int() < 0 {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }

    /// Is in a range.
    pub fn in_range(&mut self, at: &At<'_>, min: i64, max: i64) {
        for text in names::is_in_range(at.int(), min, max) {
            self.0.push(Error::invalid(&at.path, at.int(), text));
        }
    }

    /// Has not changed; a change is shown as Kubernetes prints its internal struct of the type.
    pub fn immutable_struct(&mut self, new: &At<'_>, old: &At<'_>, type_name: &str) {
        match types::by_name(type_name) {
            Some(of) if same(of, new.value, old.value) => {}
            Some(of) if !new.is_null() => self.0.push(changed(of, new)),
            _ => self.immutable(new, old),
        }
    }

    /// Has not changed. Go has no way to leave out such a text, number or flag: one that is missing is shown as zero.
    pub fn immutable_plain(&mut self, new: &At<'_>, old: &At<'_>) {
        let zero = match old.value {
            Value::String(_) => Value::from(""),
            Value::Number(_) => Value::from(0),
            Value::Bool(_) => Value::from(false),
            _ => Value::Null,
        };
        if new.is_null() && !zero.is_null() {
            self.0.push(Error::invalid(&new.path, zero, "field is immutable"));
        } else {
            self.immutable(new, old);
        }
    }

    /// Has not changed.
    pub fn immutable(&mut self, new: &At<'_>, old: &At<'_>) {
        if new.value != old.value {
            self.invalid(new, "field is immutable");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_left_out_is_shown_as_zero() {
        let told = |new: Value, old: Value| {
            let mut errors = Errors::default();
            errors.immutable_plain(&At::root(&new).get("a"), &At::root(&old).get("a"));
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(json!({}), json!({"a": "x"})), [r#"a: Invalid value: "": field is immutable"#]);
        assert_eq!(told(json!({}), json!({"a": 3})), ["a: Invalid value: 0: field is immutable"]);
        assert_eq!(told(json!({"a": "y"}), json!({"a": "x"})), [r#"a: Invalid value: "y": field is immutable"#]);
        assert_eq!(told(json!({"a": "x"}), json!({"a": "x"})), Vec::<String>::new());
        assert_eq!(told(json!({}), json!({})), Vec::<String>::new());
    }
}
