//! Events: those of the new group are held to strict rules, those of the core group to few.

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use crate::strategy::rules::Rules;
use crate::strategy::validate::{At, Errors};

/// Events of the core group.
pub(crate) const CORE: Rules = Rules { check: |_, obj, errors| namespace(obj, errors), ..Rules::PLAIN };

/// Events of events.k8s.io; they come in the stored form, that of the core group.
pub(crate) const NEW: Rules = Rules {
    check: |_, obj, errors| {
        namespace(obj, errors);
        strict(obj, errors);
    },
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        for field in [
            "involvedObject",
            "reason",
            "message",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "count",
            "type",
            "eventTime",
            "action",
            "related",
            "reportingComponent",
            "reportingInstance",
        ] {
            errors.immutable(&new.get(field), &old.get(field));
        }
    },
    ..Rules::PLAIN
};

/// An event lives where the object lives that it is about.
fn namespace(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    let own = root.get("metadata").get("namespace").str();
    let at = root.get("involvedObject").get("namespace");
    let fits = if at.str().is_empty() { matches!(own, "default" | "kube-system" | "") } else { at.str() == own };
    if !fits {
        errors.0.push(Error::invalid(&at.path, at.str(), "does not match event.namespace"));
    }
}

fn strict(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    if root.get("eventTime").is_null() {
        errors.required(&root.get("eventTime"), "");
    }
    let controller = At::new(root.get("reportingComponent").value, root.path.child("reportingController"));
    if controller.str().is_empty() {
        errors.required(&controller, "");
    }
    for why in names::is_qualified_name(controller.str()) {
        errors.0.push(Error::invalid(&controller.path, controller.str(), why));
    }
    for (field, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let at = root.get(field);
        errors.needed(&at);
        too_long(&at, max, errors);
    }
    too_long(&root.get("message"), 1024, errors);
    let kind = root.get("type");
    match kind.str() {
        "Normal" | "Warning" => {}
        "" => errors.required(&kind, ""),
        other => errors.0.push(Error::invalid(&kind.path, "", format!("has invalid value: {other}"))),
    }
    series(&root, errors);
}

fn too_long(at: &At<'_>, max: usize, errors: &mut Errors) {
    if at.str().len() > max {
        errors.0.push(Error::invalid(&at.path, "", format!("can have at most {max} characters")));
    }
}

fn series(root: &At<'_>, errors: &mut Errors) {
    if let Some(series) = root.opt("series") {
        if series.get("count").int() < 2 {
            errors.0.push(Error::invalid(&series.get("count").path, "", "should be at least 2"));
        }
        if series.get("lastObservedTime").is_null() {
            errors.required(&series.get("lastObservedTime"), "");
        }
    }
    for field in ["firstTimestamp", "lastTimestamp"] {
        if !root.get(field).is_null() {
            errors.0.push(Error::invalid(&root.path.child(field), "", "needs to be unset"));
        }
    }
    if root.get("count").int() != 0 {
        errors.0.push(Error::invalid(&root.path.child("count"), "", "needs to be unset"));
    }
    if !root.get("source").get("component").str().is_empty() {
        errors.0.push(Error::invalid(&root.path.child("source"), "", "needs to be unset"));
    }
}
