//! Ingresses and IngressClasses.

use mainstay_api::field::Error;
use mainstay_api::{meta, names};
use serde_json::Value;

use crate::strategy::kinds::batch::prefixed_path;
use crate::strategy::kinds::service::validate::load_balancer;
use crate::strategy::rules::{CHANGE_FIRST, Part, Rules};
use crate::strategy::validate::{At, Errors, ip, shown};
use crate::strategy::warnings::objects;

/// Where the class of an ingress was said before there was a field for it.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Ingresses.
pub(crate) const INGRESS: Rules = Rules {
    check: |_, obj, errors| ingress(obj, errors),
    status: |_, new, _, errors| load_balancer(&At::root(new).get("status").get("loadBalancer"), errors),
    warn: |new, old| {
        // Who names the class in both places has been told by the field.
        let only_there = meta::annotation(new, CLASS).is_some() && At::spec(new).opt("ingressClassName").is_none();
        (only_there && old.is_none())
            .then(|| {
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
                    .to_owned()
            })
            .into_iter()
            .collect()
    },
    warn_status: objects::load_balancer,
    parts: &[Part::MetaUpdate, Part::Meta, Part::Check],
    ..Rules::PLAIN
};

/// IngressClasses.
pub(crate) const INGRESS_CLASS: Rules = Rules {
    check: |_, obj, errors| ingress_class(obj, errors),
    change: |_, new, old, errors| {
        errors.immutable_plain(&At::spec(new).get("controller"), &At::spec(old).get("controller"));
    },
    parts: CHANGE_FIRST,
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
        if kind.is_null() {
            // Without it nobody knows what the rest means.
            errors.required(&kind, "pathType must be specified");
            continue;
        }
        match kind.str() {
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
    for at in [kind, name] {
        if !at.str().is_empty() {
            errors.each(&at, names::is_path_segment(at.str(), false));
        } else if complete {
            errors.required(&at, "");
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::of_spec as judge;

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
                "spec.defaultBackend.resource.kind: Required value",
                "spec.defaultBackend.resource.name: Invalid value: \"a/b\": may not contain '/'",
            ]
        );
    }

    #[test]
    fn only_a_new_ingress_with_nothing_but_the_annotation_is_warned() {
        let mut ingress = json!({"metadata": {"annotations": {CLASS: "a"}}, "spec": {}});
        assert_eq!((INGRESS.warn)(&ingress, None).len(), 1);
        assert!((INGRESS.warn)(&ingress, Some(&ingress)).is_empty());
        ingress["spec"]["ingressClassName"] = json!("a");
        assert!((INGRESS.warn)(&ingress, None).is_empty());
    }

    #[test]
    fn a_path_without_a_type_is_not_judged_further() {
        let http = json!({"paths": [{"path": "x", "backend": {}}]});
        assert_eq!(
            judge(ingress, json!({"rules": [{"http": http}]})),
            ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"]
        );
    }
}
