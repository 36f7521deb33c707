//! Which families of addresses a service has. This cluster's services are IPv4.

use mainstay_api::field::Error;
use serde_json::{Value, json};

use super::{has_cluster_ip, is_headless};
use crate::strategy::base;
use crate::strategy::validate::{At, Errors, ip};

/// Fills in `ipFamilies` and `ipFamilyPolicy`, or says why they cannot be what was asked for.
pub(crate) fn fill(obj: &mut Value, old: Option<&Value>, errors: &mut Errors) {
    if !has_cluster_ip(obj) {
        return;
    }
    let free = is_headless(obj) && At::spec(obj).get("selector").is_empty();
    check(obj, old, free, errors);
    if !errors.0.is_empty() {
        return;
    }
    let spec = At::spec(obj);
    let (policy, families) = (spec.get("ipFamilyPolicy").str().to_owned(), spec.get("ipFamilies").len());
    let asked_dual = families > 1 || spec.get("clusterIPs").len() > 1;
    let policy = match (policy.as_str(), free, asked_dual) {
        ("", true, _) => "RequireDualStack",
        ("", false, true) => "RequireDualStack",
        ("", false, false) => "SingleStack",
        (policy, ..) => policy,
    }
    .to_owned();
    base::set(obj, "/spec/ipFamilyPolicy", policy.clone().into());
    let mut list: Vec<Value> = At::spec(obj).get("ipFamilies").value.as_array().cloned().unwrap_or_default();
    if list.is_empty() {
        list = At::spec(obj)
            .get("clusterIPs")
            .strings()
            .filter_map(ip::parse)
            .map(|ip| json!(if ip.is_ipv4() { "IPv4" } else { "IPv6" }))
            .collect();
    }
    if list.is_empty() {
        list.push("IPv4".into());
    }
    if free && policy != "SingleStack" && list.len() == 1 {
        list.push(if list[0] == "IPv4" { "IPv6".into() } else { "IPv4".into() });
    }
    base::set(obj, "/spec/ipFamilies", Value::Array(list));
}

fn check(obj: &Value, old: Option<&Value>, free: bool, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (policy, families) = (spec.get("ipFamilyPolicy"), spec.get("ipFamilies"));
    if policy.str() == "SingleStack" && old.is_none() {
        if families.len() > 1 {
            errors.invalid(
                &policy,
                "must be RequireDualStack or PreferDualStack when multiple `ipFamilies` are specified",
            );
        }
        if spec.get("clusterIPs").len() > 1 {
            errors.invalid(
                &policy,
                "must be RequireDualStack or PreferDualStack when multiple `clusterIPs` are specified",
            );
        }
    }
    if !free {
        for family in families.items() {
            if family.str() == "IPv6" {
                errors.invalid(&family, "not configured on this cluster");
            }
        }
        if policy.str() == "RequireDualStack" {
            errors.invalid(&policy, "this cluster is not configured for dual-stack services");
        }
    }
    for (index, text) in spec.get("clusterIPs").strings().enumerate() {
        let (Some(ip), Some(family)) = (ip::parse(text), families.items().nth(index)) else { continue };
        let found = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        if found != family.str() {
            let at = &spec.get("clusterIPs").path.index(index);
            errors.0.push(Error::invalid(
                at,
                text,
                format!("expected an {} value as indicated by `ipFamilies[{index}]`", family.str()),
            ));
        }
    }
}
