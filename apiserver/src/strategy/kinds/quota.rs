//! ResourceQuotas and LimitRanges.

use std::collections::BTreeSet;

use mainstay_api::field::Error;
use mainstay_api::quantity::Quantity;
use mainstay_api::{meta, names, types};
use serde_json::Value;

use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, dumped, quantities};

/// ResourceQuotas.
pub(crate) const QUOTA: Rules = Rules {
    check: |_, obj, errors| quota(obj, errors),
    change: |_, new, old, errors| {
        let sorted =
            |obj: &Value| -> BTreeSet<String> { At::spec(obj).get("scopes").strings().map(str::to_owned).collect() };
        if sorted(new) != sorted(old) {
            errors.invalid(&At::spec(new).get("scopes"), "field is immutable");
        }
    },
    status: |_, new, _, errors| {
        let status = At::root(new).get("status");
        for list in ["hard", "used"] {
            amounts(&status.get(list), errors);
        }
    },
    warn: |new, old| if old.is_none() { unreachable_requests(new) } else { Vec::new() },
    ..Rules::PLAIN
};

/// LimitRanges.
pub(crate) const LIMITS: Rules = Rules {
    check: |_, obj, errors| limit_range(obj, errors),
    tidy: |_, obj| name_limits(obj),
    parts: &[Part::Meta, Part::Check],
    ..Rules::PLAIN
};

/// Who gives limits no name gets one that is nobody else's.
fn name_limits(limits: &mut Value) {
    if meta::name(limits).is_empty() {
        meta::set(limits, "name", uuid::Uuid::new_v4().to_string());
    }
}

/// Nobody can ask for more than the limits allow.
fn unreachable_requests(quota: &Value) -> Vec<String> {
    let hard = At::spec(quota).get("hard");
    let told = |name: &&str| -> Option<String> {
        let bare = matches!(*name, "cpu" | "memory").then(|| (*name).to_owned());
        let asked =
            [Some(format!("requests.{name}")), bare].into_iter().flatten().find(|key| hard.opt(key).is_some())?;
        let limited = format!("limits.{name}");
        let (request, limit) = (hard.opt(&asked)?.quantity(), hard.opt(&limited)?.quantity());
        (request > limit).then(|| format!("ResourceQuota {asked} ({request}) should be less than {limited} ({limit})"))
    };
    ["cpu", "memory", "storage", "ephemeral-storage"].iter().filter_map(told).collect()
}

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
    let names = spec.get("hard").map().keys().map(String::as_str);
    let standard: Vec<&str> = names.filter(|name| quantities::is_standard_for_quota(name)).collect();
    scopes(&spec.get("scopes"), &standard, errors);
    let selector = spec.get("scopeSelector");
    let expressions = selector.get("matchExpressions");
    expressions.items().for_each(|expression| scope_requirement(&expression, &selector, &standard, errors));
    let set: BTreeSet<&str> = expressions.items().map(|at| at.get("scopeName").str()).collect();
    conflicts(&set, &At::new(spec.get("scopes").value, expressions.path), errors);
}

fn scopes(list: &At<'_>, standard: &[&str], errors: &mut Errors) {
    let mut told = |why: &str| {
        if !errors.are_many() {
            errors.invalid(list, why);
        }
    };
    for scope in list.strings() {
        if !SCOPES.contains(&scope) {
            told("unsupported scope");
        }
        (0..not_counted(scope, standard)).for_each(|_| told("unsupported scope applied to resource"));
    }
    conflicts(&list.strings().collect(), list, errors);
}

/// Scopes that no object is in both of.
fn conflicts(set: &BTreeSet<&str>, shown: &At<'_>, errors: &mut Errors) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| set.contains(scope)) {
            errors.invalid(shown, "conflicting scopes");
        }
    }
}

/// How many of the resources cannot be counted within the scope.
fn not_counted(scope: &str, standard: &[&str]) -> usize {
    standard.iter().filter(|name| !scope_counts(scope, name)).count()
}

/// A quota for pods without requests cannot count requests.
fn scope_counts(scope: &str, resource: &str) -> bool {
    const COMPUTE: &[&str] =
        &["pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            COMPUTE.contains(&resource)
        }
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

fn scope_requirement(at: &At<'_>, selector: &At<'_>, standard: &[&str], errors: &mut Errors) {
    let base = selector.path.child("matchExpressions");
    let under = |field: &str| At::new(at.get(field).value, base.child(field));
    let (name, operator, values) = (under("scopeName"), under("operator"), under("values"));
    if !SCOPES.contains(&name.str()) {
        errors.each(&name, vec!["unsupported scope".to_owned()]);
    }
    if let Some(of) = types::by_name("io.k8s.api.core.v1.ScopeSelector") {
        for _ in 0..not_counted(name.str(), standard) {
            if !errors.are_many() {
                let why = "unsupported scope applied to resource";
                errors.0.push(Error { field: base.to_string(), ..dumped(of, selector, why) });
            }
        }
    }
    let flag = !matches!(name.str(), "PriorityClass" | "VolumeAttributesClass") && SCOPES.contains(&name.str());
    if flag && operator.str() != "Exists" {
        let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.each(&operator, vec![why.to_owned()]);
    }
    match operator.str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&values, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.invalid(&values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.each(&operator, vec!["not a valid selector operator".to_owned()]),
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
    limit_names(item, &["maxLimitRequestRatio"], errors);
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
        && (!quantities::is_native(name) || quantities::is_hugepages(name))
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        wrong("defaultRequest", request, detail);
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::field::{Piece, Shown};
    use serde_json::json;

    use super::*;
    use crate::strategy::{Strategy, testing};

    #[test]
    fn limits_without_a_name_get_one() {
        let named = |metadata: Value| -> String {
            let mut limits = json!({"metadata": metadata});
            testing::context("", "limitranges", |cx| LIMITS.prepare_create(cx, &mut limits));
            meta::name(&limits).to_owned()
        };
        assert_eq!(named(json!({"name": "own"})), "own");
        let drawn = named(json!({}));
        assert!(uuid::Uuid::parse_str(&drawn).is_ok() && named(json!({})) != drawn, "{drawn}");
    }

    #[test]
    fn every_resource_that_a_scope_cannot_count_is_told() {
        let judge = |spec: Value| -> Vec<String> {
            let mut errors = Errors::default();
            quota(&json!({"spec": spec}), &mut errors);
            errors.0.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            judge(json!({"hard": {"cpu": "1", "services": "1", "pods": "1"}, "scopes": ["BestEffort"]})),
            ["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"; 2]
        );
        let expression = json!({"scopeName": "BestEffort", "operator": "Exists"});
        assert_eq!(
            judge(json!({"hard": {"cpu": "1"}, "scopeSelector": {"matchExpressions": [expression]}})),
            [
                "spec.scopeSelector.matchExpressions: Invalid value: {\"MatchExpressions\":[{\"ScopeName\":\"BestEffort\",\"Operator\":\"Exists\",\"Values\":null}]}: unsupported scope applied to resource"
            ]
        );
        assert_eq!(judge(json!({"hard": {"requests.hugepages-2Mi": "1"}})), Vec::<String>::new());
    }

    #[test]
    fn a_long_list_is_not_told_for_each_of_its_members() {
        let count = |spec: Value| {
            let mut errors = Errors::default();
            quota(&json!({"spec": spec}), &mut errors);
            errors.0.len()
        };
        assert_eq!(count(json!({"scopes": vec!["Nope"; 100]})), 20);
        let hard = json!({"cpu": "1", "memory": "1"});
        let expression = json!({"scopeName": "BestEffort", "operator": "Exists"});
        let selector = json!({"matchExpressions": vec![expression; 100]});
        assert_eq!(count(json!({"hard": hard, "scopeSelector": selector})), 20);
    }

    #[test]
    fn a_selector_shows_which_of_its_lists_are_absent() {
        let expression = json!({"scopeName": "BestEffort", "operator": "Exists"});
        let object = json!({"spec": {"hard": {"cpu": "1"}, "scopeSelector": {"matchExpressions": [expression]}}});
        let mut errors = Errors::default();
        quota(&object, &mut errors);
        let absent = Piece::Absent("spec.scopeSelector.matchExpressions[0].values".to_owned());
        assert!(matches!(&errors.0[0].value, Shown::Pieces(pieces) if pieces.contains(&absent)));
    }

    #[test]
    fn requests_beyond_the_limits_are_told() {
        let quota =
            json!({"spec": {"hard": {"cpu": "2", "limits.cpu": "1", "requests.memory": "1", "limits.memory": "1"}}});
        assert_eq!(unreachable_requests(&quota), ["ResourceQuota cpu (2) should be less than limits.cpu (1)"]);
    }
}
