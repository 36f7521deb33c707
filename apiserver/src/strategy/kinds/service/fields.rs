//! Fields that follow others: what an update may leave out, and what a change of type takes with it.

use std::collections::HashMap;

use serde_json::Value;

use super::{has_cluster_ip, has_health_check, is_accessible, kind};
use crate::strategy::base;
use crate::strategy::validate::At;

/// Takes allocated values that the client left out from the old object.
pub(crate) fn carry_over(new: &mut Value, old: &Value) {
    if has_cluster_ip(old) && has_cluster_ip(new) {
        let spec = At::spec(new);
        let (no_one, no_many) = (spec.get("clusterIP").is_empty(), spec.get("clusterIPs").is_empty());
        if no_one && no_many {
            keep(new, old, "clusterIP");
            keep(new, old, "clusterIPs");
        } else if no_one {
            keep(new, old, "clusterIP");
        } else if no_many && spec.get("clusterIP").str() == At::spec(old).get("clusterIP").str() {
            keep(new, old, "clusterIPs");
        }
    }
    if is_published(old) && is_published(new) {
        carry_node_ports(new, old);
    }
    if has_health_check(old) && has_health_check(new) && At::spec(new).get("healthCheckNodePort").int() == 0 {
        keep(new, old, "healthCheckNodePort");
    }
}

fn keep(new: &mut Value, old: &Value, field: &str) {
    base::keep(new, old, &format!(".spec.{field}"));
}

/// Whether nodes have ports for the type.
fn is_published(obj: &Value) -> bool {
    matches!(kind(obj), "NodePort" | "LoadBalancer")
}

/// Ports are the same by name.
fn carry_node_ports(new: &mut Value, old: &Value) {
    let numbers = |obj: &Value| -> Vec<i64> {
        At::spec(obj).get("ports").items().map(|at| at.get("nodePort").int()).filter(|port| *port != 0).collect()
    };
    let before: HashMap<String, i64> = At::spec(old)
        .get("ports")
        .items()
        .map(|at| (at.get("name").str().to_owned(), at.get("nodePort").int()))
        .collect();
    let mut used = numbers(old);
    let asked = numbers(new);
    used.retain(|number| asked.contains(number));
    let Some(ports) = new.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
    for port in ports.iter_mut().filter(|port| port["nodePort"].as_i64().unwrap_or_default() == 0) {
        let number = before.get(port["name"].as_str().unwrap_or_default()).copied().unwrap_or_default();
        if number != 0 && !used.contains(&number) {
            used.push(number);
            port["nodePort"] = number.into();
        }
    }
}

/// Drops what the old type needed and the new one does not, unless the client changed it.
pub(crate) fn drop_of_type(new: &mut Value, old: &Value) {
    let same = |field: &str, new: &Value| At::spec(new).get(field).value == At::spec(old).get(field).value;
    if has_cluster_ip(old) && !has_cluster_ip(new) {
        if same("clusterIP", new) && same("clusterIPs", new) {
            for field in ["clusterIP", "clusterIPs"] {
                base::remove(new, &format!(".spec.{field}"));
            }
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if same(field, new) {
                base::remove(new, &format!(".spec.{field}"));
            }
        }
    }
    if is_published(old) && !is_published(new) {
        drop_node_ports(new, old);
    }
    if has_health_check(old) && !has_health_check(new) && same("healthCheckNodePort", new) {
        base::remove(new, ".spec.healthCheckNodePort");
    }
    let balanced = |obj: &Value| kind(obj) == "LoadBalancer";
    if balanced(old) && !balanced(new) {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(field, new) {
                base::remove(new, &format!(".spec.{field}"));
            }
        }
    }
    if !balanced(new) {
        base::set(new, "/status/loadBalancer", serde_json::json!({}));
    }
    if is_accessible(old) && !is_accessible(new) && same("externalTrafficPolicy", new) {
        base::remove(new, ".spec.externalTrafficPolicy");
    }
    if has_cluster_ip(old) && !has_cluster_ip(new) && same("internalTrafficPolicy", new) {
        base::remove(new, ".spec.internalTrafficPolicy");
    }
}

fn drop_node_ports(new: &mut Value, old: &Value) {
    let numbers = |obj: &Value| -> Vec<i64> {
        At::spec(obj).get("ports").items().map(|at| at.get("nodePort").int()).filter(|port| *port != 0).collect()
    };
    let before = numbers(old);
    if !numbers(new).iter().all(|port| before.contains(port)) {
        return;
    }
    let ports = new.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    ports.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|port| drop(port.remove("nodePort")));
}

/// `clusterIP` is the first of `clusterIPs`; old clients write only the former.
pub(crate) fn sync_cluster_ips(obj: &mut Value, old: Option<&Value>) {
    let text = |obj: &Value| At::spec(obj).get("clusterIP").str().to_owned();
    let list = |obj: &Value| At::spec(obj).get("clusterIPs").value.clone();
    let now = text(obj);
    let Some(old) = old else {
        if !now.is_empty() && At::spec(obj).get("clusterIPs").is_empty() {
            base::set(obj, "/spec/clusterIPs", Value::Array(vec![now.into()]));
        }
        return;
    };
    let unsaid = list(obj) == list(old) || At::spec(obj).get("clusterIPs").is_empty();
    if now != text(old) && unsaid {
        if now.is_empty() {
            base::remove(obj, ".spec.clusterIPs");
        } else {
            base::set(obj, "/spec/clusterIPs", Value::Array(vec![now.into()]));
        }
    }
}
