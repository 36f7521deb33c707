//! What a configuration is about: its rules and selectors against a request.

use std::sync::Arc;

use mainstay_api::meta;
use mainstay_api::resource::Resource;
use mainstay_api::selector::LabelSelector;
use serde_json::Value;

use super::list;
use crate::admission::{Attributes, Operation};
use crate::registry::{Registry, Row};

/// The name of an operation, as rules have it.
pub(super) fn operation(request: &Attributes<'_>) -> &'static str {
    match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// The version of the resource that a configuration wants the request in; `None` if it is not about it.
pub(super) fn find(constraint: &Value, rules: &str, request: &Attributes<'_>, registry: &Registry) -> Option<Arc<Row>> {
    let own = registry.find(&request.resource.group, &request.resource.version, &request.resource.resource)?;
    if !namespace_fits(constraint, request) || !object_fits(constraint, request) {
        return None;
    }
    let found = |rules: &[Value]| fitting(rules, constraint, &own, request, registry);
    if found(list(constraint, "/excludeResourceRules")).is_some() {
        return None;
    }
    match list(constraint, &format!("/{rules}")) {
        // A binding without rules is about all that its policy is about.
        [] => (rules == "resourceRules").then(|| own.clone()),
        rules => found(rules),
    }
}

/// The version of the resource that any of the rules is about: the request's own before others.
fn fitting(
    rules: &[Value],
    constraint: &Value,
    own: &Arc<Row>,
    request: &Attributes<'_>,
    registry: &Registry,
) -> Option<Arc<Row>> {
    if rules.iter().any(|rule| rule_fits(rule, &own.resource, request)) {
        return Some(own.clone());
    }
    if rules.is_empty() || constraint.get("matchPolicy").and_then(Value::as_str) == Some("Exact") {
        return None;
    }
    let siblings = registry.siblings(own)?;
    let fits = |rule: &Value| siblings.iter().find(|row| is_other(row, own) && rule_fits(rule, &row.resource, request));
    // The first rule that fits any of them decides.
    rules.iter().find_map(fits).cloned()
}

fn is_other(row: &Row, own: &Row) -> bool {
    row.resource.group != own.resource.group || row.resource.version != own.resource.version
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    let all = rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    all.into_iter().any(|own| own == "*" || own == wanted)
}

fn rule_fits(rule: &Value, resource: &Resource, request: &Attributes<'_>) -> bool {
    has(rule, "operations", operation(request))
        && has(rule, "apiGroups", &resource.group)
        && has(rule, "apiVersions", &resource.version)
        && list(rule, "/resources")
            .iter()
            .filter_map(Value::as_str)
            .any(|pattern| resource_fits(pattern, &resource.resource, request.subresource))
        && scope_fits(rule, request)
        && names_fit(rule, request)
}

/// `pods`, `pods/*`, `*/scale`, `*`, `*/*`.
fn resource_fits(pattern: &str, resource: &str, subresource: &str) -> bool {
    let (own, sub) = pattern.split_once('/').unwrap_or((pattern, ""));
    (own == "*" || own == resource) && (sub == "*" || sub == subresource)
}

fn scope_fits(rule: &Value, request: &Attributes<'_>) -> bool {
    let namespaced = !request.namespace.is_empty() && !request.is("", "namespaces");
    match rule.get("scope").and_then(Value::as_str).unwrap_or("*") {
        "Namespaced" => namespaced,
        "Cluster" => !namespaced,
        _ => true,
    }
}

fn names_fit(rule: &Value, request: &Attributes<'_>) -> bool {
    let names = list(rule, "/resourceNames");
    names.is_empty() || names.iter().any(|own| own.as_str() == Some(name(request)))
}

fn selector(constraint: &Value, field: &str) -> Option<LabelSelector> {
    let found = constraint.get(field).filter(|selector| !selector.is_null())?;
    LabelSelector::from_object(found).ok().filter(|selector| !selector.is_empty())
}

fn object_fits(constraint: &Value, request: &Attributes<'_>) -> bool {
    let Some(selector) = selector(constraint, "objectSelector") else { return true };
    // A `Scale` has no labels, whatever it scales.
    let seen = |object| if request.subresource == "scale" { &Value::Null } else { object };
    let both = [request.object.as_ref(), request.old_object.as_ref()];
    // What is asked of a stream has no metadata.
    request.operation != Operation::Connect
        && both.into_iter().flatten().any(|object| selector.matches_object(seen(object)))
}

fn namespace_fits(constraint: &Value, request: &Attributes<'_>) -> bool {
    let Some(selector) = selector(constraint, "namespaceSelector") else { return true };
    if request.is("", "namespaces") {
        let object = request.object.as_ref().or(request.old_object.as_ref());
        return object.is_some_and(|object| selector.matches_object(object));
    }
    if request.namespace.is_empty() {
        return true;
    }
    namespace(request).is_some_and(|namespace| selector.matches_object(&namespace))
}

/// The namespace that a request is in.
pub(super) fn namespace(request: &Attributes<'_>) -> Option<Arc<Value>> {
    if request.namespace.is_empty() || request.is("", "namespaces") {
        return None;
    }
    request.reader.get("", "namespaces", "", request.namespace)
}

/// The namespace that a request says it is in; that of a namespace is itself, once it has a name.
pub(super) fn stated_namespace<'r>(request: &'r Attributes<'_>) -> &'r str {
    if !request.is("", "namespaces") {
        return request.namespace;
    }
    let generated = request.operation == Operation::Create
        && request.object.as_ref().is_some_and(|object| !meta::generate_name(object).is_empty());
    if generated { "" } else { name(request) }
}

/// The name that a request is about, empty while it is to be generated.
pub(super) fn name<'r>(request: &'r Attributes<'_>) -> &'r str {
    let own = request.object.as_ref().map(meta::name).unwrap_or_default();
    if request.name.is_empty() { own } else { request.name }
}

#[cfg(test)]
mod tests {
    use super::resource_fits;

    #[test]
    fn patterns_tell_subresources_apart() {
        assert!(resource_fits("pods", "pods", "") && !resource_fits("pods", "pods", "log"));
        assert!(resource_fits("pods/*", "pods", "log") && resource_fits("*/scale", "deployments", "scale"));
        assert!(resource_fits("*", "pods", "") && !resource_fits("*", "pods", "status"));
        assert!(resource_fits("*/*", "pods", "status") && resource_fits("*/*", "pods", ""));
    }
}
