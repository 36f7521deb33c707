//! The rules of a service.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use super::{has_cluster_ip, has_health_check, is_headless, kind};
use crate::strategy::validate::{At, Errors, ip, probes, selectors};

const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

/// A service, new or changed.
pub(crate) fn service(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let kind = kind(obj);
    topology_annotations(obj, errors);
    let ports = spec.get("ports");
    if ports.is_empty() && !is_headless(obj) && kind != "ExternalName" {
        errors.required(&ports, "");
    }
    by_type(&spec, kind, obj, errors);
    port_list(&ports, errors);
    selectors::labels(&spec.get("selector"), errors);
    affinity(&spec, errors);
    for address in spec.get("externalIPs").items() {
        if let Some(parsed) = ip::address(&address, errors) {
            ip::non_special(parsed, &address, errors);
        }
    }
    if !spec.get("type").is_empty() && !matches!(kind, "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort") {
        errors.unsupported(&spec.get("type"), &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    } else if kind.is_empty() {
        errors.required(&spec.get("type"), "");
    }
    node_ports(&ports, kind, errors);
    duplicates(&ports, errors);
    balanced(obj, kind, errors);
    traffic(&spec, obj, errors);
    load_balancer(&At::root(obj).get("status").get("loadBalancer"), errors);
}

/// The old annotation and the new one say the same.
fn topology_annotations(obj: &Value, errors: &mut Errors) {
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let annotations = At::root(obj).get("metadata").get("annotations");
    if let (Some(mode), Some(hints)) = (annotations.opt(MODE), annotations.opt(HINTS))
        && mode.str() != hints.str()
    {
        let why = format!("must match annotations[{HINTS}] when both are specified");
        errors.0.push(Error::invalid(&annotations.path.key(MODE), mode.str(), why));
    }
}

fn by_type(spec: &At<'_>, kind: &str, obj: &Value, errors: &mut Errors) {
    const KUBELET: i64 = 10250;
    let published =
        spec.get("ports").items().filter(|port| kind == "LoadBalancer" && port.get("port").int() == KUBELET);
    for port in published {
        let why = format!("may not expose port {KUBELET} externally since it is used by kubelet");
        errors.0.push(Error::invalid(&port.path, KUBELET, why));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(obj) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.0.push(Error::invalid(&spec.get("clusterIPs").path.index(0), "None", detail));
        }
        "ExternalName" => external_name(spec, errors),
        _ => {}
    }
}

fn external_name(spec: &At<'_>, errors: &mut Errors) {
    if !spec.get("clusterIPs").is_empty() {
        errors.forbidden(&spec.get("clusterIPs"), "may not be set for ExternalName services");
    }
    for field in ["ipFamilies", "ipFamilyPolicy"] {
        if !spec.get(field).is_empty() {
            errors.forbidden(&spec.get(field), "may not be set for ExternalName services");
        }
    }
    let name = spec.get("externalName");
    let text = name.str().strip_suffix('.').unwrap_or(name.str());
    if text.is_empty() {
        errors.required(&name, "");
    } else {
        for why in names::is_dns1123_subdomain(text) {
            errors.0.push(Error::invalid(&name.path, text, why));
        }
    }
}

fn port_list(ports: &At<'_>, errors: &mut Errors) {
    let needs_name = ports.len() > 1;
    let mut names_seen = HashSet::new();
    for port in ports.items() {
        port_fields(&port, needs_name, &mut names_seen, errors);
    }
}

fn node_ports(ports: &At<'_>, kind: &str, errors: &mut Errors) {
    if kind == "ClusterIP" {
        for port in ports.items() {
            let node = port.get("nodePort");
            if node.int() != 0 {
                errors.forbidden(&node, "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
}

fn port_fields<'a>(port: &At<'a>, needs_name: bool, seen: &mut HashSet<&'a str>, errors: &mut Errors) {
    let (name, number, protocol, target) =
        (port.get("name"), port.get("port"), port.get("protocol"), port.get("targetPort"));
    if name.str().is_empty() {
        if needs_name {
            errors.required(&name, "");
        }
    } else {
        errors.each(&name, names::is_dns1123_label(name.str()));
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
    errors.in_range_port(&number);
    errors.one_of(&protocol, &["SCTP", "TCP", "UDP"]);
    if !target.is_null() {
        probes::port(&target, errors);
    }
    if let Some(app) = port.opt("appProtocol") {
        errors.each(&app, names::is_qualified_name(app.str()));
    }
}

/// The same port twice, by number and by node port.
fn duplicates(ports: &At<'_>, errors: &mut Errors) {
    let mut nodes = HashSet::new();
    for port in ports.items() {
        let node = port.get("nodePort");
        if node.int() != 0 && !nodes.insert((port.get("protocol").str(), node.int())) {
            errors.duplicate(&node);
        }
    }
    let mut numbers = HashSet::new();
    for port in ports.items() {
        let key = (port.get("protocol").str(), port.get("port").int());
        if !numbers.insert(key) {
            let shown = serde_json::json!({"protocol": key.0, "port": key.1});
            let text = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                shown["protocol"], key.1
            );
            let mut error = Error::duplicate(&port.path, "");
            error.value = mainstay_api::field::Shown::Text(text);
            errors.0.push(error);
        }
    }
}

fn affinity(spec: &At<'_>, errors: &mut Errors) {
    let kind = spec.get("sessionAffinity");
    match kind.str() {
        "" => errors.required(&kind, ""),
        "None" => {
            if spec.opt("sessionAffinityConfig").is_some() {
                errors.forbidden(&spec.get("sessionAffinityConfig"), "must not be set when session affinity is None");
            }
        }
        "ClientIP" => {
            let config = spec.get("sessionAffinityConfig");
            let seconds = config.get("clientIP").get("timeoutSeconds");
            const WHY: &str = "when session affinity type is ClientIP";
            if config.is_null() {
                errors.required(&config, WHY);
            } else if config.opt("clientIP").is_none() {
                errors.required(&config.get("clientIP"), WHY);
            } else if seconds.is_null() {
                errors.required(&seconds, WHY);
            } else if seconds.int() <= 0 || seconds.int() > 86_400 {
                errors.invalid(&seconds, "must be greater than 0 and less than 86400");
            }
        }
        _ => errors.unsupported(&kind, &["ClientIP", "None"]),
    }
}

fn balanced(obj: &Value, kind: &str, errors: &mut Errors) {
    let (spec, balanced) = (At::spec(obj), kind == "LoadBalancer");
    let ranges = At::new(spec.get("loadBalancerSourceRanges").value, spec.path.child("LoadBalancerSourceRanges"));
    if !ranges.is_empty() {
        if !balanced {
            errors.forbidden(&ranges, ONLY_BALANCED);
        }
        ranges.items().for_each(|range| trimmed_network(&range.path, range.str(), errors));
    } else {
        annotated_ranges(obj, balanced, errors);
    }
    if spec.opt("allocateLoadBalancerNodePorts").is_some() && !balanced {
        errors.forbidden(&spec.get("allocateLoadBalancerNodePorts"), ONLY_BALANCED);
    }
    if let Some(class) = spec.opt("loadBalancerClass") {
        if balanced {
            errors.each(&class, names::is_qualified_name(class.str()));
        } else {
            errors.forbidden(&class, ONLY_BALANCED);
        }
    }
}

/// Who may come in, as it was said before there was a field for it.
fn annotated_ranges(obj: &Value, balanced: bool, errors: &mut Errors) {
    const KEY: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let annotations = At::root(obj).get("metadata").get("annotations");
    let Some(ranges) = annotations.opt(KEY) else { return };
    let path = annotations.path.key(KEY);
    if !balanced {
        errors.forbidden(&At::new(ranges.value, path.clone()), ONLY_BALANCED);
    }
    for range in ranges.str().trim().split(',').filter(|_| !ranges.str().trim().is_empty()) {
        trimmed_network(&path, range, errors);
    }
}

/// Blanks around these have always been let through.
fn trimmed_network(path: &mainstay_api::field::Path, range: &str, errors: &mut Errors) {
    let trimmed = Value::from(range.trim());
    ip::network(&At::new(&trimmed, path.clone()), errors);
}

fn traffic(spec: &At<'_>, obj: &Value, errors: &mut Errors) {
    let external = spec.get("externalTrafficPolicy");
    let accessible = matches!(kind(obj), "NodePort" | "LoadBalancer")
        || (kind(obj) == "ClusterIP" && !spec.get("externalIPs").is_empty());
    match external.str() {
        "" if accessible && matches!(kind(obj), "NodePort" | "LoadBalancer") => errors.required(&external, ""),
        "" => {}
        _ if !accessible => errors.invalid(&external, "may only be set for externally-accessible services"),
        "Cluster" | "Local" => {}
        _ => errors.unsupported(&external, &["Cluster", "Local"]),
    }
    let check = spec.get("healthCheckNodePort");
    if has_health_check(obj) {
        if check.int() == 0 {
            errors.invalid(&check, "may not be negative");
        }
    } else if check.int() != 0 {
        errors.invalid(&check, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
    let internal = spec.get("internalTrafficPolicy");
    if has_cluster_ip(obj) && !matches!(internal.str(), "" | "Cluster" | "Local") {
        errors.unsupported(&internal, &["Cluster", "Local"]);
    }
    if let Some(distribution) = spec.opt("trafficDistribution")
        && !matches!(distribution.str(), "PreferClose" | "PreferSameZone" | "PreferSameNode")
    {
        errors.unsupported(&distribution, &["PreferClose", "PreferSameZone", "PreferSameNode"]);
    }
}

/// Cluster addresses as they are asked for.
pub(crate) fn cluster_ips(obj: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (one, many) = (spec.get("clusterIP"), spec.get("clusterIPs"));
    if !has_cluster_ip(obj) {
        return;
    }
    if let Some(old) = old
        && has_cluster_ip(old)
    {
        immutable_ips(&many, &At::spec(old).get("clusterIPs"), errors);
        if !errors.0.is_empty() {
            return;
        }
    }
    if !many.is_empty() && one.str().is_empty() {
        errors.invalid(&many, "must be empty when `clusterIP` is not specified");
    } else if !many.is_empty() && many.strings().next() != Some(one.str()) {
        errors.invalid(&many, "first value must match `clusterIP`");
    }
    if many.len() > 2 {
        errors.invalid(&many, "may only hold up to 2 values");
    }
    let headless = many.strings().any(|ip| ip == "None");
    if headless && many.len() > 1 {
        errors.invalid(&many, "'None' must be the first and only value");
    }
    for at in many.items().filter(|at| at.str() != "None") {
        ip::address(&at, errors);
    }
}

fn immutable_ips(many: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let (Some(old), new) = (before.strings().next(), many.strings().next()) else { return };
    if old.is_empty() || new.is_none() {
        return;
    }
    if new != Some(old) {
        errors.0.push(Error::invalid(&many.path.index(0), many.value.clone(), "may not change once set"));
    }
}

/// A changed service against what it was.
pub(crate) fn change(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    if has_health_check(old)
        && has_health_check(new)
        && now.get("healthCheckNodePort").value != was.get("healthCheckNodePort").value
    {
        errors.forbidden(&now.get("healthCheckNodePort"), "field is immutable");
    }
    if kind(old) == "LoadBalancer"
        && kind(new) == "LoadBalancer"
        && now.get("loadBalancerClass").value != was.get("loadBalancerClass").value
    {
        errors.invalid(&now.get("loadBalancerClass"), "may not change once set");
    }
}

/// The status of a load balancer.
pub(crate) fn load_balancer(at: &At<'_>, errors: &mut Errors) {
    for ingress in at.get("ingress").items() {
        let (address, host) = (ingress.get("ip"), ingress.get("hostname"));
        if !address.str().is_empty() {
            ip::address(&address, errors);
        }
        if let Some(mode) = ingress.opt("ipMode") {
            if address.str().is_empty() {
                errors.forbidden(&mode, "may not be specified when `ip` is not set");
            } else {
                errors.one_of_if_set(&mode, &["Proxy", "VIP"]);
            }
        }
        if !host.str().is_empty() {
            errors.each(&host, names::is_dns1123_subdomain(host.str()));
            if ip::parse(host.str()).is_some() {
                errors.invalid(&host, "must be a DNS name, not an IP address");
            }
        }
    }
}
