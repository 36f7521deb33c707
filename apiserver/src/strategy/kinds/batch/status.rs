//! What may be written as a job's status.

use mainstay_api::field::Error;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

/// The rules of a status.
pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, before) = (At::root(new).get("status"), At::root(old).get("status"));
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        errors.non_negative(&status.get(field));
    }
    if !errors.0.is_empty() {
        return;
    }
    let condition = |kind: &str| has(&status, kind);
    let (complete, failed) = (condition("Complete"), condition("Failed"));
    let completion = status.get("completionTime");
    if complete && completion.is_null() {
        errors.required(&completion, "completionTime is required for Complete jobs");
    }
    if !complete && !completion.is_null() {
        errors.invalid(&completion, "cannot set completionTime when there is no Complete=True condition");
    }
    if complete && !condition("SuccessCriteriaMet") {
        conditions(&status, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition", errors);
    }
    if failed && !condition("FailureTarget") {
        conditions(&status, "cannot set Failed=True condition without the FailureTarget=true condition", errors);
    }
    let (met, target) = (condition("SuccessCriteriaMet"), condition("FailureTarget"));
    for (both, what) in [
        (complete && failed, "Complete=True and Failed=true"),
        (complete && target, "Complete=True and FailureTarget=true"),
        (met && failed, "SuccessCriteriaMet=True and Failed=true"),
        (met && target, "SuccessCriteriaMet=True and FailureTarget=true"),
    ] {
        if both {
            conditions(&status, &format!("cannot set {what} conditions"), errors);
        }
    }
    if complete || failed {
        finished(&status, errors);
    }
    if status.get("ready").int() > status.get("active").int() {
        errors.invalid(&status.get("ready"), "cannot set more ready pods than active");
    }
    let start = (status.get("startTime"), before.get("startTime"));
    if !start.1.is_null() && start.0.value != start.1.value && !At::spec(new).get("suspend").bool() {
        errors.invalid(&start.0, "field is immutable for unsuspended job once set");
    }
}

/// A job that has ended has begun, and nothing of it runs.
fn finished(status: &At<'_>, errors: &mut Errors) {
    if status.opt("startTime").is_none() {
        errors.required(&status.get("startTime"), "startTime is required for finished job");
    }
    for field in ["active", "terminating"] {
        if status.get(field).int() > 0 {
            errors.invalid(&status.get(field), format!("{field}>0 is invalid for finished job"));
        }
    }
}

fn has(status: &At<'_>, kind: &str) -> bool {
    status.get("conditions").items().any(|at| at.get("type").str() == kind && at.get("status").str() == "True")
}

fn conditions(status: &At<'_>, why: &str, errors: &mut Errors) {
    errors.0.push(Error::invalid(&status.get("conditions").path, "", why).without_value());
}
