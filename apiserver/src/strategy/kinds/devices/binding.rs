//! What has to be true of a device before a pod that uses it is bound to a node
//! (<https://kep.k8s.io/5007>).

use std::collections::HashSet;

use mainstay_api::meta;

use super::each;
use crate::strategy::validate::{At, Errors};

/// Conditions of either kind at the most.
const CONDITIONS_MAX: usize = 4;

/// The conditions to wait for and those that end the wait, of a device that is offered or given.
pub(super) fn conditions(device: &At<'_>, errors: &mut Errors) {
    const OVERLAP: &str = "bindingFailureConditions must not overlap with bindingConditions";
    let (wanted, failures) = (device.get("bindingConditions"), device.get("bindingFailureConditions"));
    each(&wanted, CONDITIONS_MAX, name, errors);
    each(&failures, CONDITIONS_MAX, name, errors);
    let known = distinct(&wanted, errors);
    let mut seen = HashSet::new();
    for condition in failures.items() {
        if !seen.insert(condition.str()) {
            errors.duplicate(&condition);
        }
        if known.contains(condition.str()) {
            errors.invalid(&condition, OVERLAP);
        }
    }
    match (wanted.is_empty(), failures.is_empty()) {
        (true, false) => errors.invalid(&wanted, "bindingConditions are required to use bindingFailureConditions"),
        (false, true) => errors.invalid(&failures, "bindingFailureConditions are required to use bindingConditions"),
        _ => {}
    }
}

fn name(at: &At<'_>, errors: &mut Errors) {
    errors.extend(meta::validate_label_name(at.str(), &at.path));
}

fn distinct<'a>(list: &At<'a>, errors: &mut Errors) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    for condition in list.items() {
        if !seen.insert(condition.str()) {
            errors.duplicate(&condition);
        }
    }
    seen
}
