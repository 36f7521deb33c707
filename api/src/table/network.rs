//! Cells of networking and discovery.

use jiff::Timestamp;
use serde_json::Value;

use super::age;
use super::cell::*;
use crate::meta;

/// The cells of a network object.
pub(super) fn cells(group: &str, resource: &str, object: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let name: Value = meta::name(object).into();
    let age: Value = age(at(object, "/metadata/creationTimestamp"), now).into();
    Some(match (group, resource) {
        ("networking.k8s.io", "ingresses") => vec![
            name,
            text_or(object, "/spec/ingressClassName", NONE).into(),
            hosts(object).into(),
            load_balancer(object).join(",").into(),
            if count(object, "/spec/tls") > 0 { "80, 443" } else { "80" }.into(),
            age,
        ],
        ("networking.k8s.io", "ingressclasses") => {
            let default = meta::annotation(object, "ingressclass.kubernetes.io/is-default-class") == Some("true");
            let name = if default { format!("{} (default)", meta::name(object)).into() } else { name };
            vec![name, text(object, "/spec/controller").into(), parameters(object).into(), age]
        }
        ("networking.k8s.io", "networkpolicies") => vec![name, selector(object, "/spec/podSelector").into(), age],
        ("networking.k8s.io", "servicecidrs") => vec![name, texts(list(object, "/spec/cidrs"), ",").into(), age],
        // This row has one cell more than there are columns, as in Kubernetes.
        ("networking.k8s.io", "ipaddresses") => vec![name, parent(object).into(), age],
        ("discovery.k8s.io", "endpointslices") => {
            let ports: Vec<String> = list(object, "/ports").iter().map(slice_port).collect();
            let endpoints = list(object, "/endpoints").iter();
            let addresses: Vec<String> = endpoints
                .flat_map(|endpoint| list(endpoint, "/addresses"))
                .filter_map(|address| address.as_str().map(str::to_owned))
                .collect();
            vec![name, text(object, "/addressType").into(), more(&ports, 3).into(), more(&addresses, 3).into(), age]
        }
        _ => return None,
    })
}

fn slice_port(port: &Value) -> String {
    match at(port, "/port") {
        Some(number) => number.to_string(),
        None => shown_or(port, "/name", "*"),
    }
}

fn hosts(ingress: &Value) -> String {
    let rules = list(ingress, "/spec/rules");
    let named = || rules.iter().enumerate().filter(|(_, rule)| !text(rule, "/host").is_empty());
    let shown = named().take(3).map(|(_, rule)| text(rule, "/host")).collect::<Vec<_>>().join(",");
    match named().nth(2) {
        // Whether the rules after the third host name one does not matter.
        Some((third, _)) if rules.len() > third + 1 => format!("{shown} + {} more...", rules.len() - 3),
        _ if shown.is_empty() => "*".to_owned(),
        _ => shown,
    }
}

fn parameters(class: &Value) -> String {
    let Some(parameters) = at(class, "/spec/parameters") else { return NONE.to_owned() };
    let (kind, name) = (text(parameters, "/kind"), text(parameters, "/name"));
    match text(parameters, "/apiGroup") {
        "" => format!("{kind}/{name}"),
        group => format!("{kind}.{group}/{name}"),
    }
}

fn parent(address: &Value) -> String {
    let Some(parent) = at(address, "/spec/parentRef") else { return NONE.to_owned() };
    let resource = text(parent, "/resource").to_lowercase();
    let resource = match text(parent, "/group") {
        "" => resource,
        group => format!("{resource}.{}", group.to_lowercase()),
    };
    match text(parent, "/namespace") {
        "" => format!("{resource}/{}", text(parent, "/name")),
        namespace => format!("{resource}/{namespace}/{}", text(parent, "/name")),
    }
}
