//! HorizontalPodAutoscalers and PodDisruptionBudgets: what scales and what holds.

use mainstay_api::field::Error;
use mainstay_api::{meta, names};
use serde_json::{Value, json};

use crate::strategy::rules::{self, Part, Rules};
use crate::strategy::validate::selectors::{at_most_all, int_or_percent, label_selector};
use crate::strategy::validate::{At, Errors, conditions, quantities};

/// HorizontalPodAutoscalers, in version 2.
pub(crate) const AUTOSCALER: Rules = Rules {
    check: |_, obj, errors| autoscaler(obj, errors),
    status: |_, new, _, errors| {
        let status = At::root(new).get("status");
        errors.non_negative(&status.get("currentReplicas"));
        errors.non_negative(&status.get("desiredReplicas"));
    },
    ..Rules::PLAIN
};

/// PodDisruptionBudgets.
pub(crate) const BUDGET: Rules = Rules {
    check: |_, obj, errors| budget(obj, errors),
    status: |_, new, _, errors| {
        let status = At::root(new).get("status");
        conditions::conditions(&status.get("conditions"), errors);
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            errors.non_negative(&status.get(field));
        }
    },
    // Of its metadata Kubernetes judges what every object has, and no more.
    status_meta: false,
    tidy: |_, obj| forget_old_match(obj),
    names: rules::segment,
    parts: &[Part::Check, Part::Change],
    finalizers: false,
    ..Rules::PLAIN
};

/// By this label version v1beta1 told a selector that chooses all pods from one that chooses none. Version v1 knows the
/// latter by it, and else passes it over.
fn forget_old_match(budget: &mut Value) {
    const LABEL: &str = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";
    let Some(selector) = budget.pointer_mut("/spec/selector").and_then(Value::as_object_mut) else { return };
    let alone = selector.get("matchLabels").and_then(Value::as_object).is_none_or(|labels| labels.is_empty());
    if alone && selector.get("matchExpressions") == Some(&json!([{"key": LABEL, "operator": "Exists"}])) {
        return;
    }
    let Some(list) = selector.get_mut("matchExpressions").and_then(Value::as_array_mut) else { return };
    list.retain(|expression| expression["key"] != LABEL);
    if list.is_empty() {
        selector.remove("matchExpressions");
    }
}

fn budget(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (min, max) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if !min.is_null() && !max.is_null() {
        let policy = spec.get("unhealthyPodEvictionPolicy");
        let text = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            min.value,
            spec.get("selector").value,
            max.value,
            policy.value
        );
        errors.0.push(Error::invalid_text(&spec.path, text, "minAvailable and maxUnavailable cannot be both set"));
    }
    for at in [&min, &max] {
        if !at.is_null() {
            int_or_percent(at, errors);
            at_most_all(at, errors);
        }
    }
    label_selector(&spec.get("selector"), errors);
    errors.one_of_if_set(&spec.get("unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"]);
}

fn autoscaler(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (min, max) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if !min.is_null() && min.int() < 1 {
        errors.invalid(&min, "must be greater than or equal to 1");
    }
    if max.int() == 0 {
        errors.required(&max, "must be set and greater than 0");
    } else if max.int() < 1 {
        errors.invalid(&max, "must be greater than or equal to 1");
    }
    if !min.is_null() && max.int() < min.int() {
        errors.0.push(Error::invalid(&max.path, max.int(), "must be greater than or equal to `minReplicas`"));
    }
    reference(&spec.get("scaleTargetRef"), true, errors);
    let metrics = spec.get("metrics");
    let scales_to_zero = metrics.items().any(|metric| matches!(metric.get("type").str(), "Object" | "External"));
    metrics.items().for_each(|metric| self::metric(&metric, errors));
    if min.int() == 0 && !min.is_null() && !scales_to_zero {
        errors.forbidden(
            &metrics,
            "must specify at least one Object or External metric to support scaling to zero replicas",
        );
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = spec.get("behavior").opt(direction) {
            behavior(&rules, errors);
        }
    }
}

fn reference(at: &At<'_>, needs_group: bool, errors: &mut Errors) {
    for field in ["kind", "name"] {
        let at = at.get(field);
        if at.str().is_empty() {
            errors.required(&at, "");
        } else {
            errors.each(&at, names::is_path_segment(at.str(), false));
        }
    }
    let version = at.get("apiVersion");
    match meta::split_api_version(version.str()) {
        None => errors.0.push(Error::invalid(
            &version.path,
            version.str(),
            format!("unexpected GroupVersion string: {}", version.str()),
        )),
        Some((group, _)) if needs_group && group.is_empty() && at.get("kind").str() != "ReplicationController" => {
            errors.0.push(Error::invalid(&version.path, version.str(), "apiVersion must specify API group"));
        }
        Some(_) => {}
    }
}

fn behavior(rules: &At<'_>, errors: &mut Errors) {
    if let Some(window) = rules.opt("stabilizationWindowSeconds") {
        if window.int() < 0 {
            errors.invalid(&window, "must be greater than or equal to zero");
        }
        if window.int() > 3600 {
            errors.invalid(&window, "must be less than or equal to 3600");
        }
    }
    if let Some(select) = rules.opt("selectPolicy") {
        errors.one_of_if_set(&select, &["Disabled", "Max", "Min"]);
    }
    let policies = rules.get("policies");
    if policies.is_empty() {
        errors.required(&policies, "must specify at least one Policy");
    }
    for policy in policies.items() {
        let kind = policy.get("type");
        if !matches!(kind.str(), "Percent" | "Pods") {
            errors.0.push(Error::not_supported(&kind.path, kind.str(), &["Percent", "Pods"]));
        }
        for field in ["value", "periodSeconds"] {
            let at = policy.get(field);
            if at.int() <= 0 {
                errors.0.push(Error::invalid(&at.path, at.int(), "must be greater than zero"));
            }
        }
        if policy.get("periodSeconds").int() > 1800 {
            errors.invalid(&policy.get("periodSeconds"), "must be less than or equal to 1800");
        }
    }
    if let Some(tolerance) = rules.opt("tolerance") {
        quantities::non_negative(&tolerance, errors);
    }
}

/// Types of metrics with the field that describes each, in the order in which the fields are looked at.
const METRICS: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

fn metric(metric: &At<'_>, errors: &mut Errors) {
    let kind = metric.get("type");
    let unknown = || {
        let mut known = METRICS.map(|(name, _)| name);
        known.sort_unstable();
        Error::not_supported(&kind.path, kind.str(), &known)
    };
    let own = METRICS.iter().find(|(name, _)| *name == kind.str()).map(|(_, field)| *field);
    if kind.str().is_empty() {
        errors.required(&kind, "must specify a metric source type");
    }
    // Both the type and the lack of a source for it are told so.
    errors.0.extend(own.is_none().then(unknown));
    let present = metric.present(&METRICS.map(|(_, field)| field));
    if let Some(first) = present.first() {
        source(first, &metric.get(first), errors);
    }
    match own.map(|own| metric.get(own)) {
        Some(source) if source.is_null() => {
            errors.required(&source, "must populate information for the given metric source")
        }
        Some(_) => {}
        None => errors.0.push(unknown()),
    }
    if present.len() > 1 {
        for other in present.into_iter().filter(|field| Some(*field) != own) {
            errors.forbidden(&metric.get(other), "must populate the given metric source only");
        }
    }
}

fn source(kind: &str, at: &At<'_>, errors: &mut Errors) {
    let target = at.get("target");
    match kind {
        "resource" | "containerResource" => {
            let (name, container) = (at.get("name"), at.get("container"));
            if name.str().is_empty() {
                errors.required(&name, "must specify a resource name");
            } else if kind == "containerResource" {
                quantities::container_resource_name(name.str(), &name, errors);
            }
            if kind == "containerResource" && container.str().is_empty() {
                errors.required(&container, "must specify a container");
            }
            errors.name_if_set(&container, names::is_dns1123_label);
            self::target(&target, errors);
            let (utilization, value) = (target.opt("averageUtilization"), target.opt("averageValue"));
            if utilization.is_none() && value.is_none() {
                errors.required(
                    &target.get("averageUtilization"),
                    "must set either a target raw value or a target utilization",
                );
            }
            if utilization.is_some() && value.is_some() {
                errors.forbidden(
                    &target.get("averageValue"),
                    "may not set both a target raw value and a target utilization",
                );
            }
        }
        _ => {
            if kind == "object" {
                reference(&at.get("describedObject"), false, errors);
            }
            let name = at.get("metric").get("name");
            if name.str().is_empty() {
                errors.required(&name, "must specify a metric name");
            }
            errors.name_if_set(&name, |name| names::is_path_segment(name, false));
            self::target(&target, errors);
            let (value, average) = (target.opt("value").is_some(), target.opt("averageValue").is_some());
            match kind {
                "pods" if !average => {
                    errors.required(&target.get("averageValue"), "must specify a positive target averageValue")
                }
                "external" if !value && !average => errors.required(
                    &target.get("averageValue"),
                    "must set either a target value for metric or a per-pod target",
                ),
                "external" if value && average => errors
                    .forbidden(&target.get("value"), "may not set both a target value for metric and a per-pod target"),
                "object" if !value && !average => {
                    errors.required(&target.get("averageValue"), "must set either a target value or averageValue")
                }
                _ => {}
            }
        }
    }
}

fn target(target: &At<'_>, errors: &mut Errors) {
    let kind = target.get("type");
    if kind.str().is_empty() {
        errors.required(&kind, "must specify a metric target type");
    }
    if !matches!(kind.str(), "Utilization" | "Value" | "AverageValue") {
        let why = "must be either Utilization, Value, or AverageValue";
        errors.0.push(Error::invalid(&kind.path, kind.str(), why));
    }
    for field in ["value", "averageValue"] {
        if let Some(at) = target.opt(field)
            && (at.quantity().is_negative() || at.quantity().is_zero())
        {
            errors.0.push(Error::invalid(&at.path, at.quantity().to_string(), "must be positive"));
        }
    }
    if let Some(utilization) = target.opt("averageUtilization")
        && utilization.int() < 1
    {
        errors.invalid(&utilization, "must be greater than 0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(check: fn(&At<'_>, &mut Errors), value: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        check(&At::root(value), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_label_of_an_old_version_is_passed_over_unless_it_says_none() {
        const LABEL: &str = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";
        let kept = |selector: Value| {
            let mut budget = json!({"spec": {"selector": selector}});
            forget_old_match(&mut budget);
            budget["spec"]["selector"].take()
        };
        let expressions = |operator: &str| json!([{"key": LABEL, "operator": operator}]);
        let none = json!({"matchExpressions": expressions("Exists")});
        assert_eq!(kept(none.clone()), none);
        assert_eq!(kept(json!({"matchExpressions": expressions("DoesNotExist")})), json!({}));
        let labels = json!({"a": "b"});
        assert_eq!(
            kept(json!({"matchLabels": labels, "matchExpressions": expressions("Exists")})),
            json!({"matchLabels": labels})
        );
        assert_eq!(kept(json!({})), json!({}));
        assert_eq!(kept(Value::Null), Value::Null);
    }

    #[test]
    fn the_first_source_is_judged_whatever_the_type() {
        let external = json!({"metric": {"name": "a/b"}, "target": {"type": "Value", "value": "1"}});
        assert_eq!(
            judge(metric, &json!({"type": "Pods", "external": external})),
            [
                r#"external.metric.name: Invalid value: "a/b": may not contain '/'"#,
                "pods: Required value: must populate information for the given metric source",
            ]
        );
        let resource = json!({"name": "cpu", "target": {"averageUtilization": 0}});
        assert_eq!(
            judge(
                metric,
                &json!({"type": "Resource", "resource": resource, "pods": {
                    "metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"},
                }})
            ),
            ["pods: Forbidden: must populate the given metric source only"]
        );
        assert_eq!(
            judge(metric, &json!({"type": "Resource", "resource": resource})),
            [
                "resource.target.type: Required value: must specify a metric target type",
                r#"resource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue"#,
                "resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
            ]
        );
    }
}
