//! When a job has succeeded or failed.

use mainstay_api::field::Error;
use mainstay_api::names;

use super::indexes;
use crate::strategy::validate::{At, Errors};

/// Indexed jobs, and what only they can have.
pub(crate) fn completion(spec: &At<'_>, errors: &mut Errors) {
    let mode = spec.get("completionMode");
    errors.one_of_if_set(&mode, &["NonIndexed", "Indexed"]);
    if mode.str() == "Indexed" {
        indexed(spec, errors);
    }
    if !mode.is_null() && mode.str() != "NonIndexed" {
        return;
    }
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(at) = spec.opt(field) {
            errors.invalid(&at, "requires indexed completion mode");
        }
    }
}

/// The bounds of a job with an index for each pod.
fn indexed(spec: &At<'_>, errors: &mut Errors) {
    const MANY: i64 = 100_000;
    const FEW: i64 = 10_000;
    let (parallelism, completions) = (spec.get("parallelism"), spec.get("completions"));
    let failed = spec.get("maxFailedIndexes");
    if completions.is_null() {
        errors.required(&completions, "when completion mode is Indexed");
    }
    if parallelism.int() > MANY {
        let why = format!("must be less than or equal to {MANY} when completion mode is Indexed");
        errors.invalid(&parallelism, why);
    }
    if !completions.is_null() && failed.int() > completions.int() {
        errors.invalid(&failed, "must be less than or equal to completions");
    }
    if failed.int() > MANY {
        errors.invalid(&failed, format!("must be less than or equal to {MANY}"));
    }
    if completions.int() > MANY && spec.opt("backoffLimitPerIndex").is_some() {
        if failed.is_null() {
            errors.required(&failed, &format!("must be specified when completions is above {MANY}"));
        }
        let why = format!(
            "must be less than or equal to {FEW} when completions are above {MANY} and used with backoff limit per index"
        );
        for at in [&parallelism, &failed].into_iter().filter(|at| at.int() > FEW) {
            errors.invalid(at, why.clone());
        }
    }
}

/// `podFailurePolicy`.
pub(crate) fn failure_policy(spec: &At<'_>, errors: &mut Errors) {
    let Some(policy) = spec.opt("podFailurePolicy") else { return };
    let pod = spec.get("template").get("spec");
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod.get(list).items())
        .map(|at| at.get("name").str())
        .collect();
    let rules = policy.get("rules");
    at_most(&rules, 20, errors);
    let per_index = spec.opt("backoffLimitPerIndex").is_some();
    rules.items().for_each(|rule| failure_rule(&rule, per_index, &containers, errors));
}

fn at_most(list: &At<'_>, max: i64, errors: &mut Errors) {
    let found = i64::try_from(list.len()).unwrap_or(i64::MAX);
    if found > max {
        errors.0.push(Error::too_many(&list.path, found, max));
    }
}

/// One of these, with all of them told where it is missing.
fn one_of(at: &At<'_>, supported: &[&str], errors: &mut Errors) {
    if at.str().is_empty() {
        let quoted: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
        errors.required(at, &format!("valid values: [{}]", quoted.join(" ")));
    } else if !supported.contains(&at.str()) {
        errors.unsupported(at, supported);
    }
}

fn failure_rule(rule: &At<'_>, per_index: bool, containers: &[&str], errors: &mut Errors) {
    let action = rule.get("action");
    if action.str() == "FailIndex" && !per_index {
        errors.invalid(&action, "requires the backoffLimitPerIndex to be set");
    }
    one_of(&action, &["Count", "FailIndex", "FailJob", "Ignore"], errors);
    let (codes, conditions) = (rule.opt("onExitCodes"), rule.get("onPodConditions"));
    if let Some(codes) = &codes {
        exit_codes(codes, containers, errors);
    }
    at_most(&conditions, 20, errors);
    for condition in conditions.items() {
        let kind = condition.get("type");
        errors.each(&kind, names::is_qualified_name(kind.str()));
        one_of(&condition.get("status"), &["False", "True", "Unknown"], errors);
    }
    let why = match (codes.is_some(), !conditions.is_empty()) {
        (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.0.push(Error::invalid(&rule.path, "", why).without_value());
}

fn exit_codes(at: &At<'_>, containers: &[&str], errors: &mut Errors) {
    let (operator, container, values) = (at.get("operator"), at.get("containerName"), at.get("values"));
    one_of(&operator, &["In", "NotIn"], errors);
    if !container.is_null() && !containers.contains(&container.str()) {
        errors.invalid(&container, "must be one of the container or initContainer names in the pod template");
    }
    if values.is_empty() {
        errors.invalid(&values, "at least one value is required");
    }
    at_most(&values, 255, errors);
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
    at_most(&policy.get("rules"), 20, errors);
    policy.get("rules").items().for_each(|rule| success_rule(&rule, spec.get("completions").int(), errors));
}

/// How long the text of the indexes that have to succeed may be, in bytes.
const MAX_INDEXES_BYTES: usize = 64 * 1024;

fn success_rule(rule: &At<'_>, completions: i64, errors: &mut Errors) {
    let (count, indexes) = (rule.get("succeededCount"), rule.get("succeededIndexes"));
    if count.is_null() && indexes.is_null() {
        errors.required(rule, "at least one of succeededCount or succeededIndexes must be specified");
    }
    if indexes.str().len() > MAX_INDEXES_BYTES {
        errors.0.push(Error::too_long(&indexes.path, MAX_INDEXES_BYTES as i64));
    }
    let named = indexes::count(indexes.str(), completions);
    if let Err(why) = &named {
        errors.invalid(&indexes, format!("error parsing succeededIndexes: {why}"));
    }
    if count.is_null() {
        return;
    }
    errors.non_negative(&count);
    let mut bound = |most: i64, what: &str| {
        if count.int() > most {
            errors.invalid(&count, format!("must be less than or equal to {most} (the number of {what})"));
        }
    };
    bound(completions, "specified completions");
    if !indexes.is_null() {
        bound(named.unwrap_or_default(), "indexes in the specified succeededIndexes field");
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn indexes_that_have_to_succeed_are_of_a_certain_length() {
        let told = |text: String| -> Vec<String> {
            let rule = json!({"succeededIndexes": text});
            let mut errors = Errors::default();
            success_rule(&At::root(&rule), 10, &mut errors);
            errors.0.iter().map(ToString::to_string).collect()
        };
        assert_eq!(told("1,3".to_owned()), Vec::<String>::new());
        let told = told("0".repeat(MAX_INDEXES_BYTES + 1));
        assert_eq!(told, ["succeededIndexes: Too long: may not be more than 65536 bytes"]);
    }

    #[test]
    fn a_mode_that_says_nothing_is_none() {
        let judge = |spec: &serde_json::Value| {
            let mut errors = Errors::default();
            completion(&At::root(spec), &mut errors);
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let unsupported = r#"completionMode: Unsupported value: "": supported values: "NonIndexed", "Indexed""#;
        assert_eq!(judge(&json!({"completionMode": "", "maxFailedIndexes": 1})), [unsupported]);
        let alone = "maxFailedIndexes: Invalid value: 1: requires indexed completion mode";
        assert_eq!(judge(&json!({"maxFailedIndexes": 1})), [alone]);
        assert_eq!(judge(&json!({"completionMode": "NonIndexed", "maxFailedIndexes": 1})), [alone]);
    }
}
