//! A strategy as a row: the rules of a kind that needs no steps of its own.

use mainstay_api::field::ErrorList;
use mainstay_api::names;
use serde_json::Value;

use super::validate::{At, Errors};
use super::{Context, Strategy, base};

/// Judges an object.
pub(crate) type Check = fn(&Context<'_>, &Value, &mut Errors);
/// Judges a change; the new object comes first.
pub(crate) type Compare = fn(&Context<'_>, &Value, &Value, &mut Errors);

/// What is particular to a kind, with defaults for what is not.
pub(crate) struct Rules {
    /// The rules of an object, new or changed.
    pub check: Check,
    /// The rules of a change in addition; they come after those of the object.
    pub change: Compare,
    /// The rules of a change of the status, instead of both.
    pub status: Compare,
    /// What a name looks like.
    pub names: fn(&str, bool) -> Vec<String>,
    /// What the server itself fills in or tidies up in a written object.
    pub tidy: fn(&Context<'_>, &mut Value),
    /// Texts for Warning headers.
    pub warn: fn(&Value, Option<&Value>) -> Vec<String>,
}

impl Rules {
    /// No rules.
    pub const PLAIN: Self = Self {
        check: |_, _, _| {},
        change: |_, _, _, _| {},
        status: |_, _, _, _| {},
        names: subdomain,
        tidy: |_, _| {},
        warn: |_, _| Vec::new(),
    };
}

/// A DNS subdomain, or what may become one.
pub(crate) fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    dns(name, prefix, names::is_dns1123_subdomain)
}

/// A DNS label, or what may become one.
pub(crate) fn label(name: &str, prefix: bool) -> Vec<String> {
    dns(name, prefix, names::is_dns1123_label)
}

fn dns(name: &str, prefix: bool, rule: fn(&str) -> Vec<String>) -> Vec<String> {
    if prefix { rule(&names::mask_trailing_dash(name)) } else { rule(name) }
}

impl Strategy for Rules {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        (self.tidy)(cx, obj);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        if cx.subresource.is_empty() {
            (self.tidy)(cx, new);
        }
        base::prepare_update(cx, new, old);
    }

    fn validate_create(&self, cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors::default();
        if !cx.resource.type_name.is_empty() {
            errors.extend(base::finalizer_errors(obj));
        }
        (self.check)(cx, obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        if cx.subresource == "status" {
            (self.status)(cx, new, old, &mut errors);
        } else {
            (self.check)(cx, new, &mut errors);
            (self.change)(cx, new, old, &mut errors);
        }
        errors.0
    }

    fn warnings(&self, _cx: &Context<'_>, new: &Value, old: Option<&Value>) -> Vec<String> {
        (self.warn)(new, old)
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        (self.names)(name, prefix)
    }
}

/// These fields of the spec have not changed.
pub(crate) fn frozen_spec(new: &Value, old: &Value, fields: &[&str], errors: &mut Errors) {
    let (new, old) = (At::spec(new), At::spec(old));
    fields.iter().for_each(|field| errors.immutable(&new.get(field), &old.get(field)));
}
