//! The names of a kind.

use mainstay_api::names;

use crate::strategy::validate::{At, Errors};

pub(super) fn check(at: &At<'_>, errors: &mut Errors) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if at.get(field).str().is_empty() {
            errors.required(&at.get(field), "");
        }
    }
    forms(at, errors);
}

/// The form of names, as far as there are any.
pub(super) fn forms(at: &At<'_>, errors: &mut Errors) {
    for field in ["plural", "singular"] {
        if !at.get(field).str().is_empty() {
            label(&at.get(field), errors);
        }
    }
    for field in ["kind", "listKind"] {
        kind(&at.get(field), errors);
    }
    at.get("shortNames").items().for_each(|name| label(&name, errors));
    let (kind, list) = (at.get("kind"), at.get("listKind"));
    if !kind.str().is_empty() && kind.str() == list.str() {
        errors.invalid(&list, "kind and listKind may not be the same");
    }
    at.get("categories").items().for_each(|name| label(&name, errors));
}

fn label(at: &At<'_>, errors: &mut Errors) {
    let found = names::is_dns1035_label(at.str());
    if !found.is_empty() {
        errors.invalid(at, found.join(","));
    }
}

fn kind(at: &At<'_>, errors: &mut Errors) {
    let found = names::is_dns1035_label(&at.str().to_lowercase());
    if !at.str().is_empty() && !found.is_empty() {
        errors.invalid(at, format!("may have mixed case, but should otherwise match: {}", found.join(",")));
    }
}
