//! What makes an APIService valid.

use base64::Engine as _;
use mainstay_api::field::{Error, go_quote};
use mainstay_api::{names, time};
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
    tidy: |cx, obj| {
        if obj.get("status").is_none() {
            // What this server serves itself is there from the beginning.
            let status = super::local::status(obj, &time::seconds(cx.now)).unwrap_or_else(|| serde_json::json!({}));
            base::set(obj, "/status", status);
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
    for field in ["generateName", "name"] {
        let at = At::root(obj).get("metadata").get(field);
        // One that is missing, or none at all, is told of elsewhere.
        if !at.str().is_empty() && at.str() != wanted && names::is_path_segment(at.str(), false).is_empty() {
            errors.invalid(&at, format!("must be `spec.version+\".\"+spec.group`: {}", go_quote(&wanted)));
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_served_here_is_available_at_once() {
        let status = |mut service: Value| {
            crate::strategy::testing::context("apiregistration.k8s.io", "apiservices", |cx| {
                (API_SERVICE.tidy)(cx, &mut service);
            });
            service["status"].clone()
        };
        assert_eq!(status(json!({"spec": {}}))["conditions"][0]["reason"], "Local");
        assert_eq!(status(json!({"spec": {"service": {"name": "s"}}})), json!({}));
    }

    #[test]
    fn a_name_is_the_version_and_the_group() {
        let judge = |metadata: Value| {
            let mut errors = Errors::default();
            let spec = json!({"group": "g", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1});
            check(&json!({"metadata": metadata, "spec": spec}), &mut errors);
            errors.0.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
        };
        assert!(judge(json!({"name": "v1.g"})).is_empty());
        assert!(judge(json!({})).is_empty(), "that there is none is told elsewhere");
        assert!(judge(json!({"name": "a/b"})).is_empty(), "as is what no name may have");
        assert_eq!(judge(json!({"name": "v1.h"})), ["metadata.name"]);
        assert_eq!(judge(json!({"generateName": "v", "name": "vx"})), ["metadata.generateName", "metadata.name"]);
    }
}
