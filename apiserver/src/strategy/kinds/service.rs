//! Services: addresses and node ports, and which fields go with which type.

mod allocate;
mod families;
mod fields;
mod rehearsal;
pub(crate) mod validate;

use mainstay_api::field::ErrorList;
use mainstay_api::meta;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};
use crate::strategy::warnings::objects;
use crate::strategy::{Context, SideWrite, Strategy, base, rules};

/// Services.
pub(crate) struct Service;

impl Strategy for Service {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        base::set(obj, "/status", serde_json::json!({"loadBalancer": {}}));
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        base::prepare_update(cx, new, old);
        if cx.subresource.is_empty() {
            fields::carry_over(new, old);
            fields::drop_of_type(new, old);
        }
    }

    fn allocate(&self, cx: &Context<'_>, obj: &mut Value, old: Option<&Value>) -> ApiResult<Vec<SideWrite>> {
        if !cx.subresource.is_empty() {
            return Ok(Vec::new());
        }
        fields::sync_cluster_ips(obj, old);
        let mut errors = Errors::default();
        families::fill(obj, old, &mut errors);
        allocate::refuse(obj, errors)?;
        allocate::allocate(cx, obj, old)
    }

    /// The endpoints go with the service, lest the next one of that name is sent to them.
    fn release(&self, cx: &Context<'_>, obj: &Value) -> Vec<SideWrite> {
        let mut freed = allocate::release(obj, None);
        let (namespace, name) = (meta::namespace(obj).to_owned(), meta::name(obj).to_owned());
        let endpoints = cx.reader.get("", "endpoints", &namespace, &name);
        if endpoints.is_some_and(|endpoints| meta::finalizers(&endpoints).next().is_none()) {
            freed.push(SideWrite::Delete { group: "", resource: "endpoints", namespace, name });
        }
        freed
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors(base::finalizer_errors(obj));
        validate::service(obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        errors.extend(base::meta_update_errors(new, old));
        if cx.subresource == "status" {
            validate::status(new, &mut errors);
        } else {
            validate::change(new, old, &mut errors);
            validate::service(new, &mut errors);
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if cx.subresource == "status" { objects::load_balancer(new) } else { objects::service(new) }
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        rules::label(name, prefix)
    }
}

/// Whether the type comes with a cluster address.
fn has_cluster_ip(obj: &Value) -> bool {
    matches!(kind(obj), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the type comes with node ports.
fn has_node_ports(obj: &Value) -> bool {
    match kind(obj) {
        "NodePort" => true,
        "LoadBalancer" => At::spec(obj).opt("allocateLoadBalancerNodePorts").is_none_or(|at| at.bool()),
        _ => false,
    }
}

/// Whether it can be reached from outside of the cluster.
fn is_accessible(obj: &Value) -> bool {
    matches!(kind(obj), "NodePort" | "LoadBalancer")
        || (kind(obj) == "ClusterIP" && !At::spec(obj).get("externalIPs").is_empty())
}

/// Whether a port for health checks of the nodes is needed.
fn has_health_check(obj: &Value) -> bool {
    kind(obj) == "LoadBalancer" && At::spec(obj).get("externalTrafficPolicy").str() == "Local"
}

fn kind(obj: &Value) -> &str {
    obj.pointer("/spec/type").and_then(Value::as_str).unwrap_or_default()
}

fn is_headless(obj: &Value) -> bool {
    At::spec(obj).get("clusterIPs").strings().next() == Some("None")
}

#[cfg(test)]
mod tests;
