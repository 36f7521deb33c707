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
    /// What the server keeps in a written object beside its old state; the last step of the preparation.
    pub settle: fn(&mut Value, Option<&Value>),
    /// Texts for Warning headers.
    pub warn: fn(&Value, Option<&Value>) -> Vec<String>,
    /// What judges a change, in the order in which Kubernetes does; its errors are told as often as it finds them.
    pub parts: &'static [Part],
}

/// A part of judging a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The metadata for itself.
    Meta,
    /// The metadata beside the old.
    MetaUpdate,
    /// [`Rules::check`].
    Check,
    /// [`Rules::change`].
    Change,
}

/// Kinds that judge the object before they compare it with the old.
pub(crate) const CHECK_FIRST: &[Part] = &[Part::Meta, Part::Check, Part::MetaUpdate, Part::Change];
/// Kinds that compare first, and judge the object whole at the end.
pub(crate) const CHANGE_FIRST: &[Part] = &[Part::MetaUpdate, Part::Change, Part::Meta, Part::Check];

impl Rules {
    /// No rules.
    pub const PLAIN: Self = Self {
        check: |_, _, _| {},
        change: |_, _, _, _| {},
        status: |_, _, _, _| {},
        names: subdomain,
        tidy: |_, _| {},
        settle: |_, _| {},
        warn: |_, _| Vec::new(),
        parts: &[Part::MetaUpdate, Part::Check, Part::Change],
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
        (self.settle)(obj, None);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        if cx.subresource.is_empty() {
            (self.tidy)(cx, new);
        }
        base::prepare_update(cx, new, old);
        (self.settle)(new, Some(old));
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
            errors.extend(base::meta_update_errors(new, old));
            (self.status)(cx, new, old, &mut errors);
            return errors.0;
        }
        for part in self.parts {
            match part {
                Part::Meta => errors.extend(base::meta_errors(cx, new, &|name, prefix| (self.names)(name, prefix))),
                Part::MetaUpdate => errors.extend(base::meta_update_errors(new, old)),
                Part::Check => (self.check)(cx, new, &mut errors),
                Part::Change => (self.change)(cx, new, old, &mut errors),
            }
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
