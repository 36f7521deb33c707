//! Affinity to nodes and to other pods.

use std::collections::{HashMap, HashSet};

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{At, Errors, selectors};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// The whole of `affinity`.
pub(crate) fn affinity(at: &At<'_>, errors: &mut Errors) {
    if let Some(node) = at.opt("nodeAffinity") {
        if let Some(required) = node.opt(REQUIRED) {
            selectors::node_selector(&required, errors);
        }
        for preferred in node.get(PREFERRED).items() {
            weight(&preferred, errors);
            selectors::node_preference(&preferred.get("preference"), errors);
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = at.get(kind);
        pods.get(REQUIRED).items().for_each(|term| pod_term(&term, errors));
        for preferred in pods.get(PREFERRED).items() {
            weight(&preferred, errors);
            pod_term(&preferred.get("podAffinityTerm"), errors);
        }
    }
}

fn weight(at: &At<'_>, errors: &mut Errors) {
    let weight = at.get("weight");
    if !(1..=100).contains(&weight.int()) {
        errors.0.push(Error::invalid(&weight.path, weight.int(), "must be in the range 1-100"));
    }
}

fn pod_term(term: &At<'_>, errors: &mut Errors) {
    selectors::label_selector(&term.get("labelSelector"), errors);
    selectors::label_selector(&term.get("namespaceSelector"), errors);
    for namespace in term.get("namespaces").items() {
        errors.each(&At::new(namespace.value, term.path.child("namespace")), names::is_dns1123_label(namespace.str()));
    }
    label_keys(term, errors);
    let key = term.get("topologyKey");
    if key.str().is_empty() {
        errors.required(&key, "can not be empty");
    }
    errors.each(&key, names::is_qualified_name(key.str()));
}

/// Keys of labels that become part of the selector, with the values that the pod's labels have.
pub(crate) fn label_keys(term: &At<'_>, errors: &mut Errors) {
    let (same, other, selector) =
        (term.get("matchLabelKeys"), term.get("mismatchLabelKeys"), term.get("labelSelector"));
    for keys in [&same, &other].into_iter().filter(|keys| !keys.is_empty()) {
        if selector.is_null() {
            errors.forbidden(keys, "must not be specified when labelSelector is not set");
        } else {
            keys.items().for_each(|key| errors.each(&key, names::is_qualified_name(key.str())));
        }
    }
    selected_twice(term, &same, &selector, errors);
    let others: HashSet<&str> = other.strings().collect();
    for (index, key) in same.strings().enumerate() {
        if others.contains(key) {
            let why = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.0.push(Error::invalid(&same.path.index(index), key, why));
        }
    }
}

/// A key is not selected by beside the requirement that is made of it, which is the last one.
fn selected_twice(term: &At<'_>, keys: &At<'_>, selector: &At<'_>, errors: &mut Errors) {
    let mut seen: HashSet<&str> = selector.get("matchLabels").entries().map(|(key, _)| key).collect();
    // Of a key that stands there twice the last counts.
    let places: HashMap<&str, usize> = keys.strings().enumerate().map(|(index, key)| (key, index)).collect();
    for key in selector.get("matchExpressions").items().map(|at| at.get("key").str()) {
        if let Some(index) = places.get(key).filter(|_| seen.contains(key)) {
            let why = "exists in both matchLabelKeys and labelSelector";
            errors.0.push(Error::invalid(&term.path.index(*index), key, why));
        }
        seen.insert(key);
    }
}
