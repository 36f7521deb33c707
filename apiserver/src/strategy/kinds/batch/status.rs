//! What may be written as a job's status.

use mainstay_api::field::Error;
use serde_json::Value;

use super::indexes;
use crate::strategy::validate::{At, Errors};

/// A job's spec and status, and the status before: rules are about what has changed.
struct Written<'a> {
    spec: At<'a>,
    now: At<'a>,
    was: At<'a>,
}

/// The rules of a status.
pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let status = |obj| At::root(obj).get("status");
    let written = Written { spec: At::spec(new), now: status(new), was: status(old) };
    written.numbers(errors);
    written.completion(errors);
    written.finished(errors);
    written.indexes(errors);
    if written.changed(&["terminating"], &ENDS) && written.ends() && written.now.get("terminating").int() > 0 {
        errors.invalid(&written.now.get("terminating"), "terminating>0 is invalid for finished job");
    }
    written.success(errors);
    written.changes(errors);
}

/// Conditions of a job that runs no more.
const ENDS: [&str; 2] = ["Complete", "Failed"];

impl Written<'_> {
    /// Whether any of these fields or conditions is another than before.
    fn changed(&self, fields: &[&str], conditions: &[&str]) -> bool {
        fields.iter().any(|field| self.now.get(field).value != self.was.get(field).value)
            || conditions.iter().any(|kind| has(&self.now, kind) != has(&self.was, kind))
    }

    fn ends(&self) -> bool {
        ENDS.iter().any(|kind| has(&self.now, kind))
    }

    fn numbers(&self, errors: &mut Errors) {
        for field in ["active", "succeeded", "failed", "ready", "terminating"] {
            errors.non_negative(&self.now.get(field));
        }
        let uncounted = self.now.get("uncountedTerminatedPods");
        let mut seen = std::collections::HashSet::new();
        for uid in ["succeeded", "failed"].into_iter().flat_map(|list| uncounted.get(list).items()) {
            if uid.str().is_empty() {
                errors.invalid(&uid, "must not be empty");
            } else if !seen.insert(uid.str()) {
                errors.duplicate(&uid);
            }
        }
    }

    fn completion(&self, errors: &mut Errors) {
        let (complete, failed) = (has(&self.now, "Complete"), has(&self.now, "Failed"));
        let (met, target) = (has(&self.now, "SuccessCriteriaMet"), has(&self.now, "FailureTarget"));
        let (time, start) = (self.now.get("completionTime"), self.now.get("startTime"));
        if complete && failed && self.changed(&[], &ENDS) {
            self.conditions("cannot set Complete=True and Failed=true conditions", errors);
        }
        if complete && target && self.changed(&[], &["Complete", "FailureTarget"]) {
            self.conditions("cannot set Complete=True and FailureTarget=true conditions", errors);
        }
        if self.changed(&["completionTime"], &["Complete"]) {
            match (complete, time.is_null()) {
                (false, false) => {
                    errors.invalid(&time, "cannot set completionTime when there is no Complete=True condition")
                }
                (true, true) => errors.required(&time, "completionTime is required for Complete jobs"),
                _ => {}
            }
        }
        if self.changed(&["startTime", "completionTime"], &[]) && instant(&time) < instant(&start) && !time.is_null() {
            errors.invalid(&time, "completionTime cannot be set before startTime");
        }
        if failed && !target && self.changed(&[], &["Failed", "FailureTarget"]) {
            self.conditions("cannot set Failed=True condition without the FailureTarget=true condition", errors);
        }
        if complete && !met && self.changed(&[], &["Complete", "SuccessCriteriaMet"]) {
            self.conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition", errors);
        }
    }

    /// A job that has ended has begun, and nothing of it runs.
    fn finished(&self, errors: &mut Errors) {
        if !self.ends() {
            return;
        }
        let (active, start) = (self.now.get("active"), self.now.get("startTime"));
        if active.int() > 0 && self.changed(&["active"], &ENDS) {
            errors.invalid(&active, "active>0 is invalid for finished job");
        }
        if start.is_null() && self.changed(&["startTime"], &ENDS) {
            errors.required(&start, "startTime is required for finished job");
        }
        let uncounted = self.now.get("uncountedTerminatedPods");
        let left = uncounted.get("succeeded").len() + uncounted.get("failed").len() > 0;
        if left && self.changed(&["uncountedTerminatedPods"], &ENDS) {
            let of = mainstay_api::types::by_name("io.k8s.api.batch.v1.UncountedTerminatedPods");
            let shown = of.map(|of| crate::strategy::internal::line(of, uncounted.value)).unwrap_or_default();
            let why = "uncountedTerminatedPods needs to be empty for finished job";
            errors.0.push(Error::invalid_text(&uncounted.path, shown, why));
        }
    }

    /// The indexes that have succeeded and failed.
    fn indexes(&self, errors: &mut Errors) {
        let (done, failed) = (self.now.get("completedIndexes"), self.now.get("failedIndexes"));
        let (done_new, failed_new) = (self.changed(&["completedIndexes"], &[]), self.changed(&["failedIndexes"], &[]));
        let (completions, per_index) = (self.spec.get("completions"), self.spec.opt("backoffLimitPerIndex").is_some());
        let judged = [(&done, done_new), (&failed, failed_new && per_index && !failed.is_null())];
        for (at, _) in judged.into_iter().filter(|(_, judge)| *judge && !completions.is_null()) {
            if let Err(why) = indexes::count(at.str(), completions.int()) {
                let field = at.path.to_string();
                errors.invalid(at, format!("error parsing {}: {why}", field.trim_start_matches("status.")));
            }
        }
        if done_new && !done.str().is_empty() && self.spec.get("completionMode").str() != "Indexed" {
            errors.invalid(&done, "cannot set non-empty completedIndexes when non-indexed completion mode");
        }
        if failed_new && !failed.is_null() && !per_index {
            errors.invalid(&failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
        }
        if (done_new || failed_new)
            && let Some(index) = indexes::overlap(done.str(), failed.str(), completions.int())
        {
            errors.invalid(&failed, format!("failedIndexes and completedIndexes overlap at index: {index}"));
        }
    }

    fn success(&self, errors: &mut Errors) {
        let (ready, active) = (self.now.get("ready"), self.now.get("active"));
        if !ready.is_null() && ready.int() > active.int() && self.changed(&["ready", "active"], &[]) {
            errors.invalid(&ready, "cannot set more ready pods than active");
        }
        let met = has(&self.now, "SuccessCriteriaMet");
        if met && has(&self.now, "Failed") {
            self.conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions", errors);
        }
        if met && has(&self.now, "FailureTarget") {
            self.conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions", errors);
        }
        if self.spec.opt("successPolicy").is_some() && !met && has(&self.now, "Complete") {
            let why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
            self.conditions(why, errors);
        }
    }

    /// What does not go back.
    fn changes(&self, errors: &mut Errors) {
        let gone = |kind: &str| has(&self.was, kind) && !has(&self.now, kind);
        for kind in ["Failed", "Complete", "FailureTarget"].into_iter().filter(|kind| gone(kind)) {
            self.conditions(&format!("cannot disable the terminal {kind}=True condition"), errors);
        }
        // An indexed job that shrinks forgets what has succeeded beyond its end.
        let shrinks = self.spec.get("completionMode").str() == "Indexed"
            && self.spec.get("completions").value == self.spec.get("parallelism").value;
        for (field, may_shrink) in [("failed", false), ("succeeded", shrinks)] {
            let (now, was) = (self.now.get(field), self.was.get(field));
            if !may_shrink && now.int() < was.int() {
                errors.0.push(Error::invalid(&now.path, now.int(), format!("cannot decrease the {field} counter")));
            }
        }
        let (time, before) = (self.now.get("completionTime"), self.was.get("completionTime"));
        if !time.is_null() && !before.is_null() && time.value != before.value {
            errors.invalid(&time, "completionTime cannot be mutated");
        }
        let (start, before) = (self.now.get("startTime"), self.was.get("startTime"));
        if !before.is_null() && start.value != before.value && !self.spec.get("suspend").bool() {
            errors.invalid(&start, "field is immutable for unsuspended job once set");
        }
        if gone("SuccessCriteriaMet") {
            self.conditions("cannot disable the SuccessCriteriaMet=True condition", errors);
        }
        if has(&self.was, "Complete") && !has(&self.was, "SuccessCriteriaMet") && has(&self.now, "SuccessCriteriaMet") {
            let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
            self.conditions(why, errors);
        }
    }

    fn conditions(&self, why: &str, errors: &mut Errors) {
        errors.0.push(Error::invalid(&self.now.get("conditions").path, "", why).without_value());
    }
}

/// When that is; nothing is before everything.
fn instant(at: &At<'_>) -> Option<jiff::Timestamp> {
    at.str().parse().ok()
}

pub(super) fn has(status: &At<'_>, kind: &str) -> bool {
    status.get("conditions").items().any(|at| at.get("type").str() == kind && at.get("status").str() == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(spec: &Value, now: &Value, was: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        let job = |status: &Value| json!({"spec": spec, "status": status});
        validate(&job(now), &job(was), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_has_ended_stays_so() {
        let spec = json!({"completions": 3, "parallelism": 1});
        let done = json!({
            "startTime": "2024-01-02T03:04:05Z", "completionTime": "2024-01-02T03:05:05Z", "succeeded": 3,
            "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
        });
        assert!(judge(&spec, &done, &json!({})).is_empty());
        let early = json!({"startTime": "2024-01-02T04:00:00Z", "completionTime": "2024-01-02T03:05:05Z",
            "conditions": done["conditions"]});
        assert_eq!(
            judge(&spec, &early, &json!({})),
            [
                r#"status.completionTime: Invalid value: "2024-01-02T03:05:05Z": completionTime cannot be set before startTime"#
            ]
        );
        let undone = json!({"startTime": done["startTime"], "succeeded": 2});
        assert_eq!(
            judge(&spec, &undone, &done),
            [
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.succeeded: Invalid value: 2: cannot decrease the succeeded counter",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ]
        );
    }

    #[test]
    fn indexes_are_for_indexed_jobs() {
        let status = json!({"completedIndexes": "0,9", "failedIndexes": "0"});
        assert_eq!(
            judge(&json!({"completions": 3}), &status, &json!({})),
            [
                r#"status.completedIndexes: Invalid value: "0,9": error parsing completedIndexes: too large index: "9""#,
                r#"status.completedIndexes: Invalid value: "0,9": cannot set non-empty completedIndexes when non-indexed completion mode"#,
                r#"status.failedIndexes: Invalid value: "0": cannot set non-null failedIndexes when backoffLimitPerIndex is null"#,
                r#"status.failedIndexes: Invalid value: "0": failedIndexes and completedIndexes overlap at index: 0"#,
            ]
        );
    }
}
