//! Core events and those of events.k8s.io: the same members under two names.

use serde_json::Value;

/// Core name and new name.
const NAMES: [(&str, &str); 6] = [
    ("message", "note"),
    ("involvedObject", "regarding"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The controller's names differ too.
const REPORTERS: [(&str, &str); 2] =
    [("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance")];

pub(super) fn to_new(event: &mut Value) {
    NAMES.iter().chain(&REPORTERS).for_each(|(core, new)| rename(event, core, new));
}

pub(super) fn to_core(event: &mut Value) {
    NAMES.iter().chain(&REPORTERS).for_each(|(core, new)| rename(event, new, core));
}

fn rename(event: &mut Value, from: &str, to: &str) {
    if let Some(members) = event.as_object_mut()
        && let Some(value) = members.remove(from)
    {
        members.insert(to.to_owned(), value);
    }
}
