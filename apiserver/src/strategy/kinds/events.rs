//! Events: those of the new group are held to strict rules, those of the core group to few.

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use crate::strategy::rules::{self, Part, Rules};
use crate::strategy::validate::{At, Errors};

/// Events of the core group.
pub(crate) const CORE: Rules = Rules {
    check: |_, obj, errors| event(obj, "reportingComponent", errors),
    names: rules::segment,
    parts: &[Part::Check],
    finalizers: false,
    ..Rules::PLAIN
};

/// Events of events.k8s.io; they come in the stored form, that of the core group.
pub(crate) const NEW: Rules = Rules {
    check: |_, obj, errors| {
        event(obj, "reportingController", errors);
        // Only a new event is held to the form of new events.
        if At::root(obj).get("metadata").get("resourceVersion").is_empty() {
            strict(obj, errors);
        }
    },
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        if new.get("series").value != old.get("series").value {
            series(&new, errors);
        }
        for (field, shown) in FROZEN {
            let at = At::new(new.get(field).value, new.path.child(shown));
            match *field {
                "involvedObject" | "related" => {
                    errors.immutable_struct(&at, &old.get(field), "io.k8s.api.core.v1.ObjectReference");
                }
                "source" => errors.immutable_struct(&at, &old.get(field), "io.k8s.api.core.v1.EventSource"),
                "firstTimestamp" | "lastTimestamp" | "eventTime" => errors.immutable(&at, &old.get(field)),
                _ => errors.immutable_plain(&at, &old.get(field)),
            }
        }
    },
    parts: &[Part::Check, Part::MetaUpdate, Part::Change],
    ..Rules::PLAIN
};

/// What an event says of once and for all, and how errors call it. Kubernetes compares the reason twice.
const FROZEN: &[(&str, &str)] = &[
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// Events without a time of their own live where the object lives that they are about; those with one say who reports
/// them, and what was done.
fn event(obj: &Value, controller: &str, errors: &mut Errors) {
    let root = At::root(obj);
    let own = root.get("metadata").get("namespace").str();
    let about = root.get("involvedObject").get("namespace");
    let timed = !root.get("eventTime").is_null();
    let fits = match (timed, about.str()) {
        (false, "") => matches!(own, "" | "default"),
        (true, "") => matches!(own, "default" | "kube-system"),
        (false, about) => about == own,
        (true, _) => true,
    };
    if !fits {
        errors.0.push(Error::invalid(&about.path, about.str(), "does not match event.namespace"));
    }
    if timed {
        reporter(&root, controller, errors);
    }
}

fn reporter(root: &At<'_>, controller: &str, errors: &mut Errors) {
    let controller = At::new(root.get("reportingComponent").value, root.path.child(controller));
    if controller.str().is_empty() {
        errors.required(&controller, "");
    }
    for why in names::is_qualified_name(controller.str()) {
        errors.0.push(Error::invalid(&controller.path, controller.str(), why));
    }
    for field in ["reportingInstance", "action", "reason"] {
        let at = root.get(field);
        errors.needed(&at);
        too_long(&at, 128, errors);
    }
    too_long(&root.get("message"), 1024, errors);
}

fn strict(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    series(&root, errors);
    if root.get("eventTime").is_null() {
        errors.required(&root.get("eventTime"), "");
    }
    let kind = root.get("type");
    if !matches!(kind.str(), "Normal" | "Warning") {
        errors.0.push(Error::invalid(&kind.path, "", format!("has invalid value: {}", kind.str())));
    }
    let source = root.get("source");
    let told = [
        ("firstTimestamp", !root.get("firstTimestamp").is_null()),
        ("lastTimestamp", !root.get("lastTimestamp").is_null()),
        ("count", root.get("count").int() != 0),
        ("source", !source.get("component").is_empty() || !source.get("host").is_empty()),
    ];
    for (field, _) in told.into_iter().filter(|(_, set)| *set) {
        errors.0.push(Error::invalid(&root.path.child(field), "", "needs to be unset"));
    }
}

fn series(root: &At<'_>, errors: &mut Errors) {
    let Some(series) = root.opt("series") else { return };
    if series.get("count").int() < 2 {
        errors.0.push(Error::invalid(&series.get("count").path, "", "should be at least 2"));
    }
    if series.get("lastObservedTime").is_null() {
        errors.required(&series.get("lastObservedTime"), "");
    }
}

fn too_long(at: &At<'_>, max: usize, errors: &mut Errors) {
    if at.str().len() > max {
        errors.0.push(Error::invalid(&at.path, "", format!("can have at most {max} characters")));
    }
}
