//! Ingresses, IngressClasses, NetworkPolicies, ServiceCIDRs, IPAddresses.

use mainstay_api::field::Error;
use mainstay_api::{meta, names};
use serde_json::Value;

use super::batch::prefixed_path;
use crate::strategy::rules::{CHANGE_FIRST, CHECK_FIRST, Part, Rules, frozen_spec};
use crate::strategy::validate::{At, Errors, ip, probes, selectors, shown};
use crate::strategy::warnings::objects;

/// Where the class of an ingress was said before there was a field for it.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Ingresses.
pub(crate) const INGRESS: Rules = Rules {
    check: |_, obj, errors| ingress(obj, errors),
    status: |_, new, _, errors| {
        super::service::validate::load_balancer(&At::root(new).get("status").get("loadBalancer"), errors)
    },
    warn: |new, old| {
        let has = |object: &Value| meta::annotation(object, CLASS).is_some();
        let new_one = has(new) && old.is_none();
        new_one
            .then(|| {
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
                    .to_owned()
            })
            .into_iter()
            .collect()
    },
    ..Rules::PLAIN
};

/// IngressClasses.
pub(crate) const INGRESS_CLASS: Rules = Rules {
    check: |_, obj, errors| ingress_class(obj, errors),
    change: |_, new, old, errors| frozen_spec(new, old, &["controller"], errors),
    parts: CHANGE_FIRST,
    ..Rules::PLAIN
};

/// NetworkPolicies.
pub(crate) const NETWORK_POLICY: Rules = Rules {
    check: |_, obj, errors| network_policy(obj, errors),
    warn: |new, _| objects::network_policy(new),
    ..Rules::PLAIN
};

/// ServiceCIDRs.
pub(crate) const SERVICE_CIDR: Rules = Rules {
    check: |_, obj, errors| service_cidr(obj, errors),
    change: |_, new, old, errors| {
        let (now, was) = (At::spec(new).get("cidrs"), At::spec(old).get("cidrs"));
        // A second family may come, what is there stays.
        let grows = (was.len(), now.len()) == (1, 2);
        if !grows && now.len() != was.len() {
            errors.invalid(&now, "field is immutable");
            return;
        }
        for (cidr, before) in now.items().zip(was.items()) {
            errors.immutable(&cidr, &before);
        }
        if grows {
            service_cidr(new, errors);
        }
    },
    parts: &[Part::MetaUpdate, Part::Change],
    ..Rules::PLAIN
};

/// IPAddresses.
pub(crate) const IP_ADDRESS: Rules = Rules {
    check: |_, obj, errors| {
        let parent = At::spec(obj).get("parentRef");
        if parent.is_null() {
            errors.required(&parent, "");
            return;
        }
        let group = parent.get("group");
        errors.name_if_set(&group, names::is_dns1123_subdomain);
        for field in ["resource", "name"] {
            let at = parent.get(field);
            if at.str().is_empty() {
                errors.required(&at, "");
            } else {
                errors.each(&at, names::is_path_segment(at.str(), false));
            }
        }
        let namespace = parent.get("namespace");
        if !namespace.str().is_empty() {
            errors.each(&namespace, names::is_path_segment(namespace.str(), false));
        }
    },
    change: |_, new, old, errors| {
        let (now, was) = (At::spec(new).get("parentRef"), At::spec(old).get("parentRef"));
        errors.immutable_struct(&now, &was, "io.k8s.api.networking.v1.ParentReference");
    },
    parts: CHECK_FIRST,
    names: |name, _| ip::canonical(name),
    ..Rules::PLAIN
};

fn ingress(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    if spec.get("rules").is_empty() && spec.opt("defaultBackend").is_none() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.0.push(shown(Error::invalid(&spec.path, Value::Null, why), &spec.get("rules")));
    }
    if let Some(backend) = spec.opt("defaultBackend") {
        self::backend(&backend, errors);
    }
    for rule in spec.get("rules").items() {
        host(&rule.get("host"), errors);
        if let Some(http) = rule.opt("http") {
            paths(&http.get("paths"), errors);
        }
    }
    for tls in spec.get("tls").items() {
        tls.get("hosts").items().for_each(|at| tls_host(&at, errors));
        errors.name_if_set(&tls.get("secretName"), names::is_dns1123_subdomain);
    }
    let class = spec.get("ingressClassName");
    if class.is_null() {
        return;
    }
    errors.each(&class, names::is_dns1123_subdomain(class.str()));
    // Only a new ingress is held to what an annotation says too.
    let annotation = meta::annotation(obj, CLASS).filter(|_| meta::resource_version(obj).is_empty());
    if let Some(annotation) = annotation.filter(|annotation| *annotation != class.str()) {
        let path = mainstay_api::field::Path::new("annotations").child(CLASS);
        errors.0.push(Error::invalid(&path, annotation, "must match `ingressClassName` when both are specified"));
    }
}

fn host(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        return;
    }
    if ip::sloppy(at.str()).is_some() {
        errors.invalid(at, "must be a DNS name, not an IP address");
    }
    tls_host(at, errors);
}

fn tls_host(at: &At<'_>, errors: &mut Errors) {
    let texts = if at.str().contains('*') {
        names::is_wildcard_dns1123_subdomain(at.str())
    } else {
        names::is_dns1123_subdomain(at.str())
    };
    errors.each(at, texts);
}

fn paths(list: &At<'_>, errors: &mut Errors) {
    if list.is_empty() {
        errors.required(list, "");
    }
    for at in list.items() {
        let (path, kind) = (at.get("path"), at.get("pathType"));
        match kind.str() {
            _ if kind.is_null() => errors.required(&kind, "pathType must be specified"),
            "Exact" | "Prefix" => strict_path(&path, errors),
            "ImplementationSpecific" => {
                if !path.str().is_empty() && !path.str().starts_with('/') {
                    errors.invalid(&path, "must be an absolute path");
                }
            }
            _ => errors.unsupported(&kind, &["Exact", "ImplementationSpecific", "Prefix"]),
        }
        backend(&at.get("backend"), errors);
    }
}

fn strict_path(path: &At<'_>, errors: &mut Errors) {
    if !path.str().starts_with('/') {
        errors.0.push(Error::invalid(&path.path, path.str(), "must be an absolute path"));
    }
    for bad in ["//", "/./", "/../", "%2f", "%2F"] {
        if path.str().contains(bad) {
            errors.invalid(path, format!("must not contain '{bad}'"));
        }
    }
    for bad in ["/..", "/."] {
        if path.str().ends_with(bad) {
            errors.invalid(path, format!("cannot end with '{bad}'"));
        }
    }
}

fn backend(at: &At<'_>, errors: &mut Errors) {
    let (service, resource) = (at.opt("service"), at.opt("resource"));
    match (service, resource) {
        (Some(_), Some(_)) => {
            errors.0.push(Error::invalid(&at.path, "", "cannot set both resource and service backends"))
        }
        (None, Some(resource)) => reference(&resource, true, errors),
        (None, None) => errors.0.push(Error::invalid(&at.path, "", "resource or service backend is required")),
        (Some(service), None) => service_backend(at, &service, errors),
    }
}

fn service_backend(at: &At<'_>, service: &At<'_>, errors: &mut Errors) {
    let name = service.get("name");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        errors.each(&name, names::is_dns1123_label(name.str()));
    }
    let (port, number) = (service.get("port").get("name"), service.get("port").get("number"));
    match (!port.str().is_empty(), number.int() != 0) {
        (true, true) => errors.0.push(Error::invalid(&at.path, "", "cannot set both port name & port number")),
        (true, false) => errors.each(&port, names::is_port_name(port.str())),
        (false, true) => errors.in_range_port(&number),
        (false, false) => errors.0.push(Error::required(&at.path, "port name or number is required")),
    }
}

/// A reference to an object of any kind; whether all of it is there may be somebody else's affair.
fn reference(at: &At<'_>, complete: bool, errors: &mut Errors) {
    let (group, kind, name) = (at.get("apiGroup"), at.get("kind"), at.get("name"));
    if !group.is_null() {
        errors.each(&group, names::is_dns1123_subdomain(group.str()));
    }
    for (field, at) in [("kind", kind), ("name", name)] {
        if !at.str().is_empty() {
            errors.each(&at, names::is_path_segment(at.str(), false));
        } else if complete {
            errors.required(&at, &format!("{field} is required"));
        }
    }
}

fn ingress_class(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let controller = spec.get("controller");
    if controller.str().len() > 250 {
        errors.0.push(Error::too_long(&controller.path, 250));
    }
    prefixed_path(&controller, errors);
    let Some(parameters) = spec.opt("parameters") else { return };
    reference(&parameters, false, errors);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    match scope.str() {
        "Cluster" if !namespace.is_null() => errors.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'"),
        "Namespace" if namespace.is_null() => errors.required(&namespace, "`parameters.scope` is set to 'Namespace'"),
        "Namespace" => errors.each(&namespace, names::is_dns1123_label(namespace.str())),
        "Cluster" => {}
        _ if scope.is_null() => errors.required(&scope, ""),
        _ => errors.unsupported(&scope, &["Cluster", "Namespace"]),
    }
    // What is missing comes last.
    for at in ["kind", "name"].map(|field| parameters.get(field)) {
        errors.needed(&at);
    }
}

fn network_policy(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    selectors::label_selector(&spec.get("podSelector"), errors);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(list).items() {
            rule.get("ports").items().for_each(|port| policy_port(&port, errors));
            rule.get(peers).items().for_each(|peer| policy_peer(&peer, errors));
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        errors.invalid(&types, "may not specify more than two policyTypes");
        return;
    }
    for kind in types.items() {
        if !matches!(kind.str(), "Ingress" | "Egress") {
            errors.unsupported(&kind, &["Ingress", "Egress"]);
        }
    }
}

fn policy_port(at: &At<'_>, errors: &mut Errors) {
    let (protocol, port, end) = (at.get("protocol"), at.get("port"), at.get("endPort"));
    if !protocol.is_null() && !matches!(protocol.str(), "TCP" | "UDP" | "SCTP") {
        errors.unsupported(&protocol, &["TCP", "UDP", "SCTP"]);
    }
    if port.is_null() {
        if !end.is_null() {
            errors.invalid(&end, "may not be specified when `port` is not specified");
        }
        return;
    }
    if !port.value.is_number() && !end.is_null() {
        errors.invalid(&end, "may not be specified when `port` is non-numeric");
    }
    probes::port(&port, errors);
    if port.value.is_number() && !end.is_null() {
        if end.int() < port.int() {
            errors.0.push(Error::invalid(&end.path, port.int(), "must be greater than or equal to `port`"));
        }
        errors.in_range_port(&end);
    }
}

fn policy_peer(at: &At<'_>, errors: &mut Errors) {
    let others = ["podSelector", "namespaceSelector"];
    for field in others {
        selectors::label_selector(&at.get(field), errors);
    }
    let (count, block) = (at.present(&others).len(), at.opt("ipBlock"));
    if let Some(block) = &block {
        ip_block(block, errors);
    }
    match block {
        None if count == 0 => errors.required(at, "must specify a peer"),
        Some(_) if count > 0 => errors.forbidden(at, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn ip_block(at: &At<'_>, errors: &mut Errors) {
    let cidr = at.get("cidr");
    if cidr.str().is_empty() {
        errors.required(&cidr, "");
        return;
    }
    let Some(network) = ip::network(&cidr, errors) else { return };
    for except in at.get("except").items() {
        let Some(inner) = ip::network(&except, errors) else { continue };
        if !network.contains(&inner.network()) || network.prefix_len() >= inner.prefix_len() {
            errors.invalid(&except, "must be a strict subset of `cidr`");
        }
    }
}

fn service_cidr(obj: &Value, errors: &mut Errors) {
    let cidrs = At::spec(obj).get("cidrs");
    let parsed: Vec<Option<ipnet::IpNet>> = cidrs.strings().map(ip::sloppy_network).collect();
    let of_v4 = parsed.iter().flatten().filter(|network| network.addr().is_ipv4()).count();
    match parsed.as_slice() {
        [] => errors.required(&cidrs, "at least one CIDR required"),
        [_, _] if of_v4 != 1 || parsed.contains(&None) => errors.invalid(
            &cidrs,
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ),
        [_] | [_, _] => cidrs.items().for_each(|cidr| ip::canonical_network(&cidr, errors)),
        _ => errors.invalid(&cidrs, "may only hold up to 2 values"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(rule: fn(&Value, &mut Errors), spec: Value) -> Vec<String> {
        let mut errors = Errors::default();
        rule(&json!({"spec": spec}), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_ingress_says_where_to_go() {
        let backend = |backend: Value| judge(ingress, json!({"defaultBackend": backend}));
        assert_eq!(
            backend(json!({})),
            ["spec.defaultBackend: Invalid value: \"\": resource or service backend is required"]
        );
        assert_eq!(
            backend(json!({"resource": {"kind": "", "name": "a/b"}})),
            [
                "spec.defaultBackend.resource.kind: Required value: kind is required",
                "spec.defaultBackend.resource.name: Invalid value: \"a/b\": may not contain '/'",
            ]
        );
    }

    #[test]
    fn a_policy_is_judged_port_before_end() {
        let ports = json!([{"port": 0, "endPort": -1}]);
        assert_eq!(
            judge(network_policy, json!({"egress": [{"ports": ports}]})),
            [
                "spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.egress[0].ports[0].endPort: Invalid value: 0: must be greater than or equal to `port`",
                "spec.egress[0].ports[0].endPort: Invalid value: -1: must be between 1 and 65535, inclusive",
            ]
        );
    }

    #[test]
    fn a_range_of_services_is_of_each_family_once() {
        let cidrs = |list: &[&str]| judge(service_cidr, json!({"cidrs": list}));
        assert_eq!(cidrs(&["10.0.0.0/24", "fd00::/64"]), Vec::<String>::new());
        assert_eq!(
            cidrs(&["10.0.0.0/24", "fd00::/64", "fd01::/64"]),
            ["spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"fd00::/64\",\"fd01::/64\"]: may only hold up to 2 values"]
        );
        assert_eq!(
            cidrs(&["FD00::/64"]),
            ["spec.cidrs[0]: Invalid value: \"FD00::/64\": must be in canonical form (\"fd00::/64\")"]
        );
    }
}
