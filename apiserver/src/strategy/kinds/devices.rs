//! Dynamic resource allocation: ResourceClaims, their templates, DeviceClasses, ResourceSlices.

mod binding;
mod capacity;
mod counters;
mod slice;
mod status;

use std::collections::HashSet;

use mainstay_api::field::{Error, Path};
use mainstay_api::{meta, names, types};
use serde_json::Value;

use crate::extension::expressions;
use crate::strategy::Context;
use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::volume_sources::{csi_driver_name, template_metadata};
use crate::strategy::validate::{At, Errors, changed, quantities};

/// Requests of a claim at the most; constraints and configurations alike.
const REQUESTS_MAX: usize = 32;
/// Selectors of a request at the most.
const SELECTORS_MAX: usize = 32;
/// Alternatives of a request at the most.
const ALTERNATIVES_MAX: usize = 8;
/// Bytes of what only a driver understands, at the most.
const RAW_MAX: usize = 10 << 10;
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];
const NO_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// ResourceClaims.
pub(crate) const CLAIM: Rules = Rules {
    check: |cx, obj, errors| {
        admin_access(cx, &At::spec(obj), errors);
        claim_spec(&At::spec(obj), errors);
    },
    change: |_, new, old, errors| frozen("ResourceClaimSpec", new, old, errors),
    status: |cx, new, old, errors| {
        status::admin_access(cx, new, old, errors);
        status::claim_status(new, old, errors);
    },
    settle: status::forget_deallocated,
    // What cannot change is not judged again.
    parts: &[Part::Meta, Part::MetaUpdate, Part::Change],
    ..Rules::PLAIN
};

/// ResourceClaimTemplates.
pub(crate) const TEMPLATE: Rules = Rules {
    check: |cx, obj, errors| {
        let spec = At::spec(obj);
        admin_access(cx, &spec.get("spec"), errors);
        template_metadata(&spec.get("metadata"), errors);
        claim_spec(&spec.get("spec"), errors);
    },
    change: |_, new, old, errors| frozen("ResourceClaimTemplateSpec", new, old, errors),
    parts: &[Part::MetaUpdate, Part::Change],
    ..Rules::PLAIN
};

/// DeviceClasses.
pub(crate) const CLASS: Rules = Rules {
    check: |_, obj, errors| {
        let spec = At::spec(obj);
        selectors_of(&spec.get("selectors"), errors);
        each(&spec.get("config"), REQUESTS_MAX, configuration, errors);
        let name = spec.get("extendedResourceName");
        if !name.is_null() && !quantities::is_extended(name.str()) {
            errors.invalid(&name, "must be a valid extended resource name");
        }
    },
    // A name is judged as it was drawn, not what it was drawn from.
    names: |name, prefix| if prefix { Vec::new() } else { names::is_long_name(name) },
    parts: &[Part::Meta, Part::MetaUpdate, Part::Check],
    ..Rules::PLAIN
};

/// ResourceSlices.
pub(crate) const SLICE: Rules = slice::RULES;

/// A spec that never changes is shown whole where it does.
fn frozen(kind: &str, new: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (At::spec(new), At::spec(old));
    if new.value == old.value {
        return;
    }
    match types::by_name(&format!("io.k8s.api.resource.v1.{kind}")) {
        Some(of) => errors.0.push(changed(of, &new)),
        None => errors.immutable(&new, &old),
    }
}

/// Who administers devices does so in namespaces that are labeled for it.
fn admin_access(cx: &Context<'_>, spec: &At<'_>, errors: &mut Errors) {
    let mut requests = spec.get("devices").get("requests").items();
    if let Some(index) = requests.position(|request| request.get("exactly").get("adminAccess").bool()) {
        // A template is told where a claim would have the request.
        let requests = Path::new("spec").child("devices").child("requests");
        administrators_only(cx, &requests.index(index).child("adminAccess"), errors);
    }
}

/// Tells of what only the namespaces of administrators may have.
fn administrators_only(cx: &Context<'_>, path: &Path, errors: &mut Errors) {
    const LABEL: &str = "resource.kubernetes.io/admin-access";
    let namespace = cx.reader.get("", "namespaces", "", cx.namespace);
    if namespace.is_none_or(|namespace| meta::label(&namespace, LABEL) != Some("true")) {
        let why = format!("admin access to devices requires the `{LABEL}: true` label on the containing namespace");
        errors.0.push(Error::forbidden(path, why));
    }
}

/// Judges each element of a list that is not too long.
fn each(list: &At<'_>, max: usize, mut judge: impl FnMut(&At<'_>, &mut Errors), errors: &mut Errors) {
    if list.len() > max {
        too_many(list, max, errors);
    } else {
        list.items().for_each(|at| judge(&at, errors));
    }
}

/// Tells how many elements a list or map has too many.
fn too_many(list: &At<'_>, max: usize, errors: &mut Errors) {
    let (found, max) = (i64::try_from(list.len()), i64::try_from(max));
    errors.0.push(Error::too_many(&list.path, found.unwrap_or(i64::MAX), max.unwrap_or(i64::MAX)));
}

/// The same of a list of which the elements differ in a field, or in themselves if it is empty.
fn set(list: &At<'_>, max: usize, key: &str, judge: impl FnMut(&At<'_>, &mut Errors), errors: &mut Errors) {
    each(list, max, judge, errors);
    if list.len() > max {
        return;
    }
    let mut seen = HashSet::new();
    for at in list.items() {
        let key = if key.is_empty() { at.str() } else { at.get(key).str() };
        if !seen.insert(key) {
            errors.0.push(Error::duplicate(&at.path, key));
        }
    }
}

/// A name that is a label, which nothing is not.
fn label(at: &At<'_>, errors: &mut Errors) {
    errors.each(at, names::is_dns1123_label(at.str()));
}

fn claim_spec(spec: &At<'_>, errors: &mut Errors) {
    let devices = spec.get("devices");
    let requests = devices.get("requests");
    set(&requests, REQUESTS_MAX, "name", request, errors);
    let known = known_requests(&requests);
    each(&devices.get("constraints"), REQUESTS_MAX, |at, errors| constraint(at, &known, errors), errors);
    let judge = |at: &At<'_>, errors: &mut Errors| {
        named_requests(&at.get("requests"), &known, errors);
        configuration(at, errors);
    };
    each(&devices.get("config"), REQUESTS_MAX, judge, errors);
}

fn constraint(at: &At<'_>, known: &HashSet<String>, errors: &mut Errors) {
    const ONE: &str =
        r#"exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#;
    named_requests(&at.get("requests"), known, errors);
    match at.opt("matchAttribute").or_else(|| at.opt("distinctAttribute")) {
        Some(attribute) => full_name(&attribute, errors),
        None => errors.required(at, ONE),
    }
}

/// Names of requests, and of their alternatives as `request/alternative`.
fn known_requests(requests: &At<'_>) -> HashSet<String> {
    let mut known = HashSet::new();
    for request in requests.items() {
        let name = request.get("name").str();
        known.insert(name.to_owned());
        known.extend(request.get("firstAvailable").items().map(|at| format!("{name}/{}", at.get("name").str())));
    }
    known
}

fn named_requests(list: &At<'_>, known: &HashSet<String>, errors: &mut Errors) {
    set(list, REQUESTS_MAX, "", |at, errors| named_request(at, known, errors), errors);
}

fn named_request(at: &At<'_>, known: &HashSet<String>, errors: &mut Errors) {
    let parts: Vec<&str> = at.str().split('/').collect();
    for part in parts.iter().filter(|_| parts.len() <= 2) {
        for why in names::is_dns1123_label(part) {
            errors.0.push(Error::invalid(&at.path, *part, why));
        }
    }
    if !known.contains(at.str()) {
        errors.0.push(Error::invalid(&at.path, at.str(), NO_REQUEST));
    }
}

fn request(at: &At<'_>, errors: &mut Errors) {
    label(&at.get("name"), errors);
    let (exactly, first) = (at.opt("exactly"), at.get("firstAvailable"));
    match (exactly, first.is_empty()) {
        (Some(exactly), true) => device_request(&exactly, errors),
        (None, false) => {
            let judge = |at: &At<'_>, errors: &mut Errors| {
                label(&at.get("name"), errors);
                device_request(at, errors);
            };
            set(&first, ALTERNATIVES_MAX, "name", judge, errors);
        }
        (None, true) => errors.required(at, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(_), false) => {
            let why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.0.push(Error::invalid(&at.path, Value::Null, why));
        }
    }
}

fn device_request(at: &At<'_>, errors: &mut Errors) {
    errors.name(&at.get("deviceClassName"), names::is_dns1123_subdomain);
    selectors_of(&at.get("selectors"), errors);
    let (mode, count) = (at.get("allocationMode"), at.get("count"));
    match mode.str() {
        "All" if count.int() != 0 => errors.invalid(&count, "must not be specified when allocationMode is 'All'"),
        "All" => {}
        "ExactCount" if count.int() <= 0 => errors.invalid(&count, "must be greater than zero"),
        "ExactCount" => {}
        _ => errors.unsupported(&mode, &["All", "ExactCount"]),
    }
    at.get("tolerations").items().for_each(|at| toleration(&at, errors));
}

fn toleration(at: &At<'_>, errors: &mut Errors) {
    let (key, operator, value) = (at.get("key"), at.get("operator"), at.get("value"));
    if !key.str().is_empty() {
        errors.extend(meta::validate_label_name(key.str(), &key.path));
    }
    match operator.str() {
        "Exists" if !value.str().is_empty() => errors.invalid(&value, "must be empty for operator `Exists`"),
        "Exists" => {}
        "Equal" => errors.each(&value, names::is_label_value(value.str())),
        "" => errors.required(&operator, ""),
        _ => errors.unsupported(&operator, &["Equal", "Exists"]),
    }
    let effect = at.get("effect");
    if !effect.str().is_empty() {
        errors.one_of_if_set(&effect, &EFFECTS);
    }
}

fn selectors_of(list: &At<'_>, errors: &mut Errors) {
    let judge = |selector: &At<'_>, errors: &mut Errors| match selector.opt("cel") {
        None => errors.required(&selector.get("cel"), ""),
        Some(cel) => expressions::selects(&cel.get("expression"), errors),
    };
    each(list, SELECTORS_MAX, judge, errors);
}

fn configuration(at: &At<'_>, errors: &mut Errors) {
    let Some(opaque) = at.opt("opaque") else { return errors.required(&at.get("opaque"), "") };
    csi_driver_name(&opaque.get("driver"), errors);
    raw_object(&opaque.get("parameters"), errors);
}

/// An object that only a driver understands.
fn raw_object(at: &At<'_>, errors: &mut Errors) {
    if at.is_null() {
        errors.required(at, "");
    } else if at.value.to_string().len() > RAW_MAX {
        errors.0.push(Error::too_long(&at.path, 10 << 10));
    } else if !at.value.is_object() {
        errors.0.push(Error::invalid(&at.path, "<value omitted>", "must be a valid JSON object"));
    }
}

/// `domain/name` of an attribute.
fn full_name(at: &At<'_>, errors: &mut Errors) {
    qualified(at.str(), &at.path, errors);
    if !at.str().contains('/') {
        errors.invalid(at, "a fully qualified name must be a domain and a name separated by a slash");
    }
}

/// A name, with a domain or without. One with more slashes passes, as it does in Kubernetes.
fn qualified(name: &str, path: &Path, errors: &mut Errors) {
    let identifier = |name: &str, errors: &mut Errors| {
        if name.len() > 32 {
            errors.0.push(Error::too_long(path, 32));
        }
        errors.0.extend(names::is_c_identifier(name).into_iter().map(|why| Error::invalid(path, name, why)));
    };
    match name.split_once('/') {
        None => identifier(name, errors),
        Some((_, rest)) if rest.contains('/') => {}
        Some((domain, own)) => {
            if domain.is_empty() {
                errors.0.push(Error::invalid(path, "", "the domain must not be empty"));
            } else {
                csi_driver_name(&At::new(&Value::from(domain), path.clone()), errors);
            }
            if own.is_empty() {
                errors.0.push(Error::invalid(path, "", "the name must not be empty"));
            } else {
                identifier(own, errors);
            }
        }
    }
}

fn pool_name(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    if at.str().len() > 253 {
        errors.0.push(Error::too_long(&at.path, 253));
    }
    for part in at.str().split('/') {
        for why in names::is_dns1123_subdomain(part) {
            errors.0.push(Error::invalid(&at.path, part, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::Strategy as _;
    use crate::strategy::testing::{Objects, with_objects};

    #[test]
    fn names_of_requests_and_attributes() {
        let requests = json!([{"name": "r", "firstAvailable": [{"name": "a"}]}]);
        let known = known_requests(&At::root(&requests));
        let judge = |name: &str| {
            let mut errors = Errors::default();
            named_request(&At::root(&json!(name)), &known, &mut errors);
            full_name(&At::root(&json!("example.com/model")), &mut errors);
            errors.0.len()
        };
        assert_eq!([judge("r"), judge("r/a"), judge("r/b"), judge("R"), judge("r/a/b")], [0, 0, 1, 2, 1]);
    }

    #[test]
    fn the_name_of_a_class_is_measured_in_bytes() {
        let judge = |name: &str| CLASS.name_errors(name, false);
        assert!(judge("a.b").is_empty() && CLASS.name_errors("A_", true).is_empty());
        assert_eq!(judge(&"a".repeat(254)), ["must be no more than 253 bytes"]);
    }

    #[test]
    fn a_template_says_no_more_of_its_claims_than_labels_and_annotations() {
        let template = json!({"labels": {"a": "b"}, "generation": 3, "uid": "u", "finalizers": []});
        let mut errors = Errors::default();
        template_metadata(&At::root(&template), &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["uID: Forbidden: cannot be set", "generation: Forbidden: cannot be set"]);
    }

    #[test]
    fn administrators_need_a_labeled_namespace() {
        let spec = json!({"devices": {"requests": [{"name": "r", "exactly": {"adminAccess": true}}]}});
        let namespace = |labels: Value| json!({"metadata": {"name": "n", "labels": labels}});
        for (labels, wrong) in [(json!({}), 1), (json!({"resource.kubernetes.io/admin-access": "true"}), 0)] {
            let objects = Objects(vec![("", "namespaces", namespace(labels))]);
            let mut errors = Errors::default();
            with_objects("resource.k8s.io", "resourceclaims", &objects, |cx| {
                admin_access(cx, &At::root(&spec), &mut errors);
            });
            assert_eq!(errors.0.len(), wrong);
            assert!(errors.0.iter().all(|error| error.field == "spec.devices.requests[0].adminAccess"));
        }
    }
}
