//! When a job has succeeded or failed.

use mainstay_api::field::Error;
use mainstay_api::names;

use crate::strategy::validate::{At, Errors};

/// Indexed jobs, and what only they can have.
pub(crate) fn completion(spec: &At<'_>, errors: &mut Errors) {
    let mode = spec.get("completionMode");
    if !matches!(mode.str(), "" | "NonIndexed" | "Indexed") {
        errors.unsupported(&mode, &["NonIndexed", "Indexed"]);
    }
    if mode.str() == "Indexed" {
        if spec.opt("completions").is_none() {
            errors.required(&spec.get("completions"), "when completion mode is Indexed");
        }
        let (parallelism, completions) = (spec.get("parallelism").int(), spec.get("completions").int());
        if parallelism > 100_000 && completions > 100_000 {
            errors.invalid(
                &spec.get("parallelism"),
                "must be less than or equal to 100000 when completion mode is Indexed",
            );
        }
        return;
    }
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(at) = spec.opt(field) {
            errors.invalid(&at, "requires indexed completion mode");
        }
    }
}

/// `podFailurePolicy`.
pub(crate) fn failure_policy(spec: &At<'_>, errors: &mut Errors) {
    const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
    let Some(policy) = spec.opt("podFailurePolicy") else { return };
    if spec.get("template").get("spec").get("restartPolicy").str() != "Never" {
        let at = policy;
        errors.0.push(Error::invalid_text(&at.path, "null", "only allowed when restartPolicy is Never"));
        return;
    }
    let pod = spec.get("template").get("spec");
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod.get(list).items())
        .map(|at| at.get("name").str())
        .collect();
    if policy.get("rules").len() > 20 {
        errors.0.push(Error::too_many(
            &policy.get("rules").path,
            policy.get("rules").len().try_into().unwrap_or(i64::MAX),
            20,
        ));
    }
    for rule in policy.get("rules").items() {
        errors.one_of(&rule.get("action"), ACTIONS);
        let (codes, conditions) = (rule.opt("onExitCodes"), rule.get("onPodConditions"));
        if let Some(codes) = &codes {
            exit_codes(codes, &containers, errors);
        }
        for condition in conditions.items() {
            let kind = condition.get("type");
            errors.each(&kind, names::is_qualified_name(kind.str()));
            errors.one_of(&condition.get("status"), &["False", "True", "Unknown"]);
        }
        match (codes.is_some(), !conditions.is_empty()) {
            (true, true) => errors.0.push(
                Error::invalid(&rule.path, "", "specifying both OnExitCodes and OnPodConditions is not supported")
                    .without_value(),
            ),
            (false, false) => errors.0.push(
                Error::invalid(&rule.path, "", "specifying one of OnExitCodes and OnPodConditions is required")
                    .without_value(),
            ),
            _ => {}
        }
    }
}

fn exit_codes(at: &At<'_>, containers: &[&str], errors: &mut Errors) {
    let (operator, container, values) = (at.get("operator"), at.get("containerName"), at.get("values"));
    errors.one_of(&operator, &["In", "NotIn"]);
    if !container.is_null() && !containers.contains(&container.str()) {
        errors.invalid(&container, "must be one of the container or initContainer names in the pod template");
    }
    if values.is_empty() {
        errors.0.push(Error::invalid(&values.path, serde_json::json!([]), "at least one value is required"));
    }
    let mut seen = std::collections::HashSet::new();
    let mut last = None;
    let mut ordered = true;
    for value in values.items() {
        if operator.str() == "In" && value.int() == 0 {
            errors.invalid(&value, "must not be 0 for the In operator");
        }
        if !seen.insert(value.int()) {
            errors.duplicate(&value);
        }
        ordered &= last.is_none_or(|last| last <= value.int());
        last = Some(value.int());
    }
    if !ordered {
        errors.invalid(&values, "must be ordered");
    }
}

/// `successPolicy`.
pub(crate) fn success_policy(spec: &At<'_>, errors: &mut Errors) {
    let Some(policy) = spec.opt("successPolicy") else { return };
    if spec.get("completionMode").str() != "Indexed" {
        errors.0.push(Error::invalid_text(&policy.path, text(&policy), "requires indexed completion mode"));
        return;
    }
    if policy.get("rules").is_empty() {
        errors
            .required(&policy.get("rules"), "at least one rules must be specified when the successPolicy is specified");
    }
    for rule in policy.get("rules").items() {
        if rule.opt("succeededCount").is_none() && rule.opt("succeededIndexes").is_none() {
            errors.required(&rule, "at least one of succeededCount or succeededIndexes must be specified");
        }
        errors.non_negative(&rule.get("succeededCount"));
    }
}

/// The policy as Kubernetes prints its internal form.
fn text(policy: &At<'_>) -> String {
    let rules = policy.get("rules");
    let rules: Vec<String> = rules
        .items()
        .map(|rule| {
            format!(
                "{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}",
                rule.get("succeededIndexes").value,
                rule.get("succeededCount").value
            )
        })
        .collect();
    format!("{{\"Rules\":[{}]}}", rules.join(","))
}
