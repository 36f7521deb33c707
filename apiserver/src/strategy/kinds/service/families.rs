//! Which families of addresses a service has. This cluster's services are IPv4.

use mainstay_api::field::Error;
use serde_json::{Value, json};

use super::{has_cluster_ip, is_headless, kind, validate};
use crate::strategy::base;
use crate::strategy::validate::{At, Errors, ip};

const SINGLE: &str = "SingleStack";
const DUAL: &str = "RequireDualStack";
const PREFER: &str = "PreferDualStack";

/// Fills in `ipFamilies` and `ipFamilyPolicy`, or says why they cannot be what was asked for.
pub(crate) fn fill(obj: &mut Value, old: Option<&Value>, errors: &mut Errors) {
    if !has_cluster_ip(obj) || old.is_some_and(|old| still_prefers_dual(obj, old)) {
        return;
    }
    let free = is_headless(obj) && At::spec(obj).get("selector").is_empty();
    if At::spec(obj).opt("ipFamilyPolicy").is_none() {
        let before = old.map(policy).filter(|policy| !policy.is_empty());
        let now = before.unwrap_or(if free { DUAL } else { SINGLE }).to_owned();
        base::set(obj, "/spec/ipFamilyPolicy", now.into());
    }
    validate::cluster_ips(obj, errors);
    if !errors.0.is_empty() {
        return;
    }
    if let Some(old) = old {
        released(obj, old, errors);
    }
    policy_fits(obj, errors);
    infer(obj, errors);
    if !free && errors.0.is_empty() {
        configured(obj, errors);
    }
    if errors.0.is_empty() {
        complete(obj, free);
    }
}

fn policy(obj: &Value) -> &str {
    At::spec(obj).get("ipFamilyPolicy").str()
}

/// Services that take two families where there are two keep what they have until someone changes that.
fn still_prefers_dual(obj: &Value, old: &Value) -> bool {
    let same = |field: &str| At::spec(obj).get(field).value == At::spec(old).get(field).value;
    let prefers = policy(obj) == PREFER && matches!(policy(old), "" | PREFER);
    let alike = ["type", "clusterIP", "clusterIPs", "ipFamilies"].into_iter().all(same);
    kind(old) == kind(obj) && prefers && alike
}

/// The second address and family go if one is asked for, and else stay.
fn released(obj: &mut Value, old: &Value, errors: &mut Errors) {
    let single = policy(obj) == SINGLE;
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (now, was) = (At::spec(obj).get(field), At::spec(old).get(field));
        if !single && !now.is_empty() && now.len() < was.len() {
            errors.invalid(
                &At::spec(obj).get("ipFamilyPolicy"),
                format!("must be 'SingleStack' to release the secondary {what}"),
            );
        } else if single && now.value == was.value {
            let list = obj.pointer_mut(&format!("/spec/{field}")).and_then(Value::as_array_mut);
            list.into_iter().for_each(|list| list.truncate(1));
        }
    }
}

fn policy_fits(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    for (field, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
        if policy(obj) == SINGLE && spec.get(field).len() == 2 {
            let why = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.invalid(&spec.get("ipFamilyPolicy"), why);
        }
    }
}

/// Addresses tell the families that were left out.
fn infer(obj: &mut Value, errors: &mut Errors) {
    let ips = At::spec(obj).get("clusterIPs");
    let mut families = At::spec(obj).get("ipFamilies").value.as_array().cloned().unwrap_or_default();
    for (index, ip) in ips.strings().enumerate().filter_map(|(index, text)| Some((index, ip::sloppy(text)?))) {
        if index < families.len() {
            continue;
        }
        if ip.is_ipv4() {
            families.push("IPv4".into());
        } else {
            let why = "IPv6 is not configured on this cluster";
            errors.0.push(Error::invalid(&ips.path.index(index), ips.value.clone(), why));
        }
    }
    base::set(obj, "/spec/ipFamilies", Value::Array(families));
}

fn configured(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    if policy(obj) == DUAL {
        errors.invalid(&spec.get("ipFamilyPolicy"), "this cluster is not configured for dual-stack services");
    }
    for family in spec.get("ipFamilies").items().filter(|family| family.str() == "IPv6") {
        errors.invalid(&family, "not configured on this cluster");
    }
}

/// The default family; a service whose endpoints others look after may have both although the cluster has not.
fn complete(obj: &mut Value, free: bool) {
    let mut families: Vec<String> = At::spec(obj).get("ipFamilies").strings().map(str::to_owned).collect();
    if families.is_empty() {
        families.push("IPv4".to_owned());
    }
    if free && families.len() == 1 && policy(obj) != SINGLE {
        families.push(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }.to_owned());
    }
    base::set(obj, "/spec/ipFamilies", json!(families));
}
