//! Namespaces: they end when the last of `spec.finalizers` is gone, which only `finalize` can write.

use mainstay_api::field::ErrorList;
use mainstay_api::{meta, names};
use serde_json::{Value, json};

use crate::strategy::validate::{At, Errors};
use crate::strategy::{Context, Strategy, base, rules};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";
const FINALIZER: &str = "kubernetes";

/// Namespaces.
pub(crate) struct Namespace;

impl Strategy for Namespace {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        base::set(obj, "/status", json!({"phase": "Active"}));
        let present = finalizers(obj).iter().any(|name| *name == FINALIZER);
        if !present {
            let mut all = finalizers(obj);
            all.push(FINALIZER.into());
            base::set(obj, "/spec/finalizers", Value::Array(all));
        }
        label(obj);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        if cx.subresource.is_empty() {
            base::keep(new, old, ".spec.finalizers");
        }
        base::prepare_update(cx, new, old);
        label(new);
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = base::finalizer_errors(obj);
        errors.extend(finalizer_errors(obj, false));
        errors
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        if cx.subresource.is_empty() {
            errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
        }
        errors.extend(base::meta_update_errors(new, old));
        match cx.subresource {
            "finalize" => errors.extend(finalizer_errors(new, true)),
            "status" => errors.extend(phase_errors(new)),
            _ => {}
        }
        errors
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        rules::label(name, prefix)
    }

    fn begins_deletion(&self) -> bool {
        true
    }

    fn begin_delete(&self, _cx: &Context<'_>, obj: &mut Value) {
        base::set(obj, "/status/phase", "Terminating".into());
    }

    /// The first request to delete a namespace never does more than to begin it.
    fn holds_deletion(&self, obj: &Value) -> bool {
        !meta::is_deleting(obj) || !finalizers(obj).is_empty()
    }
}

fn finalizers(obj: &Value) -> Vec<Value> {
    obj.pointer("/spec/finalizers").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Selectors choose namespaces by name with this.
fn label(obj: &mut Value) {
    let name = meta::name(obj).to_owned();
    meta::set_label(obj, NAME_LABEL, &name);
}

/// Finalizers are called after their list in a new namespace, and by their place later.
fn finalizer_errors(obj: &Value, placed: bool) -> ErrorList {
    const KNOWN: [&str; 3] = [FINALIZER, meta::ORPHAN_FINALIZER, meta::FOREGROUND_FINALIZER];
    let mut errors = Errors::default();
    let list = At::spec(obj).get("finalizers");
    for item in list.items() {
        let at = if placed { item } else { At::new(item.value, list.path.clone()) };
        errors.each(&at, names::is_qualified_name(at.str()));
        if !at.str().contains('/') && !KNOWN.contains(&at.str()) {
            errors.invalid(&at, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
    errors.0
}

fn phase_errors(obj: &Value) -> ErrorList {
    let mut errors = Errors::default();
    let status = At::root(obj).get("status");
    let at = At::new(status.get("phase").value, status.path.child("Phase"));
    match (meta::is_deleting(obj), at.str()) {
        (false, phase) if phase != "Active" => {
            errors.invalid(&at, "may only be 'Active' if `deletionTimestamp` is empty")
        }
        (true, phase) if phase != "Terminating" => {
            errors.invalid(&at, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
        _ => {}
    }
    errors.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::kinds::config;
    use crate::strategy::testing;

    /// How often a finalizer that nobody knows is told of.
    fn told(strategy: &dyn Strategy, resource: &str) -> usize {
        let old = json!({"metadata": {"name": "a", "namespace": "n"}});
        let new = json!({"metadata": {"name": "a", "namespace": "n", "finalizers": ["unknown"]}});
        let errors = testing::context("", resource, |cx| strategy.validate_update(cx, &new, &old));
        errors.iter().filter(|error| error.to_string().contains("neither a standard finalizer name")).count()
    }

    #[test]
    fn finalizers_are_judged_as_often_as_the_metadata() {
        assert_eq!(told(&Namespace, "namespaces"), 2);
        assert_eq!(told(&config::CONFIG_MAP, "configmaps"), 2);
        assert_eq!(told(&config::SERVICE_ACCOUNT, "serviceaccounts"), 2);
        assert_eq!(told(&rules::Rules::PLAIN, "endpoints"), 1);
    }

    #[test]
    fn the_first_deletion_only_begins_it() {
        let empty = |metadata: Value| json!({"metadata": metadata, "spec": {}});
        assert!(Namespace.holds_deletion(&empty(json!({}))));
        let begun = json!({"deletionTimestamp": "2024-01-01T00:00:00Z"});
        assert!(!Namespace.holds_deletion(&empty(begun.clone())));
        let mut held = empty(begun);
        held["spec"] = json!({"finalizers": ["kubernetes"]});
        assert!(Namespace.holds_deletion(&held));
    }
}
