//! The rules of a service.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use super::{has_cluster_ip, has_health_check, is_accessible, is_headless, kind};
use crate::strategy::validate::{At, Errors, ip, probes, selectors, shown};

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
    let (families, policy) = (spec.get("ipFamilies"), spec.get("ipFamilyPolicy"));
    for (at, set) in [(&families, !families.is_empty()), (&policy, !policy.is_null())] {
        if set {
            errors.forbidden(at, "may not be set for ExternalName services");
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
    class(obj, errors);
}

fn class(obj: &Value, errors: &mut Errors) {
    let Some(class) = At::spec(obj).opt("loadBalancerClass") else { return };
    if kind(obj) == "LoadBalancer" {
        errors.each(&class, names::is_qualified_name(class.str()));
    } else {
        errors.forbidden(&class, ONLY_BALANCED);
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
    match external.str() {
        "" if is_accessible(obj) => errors.required(&external, ""),
        "" => {}
        _ if !is_accessible(obj) => errors.invalid(&external, "may only be set for externally-accessible services"),
        "Cluster" | "Local" => {}
        _ => errors.unsupported(&external, &["Cluster", "Local"]),
    }
    let check = spec.get("healthCheckNodePort");
    if has_health_check(obj) {
        if check.int() == 0 {
            errors.required(&check, "");
        } else {
            errors.in_range_port(&check);
        }
    } else if check.int() != 0 {
        errors.invalid(&check, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
    let internal = spec.get("internalTrafficPolicy");
    if internal.is_null() && has_cluster_ip(obj) {
        errors.required(&internal, "");
    }
    errors.one_of_if_set(&internal, &["Cluster", "Local"]);
    if let Some(distribution) = spec.opt("trafficDistribution")
        && !matches!(distribution.str(), "PreferClose" | "PreferSameZone" | "PreferSameNode")
    {
        errors.unsupported(&distribution, &["PreferClose", "PreferSameZone", "PreferSameNode"]);
    }
}

/// Cluster addresses and their families as they are asked for.
pub(crate) fn cluster_ips(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (one, many, families) = (spec.get("clusterIP"), spec.get("clusterIPs"), spec.get("ipFamilies"));
    match (one.str().is_empty(), many.strings().next()) {
        (false, None) => errors.required(&many, ""),
        (false, Some(first)) if first != one.str() => errors.invalid(&many, "first value must match `clusterIP`"),
        (true, Some(_)) => errors.invalid(&many, "must be empty when `clusterIP` is not specified"),
        _ => {}
    }
    let mut seen = HashSet::new();
    for family in families.items() {
        errors.one_of_if_set(&family, &["IPv4", "IPv6"]);
        if !seen.insert(family.str()) {
            errors.duplicate(&family);
        }
    }
    errors.one_of_if_set(&spec.get("ipFamilyPolicy"), &["PreferDualStack", "RequireDualStack", "SingleStack"]);
    let before = errors.0.len();
    if many.len() > 1 && many.strings().next() == Some("None") {
        errors.invalid(&many, "'None' must be the first and only value");
    }
    for (_, at) in many.items().enumerate().filter(|(index, at)| *index > 0 || at.str() != "None") {
        ip::address(&at, errors);
    }
    let readable = errors.0.len() == before;
    if many.len() > 2 {
        errors.invalid(&many, "may only hold up to 2 values");
    }
    if readable && !is_headless(obj) {
        both_families(&many, &families, errors);
    }
}

/// Two addresses are of two families, and of those that were named.
fn both_families(many: &At<'_>, families: &At<'_>, errors: &mut Errors) {
    let family = |text: &str| if ip::parse(text).is_some_and(|ip| ip.is_ipv4()) { "IPv4" } else { "IPv6" };
    let found: HashSet<&str> = many.strings().map(family).collect();
    if many.len() > 1 && found.len() == 1 {
        errors.invalid(many, "may specify no more than one IP for each IP family");
    }
    for (index, (at, named)) in many.items().zip(families.strings()).enumerate() {
        if matches!(named, "IPv4" | "IPv6") && family(at.str()) != named {
            errors.invalid(&at, format!("expected an {named} value as indicated by `ipFamilies[{index}]`"));
        }
    }
}

/// The first address and the first family stay; a second one may come and go.
fn kept_addresses(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    if [new, old].into_iter().any(|obj| kind(obj) == "ExternalName") || (is_headless(new) && is_headless(old)) {
        return;
    }
    kept_list(&now, &was, "clusterIPs", ["primary clusterIP can not be unset", "clusterIP"], errors);
    if is_headless(new) == is_headless(old) {
        kept_list(&now, &was, "ipFamilies", ["primary ipFamily can not be unset", "ipFamily"], errors);
    }
}

fn kept_list(now: &At<'_>, was: &At<'_>, field: &str, [unset, what]: [&str; 2], errors: &mut Errors) {
    let (list, before) = (now.get(field), was.get(field));
    let mut wrong = |index: usize, why: &str| {
        errors.0.push(shown(Error::invalid(&list.path.index(index), list.value.clone(), why), &list));
    };
    if list.len() < before.len() && now.get("clusterIPs").is_empty() {
        wrong(0, unset);
    }
    let compared = if list.len() == before.len() { list.len() } else { 1 };
    for (index, (new, old)) in list.strings().zip(before.strings()).take(compared).enumerate() {
        if new != old {
            wrong(if field == "ipFamilies" { 0 } else { index }, "may not change once set");
        }
    }
    let policy = now.get("ipFamilyPolicy");
    if list.len() == 1 && before.len() > 1 && policy.str() != "SingleStack" {
        errors.invalid(&policy, format!("must be set to 'SingleStack' when releasing the secondary {what}"));
    }
}

/// A changed service against what it was.
pub(crate) fn change(new: &Value, old: &Value, errors: &mut Errors) {
    kept_addresses(new, old, errors);
    let (now, was) = (At::spec(new), At::spec(old));
    let both = |rule: fn(&Value) -> bool| rule(old) && rule(new);
    let moved = |field: &str| now.get(field).value != was.get(field).value;
    if both(|obj| kind(obj) == "LoadBalancer") && moved("loadBalancerClass") {
        errors.invalid(&now.get("loadBalancerClass"), "may not change once set");
    }
    class(new, errors);
    if both(has_health_check) && moved("healthCheckNodePort") {
        errors.forbidden(&now.get("healthCheckNodePort"), "field is immutable");
    }
}

/// The status of a service.
pub(crate) fn status(obj: &Value, errors: &mut Errors) {
    let list = At::root(obj).get("status").get("loadBalancer").get("ingress");
    if kind(obj) != "LoadBalancer" && !list.is_empty() {
        errors.forbidden(&list, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for ingress in list.items() {
        let (address, mode) = (ingress.get("ip"), ingress.get("ipMode"));
        if !address.str().is_empty() {
            ip::address(&address, errors);
        }
        match (mode.is_null(), address.str().is_empty()) {
            (true, false) => errors.required(&mode, "must be specified when `ip` is set"),
            (true, true) => {}
            (false, true) => errors.forbidden(&mode, "may not be specified when `ip` is not set"),
            (false, false) => errors.one_of_if_set(&mode, &["Proxy", "VIP"]),
        }
        host_name(&ingress.get("hostname"), errors);
    }
}

/// The status of an ingress.
pub(crate) fn load_balancer(at: &At<'_>, errors: &mut Errors) {
    for ingress in at.get("ingress").items() {
        let address = ingress.get("ip");
        if !address.str().is_empty() {
            ip::address(&address, errors);
        }
        host_name(&ingress.get("hostname"), errors);
    }
}

fn host_name(host: &At<'_>, errors: &mut Errors) {
    errors.name_if_set(host, names::is_dns1123_subdomain);
    if ip::sloppy(host.str()).is_some() {
        errors.invalid(host, "must be a DNS name, not an IP address");
    }
}
