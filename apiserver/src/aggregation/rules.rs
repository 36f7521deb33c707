//! What makes an APIService valid.

use base64::Engine as _;
use mainstay_api::field::Error;
use mainstay_api::{meta, names};
use serde_json::Value;

use crate::strategy::validate::{At, Errors};
use crate::strategy::{Rules, base};

/// The rules of APIServices.
pub(crate) const API_SERVICE: Rules = Rules {
    check: |_, obj, errors| check(obj, errors),
    status: |_, new, _, errors| {
        for condition in At::root(new).get("status").get("conditions").items() {
            let state = condition.get("status");
            if !matches!(state.str(), "True" | "False" | "Unknown") {
                errors.0.push(Error::not_supported(&state.path, state.str(), &["True", "False", "Unknown"]));
            }
        }
    },
    tidy: |_, obj| {
        if obj.get("status").is_none() {
            base::set(obj, "/status", serde_json::json!({}));
        }
        if let Some(service) = obj.pointer_mut("/spec/service").and_then(Value::as_object_mut) {
            service.entry("port").or_insert(443.into());
        }
    },
    // `v1.` is the core group's.
    names: names::is_path_segment,
    finalizers: false,
    ..Rules::PLAIN
};

fn check(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (group, version) = (spec.get("group"), spec.get("version"));
    let wanted = format!("{}.{}", version.str(), group.str());
    if meta::name(obj) != wanted {
        let at = At::root(obj).get("metadata").get("name");
        errors.invalid(&at, format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\""));
    }
    if group.str().is_empty() {
        if version.str() != "v1" {
            errors.required(&group, "only v1 may have an empty group and it better be legacy kube");
        }
    } else {
        errors.each(&group, names::is_dns1123_subdomain(group.str()));
    }
    errors.each(&version, names::is_dns1035_label(version.str()));
    within(&spec.get("groupPriorityMinimum"), 20_000, errors);
    within(&spec.get("versionPriority"), 1_000, errors);
    service(&spec, errors);
}

fn within(at: &At<'_>, most: i64, errors: &mut Errors) {
    if !(1..=most).contains(&at.int()) {
        let why = format!("must be positive and less than {}", most);
        errors.0.push(Error::invalid(&at.path, at.int(), why));
    }
}

fn service(spec: &At<'_>, errors: &mut Errors) {
    let (bundle, insecure) = (spec.get("caBundle"), spec.get("insecureSkipTLSVerify"));
    let Some(service) = spec.opt("service") else {
        if !bundle.is_empty() {
            let bytes = base64::engine::general_purpose::STANDARD.decode(bundle.str()).unwrap_or_default();
            let shown = format!("{} bytes", bytes.len());
            errors.0.push(Error::invalid(&bundle.path, shown, "local APIServices may not have a caBundle"));
        }
        if insecure.bool() {
            errors.invalid(&insecure, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    };
    errors.needed(&service.get("namespace"));
    errors.needed(&service.get("name"));
    if let Some(port) = service.opt("port")
        && !names::is_port_number(port.int()).is_empty()
    {
        errors.invalid(&port, "port is not valid: must be between 1 and 65535, inclusive");
    }
    if insecure.bool() && !bundle.is_empty() {
        errors.invalid(&insecure, "may not be true if caBundle is present");
    }
}
