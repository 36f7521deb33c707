//! ResourceQuotas and LimitRanges.

use std::collections::BTreeSet;

use mainstay_api::field::Error;
use mainstay_api::names;
use mainstay_api::quantity::Quantity;
use serde_json::Value;

use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, quantities};

/// ResourceQuotas.
pub(crate) const QUOTA: Rules = Rules {
    check: |_, obj, errors| quota(obj, errors),
    change: |_, new, old, errors| {
        let sorted =
            |obj: &Value| -> BTreeSet<String> { At::spec(obj).get("scopes").strings().map(str::to_owned).collect() };
        if sorted(new) != sorted(old) {
            errors.invalid(&At::spec(new).get("scopes"), "field is immutable");
        }
        let (now, was) = (At::spec(new).get("scopeSelector"), At::spec(old).get("scopeSelector"));
        errors.immutable_struct(&now, &was, "io.k8s.api.core.v1.ScopeSelector");
    },
    status: |_, new, _, errors| {
        let status = At::root(new).get("status");
        for list in ["hard", "used"] {
            amounts(&status.get(list), errors);
        }
    },
    ..Rules::PLAIN
};

/// LimitRanges.
pub(crate) const LIMITS: Rules =
    Rules { check: |_, obj, errors| limit_range(obj, errors), parts: &[Part::Meta, Part::Check], ..Rules::PLAIN };

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

fn amounts(list: &At<'_>, errors: &mut Errors) {
    for (name, at) in list.entries() {
        quantities::quota_resource_name(name, &at, errors);
        quantities::resource_amount(name, &at, errors);
    }
}

fn quota(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    amounts(&spec.get("hard"), errors);
    scopes(&spec, errors);
    let expressions = spec.get("scopeSelector").get("matchExpressions");
    expressions.items().for_each(|expression| scope_requirement(&expression, &spec, errors));
    let set: BTreeSet<&str> = expressions.items().map(|at| at.get("scopeName").str()).collect();
    let shown = At::new(spec.get("scopes").value, spec.get("scopeSelector").path.child("matchExpressions"));
    conflicts(&set, &shown, errors);
}

fn scopes(spec: &At<'_>, errors: &mut Errors) {
    let list = spec.get("scopes");
    if list.is_empty() {
        return;
    }
    let hard: Vec<&String> = spec.get("hard").map().keys().collect();
    let set: BTreeSet<&str> = list.strings().collect();
    for scope in &set {
        if !SCOPES.contains(scope) {
            errors.invalid(&list, "unsupported scope");
        }
        let fits = hard.iter().all(|name| scope_counts(scope, name));
        if !fits {
            errors.invalid(&list, "unsupported scope applied to resource");
        }
    }
    conflicts(&set, &list, errors);
}

/// Scopes that no object is in both of.
fn conflicts(set: &BTreeSet<&str>, shown: &At<'_>, errors: &mut Errors) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| set.contains(scope)) {
            errors.invalid(shown, "conflicting scopes");
        }
    }
}

/// A quota for pods without requests cannot count requests.
fn scope_counts(scope: &str, resource: &str) -> bool {
    const COMPUTE: &[&str] = &[
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    ];
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            resource == "pods"
                || resource == "count/pods"
                || COMPUTE.contains(&resource)
                || resource.starts_with("requests.")
                || quantities::is_hugepages(resource)
        }
        _ => true,
    }
}

fn scope_requirement(at: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let base = spec.get("scopeSelector").path.child("matchExpressions");
    let under = |field: &str| At::new(at.get(field).value, base.child(field));
    let (name, operator, values) = (under("scopeName"), under("operator"), under("values"));
    if !SCOPES.contains(&name.str()) {
        errors.invalid(&name, "unsupported scope");
    }
    let flag = !matches!(name.str(), "PriorityClass" | "VolumeAttributesClass") && SCOPES.contains(&name.str());
    if flag && operator.str() != "Exists" {
        errors.invalid(&operator, "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
    }
    match operator.str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&values, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.invalid(&values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.invalid(&operator, "not a valid selector operator"),
    }
}

fn limit_range(obj: &Value, errors: &mut Errors) {
    let limits = At::spec(obj).get("limits");
    let mut seen = BTreeSet::new();
    for item in limits.items() {
        let kind = item.get("type");
        limit_type(&kind, errors);
        if !seen.insert(kind.str()) {
            errors.duplicate(&kind);
        }
        limit_item(&item, errors);
    }
}

fn limit_type(at: &At<'_>, errors: &mut Errors) {
    let texts = names::is_qualified_name(at.str());
    if texts.is_empty() && !at.str().contains('/') && !matches!(at.str(), "Pod" | "Container" | "PersistentVolumeClaim")
    {
        errors.invalid(at, "must be a standard limit type or fully qualified");
    }
    errors.each(at, texts);
}

fn limit_item(item: &At<'_>, errors: &mut Errors) {
    let kind = item.get("type").str();
    let lists: &[&str] = &["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
    limit_names(item, &["max", "min"], errors);
    if kind == "Pod" {
        for list in ["default", "defaultRequest"] {
            if !item.get(list).is_empty() {
                errors.forbidden(&item.get(list), "may not be specified when `type` is 'Pod'");
            }
        }
    }
    if kind != "Pod" {
        limit_names(item, &["default", "defaultRequest"], errors);
    }
    if kind == "PersistentVolumeClaim"
        && item.get("min").opt("storage").is_none()
        && item.get("max").opt("storage").is_none()
    {
        errors.required(
            &item.get("limits"),
            "either minimum or maximum storage value is required, but neither was provided",
        );
    }
    for (name, at) in item.get("maxLimitRequestRatio").entries() {
        quantities::resource_name(name, &at, errors);
    }
    let keys: BTreeSet<&String> = lists
        .iter()
        .filter(|list| kind != "Pod" || !list.starts_with("default"))
        .flat_map(|list| item.get(list).map().keys())
        .collect();
    keys.into_iter().for_each(|name| limit_order(item, name, errors));
}

/// Pods and containers are limited in what containers have.
fn limit_names(item: &At<'_>, lists: &[&str], errors: &mut Errors) {
    let judge = match item.get("type").str() {
        "Pod" | "Container" => quantities::container_resource_name,
        _ => quantities::resource_name,
    };
    for list in lists {
        item.get(list).entries().for_each(|(name, at)| judge(name, &at, errors));
    }
}

/// minimum ≤ default request ≤ default ≤ maximum.
fn limit_order(item: &At<'_>, name: &str, errors: &mut Errors) {
    let get = |list: &str| -> Option<Quantity> { item.get(list).opt(name).map(|at| at.quantity()) };
    let mut wrong = |list: &str, shown: &Quantity, detail: String| {
        errors.0.push(Error::invalid(&item.path.child(list).key(name), shown.to_string(), detail))
    };
    let (max, min, default, request, ratio) =
        (get("max"), get("min"), get("default"), get("defaultRequest"), get("maxLimitRequestRatio"));
    if let (Some(min), Some(max)) = (&min, &max)
        && min > max
    {
        wrong("min", min, format!("min value {min} is greater than max value {max}"));
    }
    if let Some(request) = &request {
        if let Some(min) = min.as_ref().filter(|min| *min > request) {
            wrong(
                "defaultRequest",
                request,
                format!("min value {min} is greater than default request value {request}"),
            );
        }
        if let Some(max) = max.as_ref().filter(|max| request > *max) {
            wrong(
                "defaultRequest",
                request,
                format!("default request value {request} is greater than max value {max}"),
            );
        }
        if let Some(default) = default.as_ref().filter(|default| request > *default) {
            wrong(
                "defaultRequest",
                request,
                format!("default request value {request} is greater than default limit value {default}"),
            );
        }
    }
    if let Some(default) = &default {
        if let Some(min) = min.as_ref().filter(|min| *min > default) {
            wrong("default", min, format!("min value {min} is greater than default value {default}"));
        }
        if let Some(max) = max.as_ref().filter(|max| default > *max) {
            wrong("default", max, format!("default value {default} is greater than max value {max}"));
        }
    }
    if let Some(ratio) = &ratio
        && ratio.milli_value() < 1000
    {
        wrong("maxLimitRequestRatio", ratio, format!("ratio {ratio} is less than 1"));
    }
    if let (Some(ratio), Some(min), Some(max)) = (&ratio, &min, &max) {
        let most = max.as_f64() / min.as_f64();
        if ratio.as_f64() > most {
            wrong("maxLimitRequestRatio", ratio, format!("ratio {ratio} is greater than max/min = {most:.6}"));
        }
    }
    if let (Some(default), Some(request)) = (&default, &request)
        && default != request
        && (quantities::is_extended(name) || quantities::is_hugepages(name))
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        wrong("defaultRequest", request, detail);
    }
}
